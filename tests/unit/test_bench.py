"""The benchmark's own reckoning: what it reads, condenses, judges and draws."""

from __future__ import annotations

import json
from contextlib import nullcontext
from datetime import datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar
from xml.etree import ElementTree

import mongomock
import pytest

from bench import check, data, load, processes, report, rounds, standin, svg, targets
from bench.claims import CLAIMS, Claim
from bench.figures import Measurement, Spread, condensed, ratios, spread
from bench.growth import Row, rows, smallest
from customer_service.repository import CustomerRepository
from customer_service.repository.customers import search_and_unique_fields
from customer_service.repository.memberships import OrganizationScope
from customer_service.repository.search import CustomerQuery

if TYPE_CHECKING:
    from pathlib import Path

    from pymongo.database import Database

LINE = "requests=20000 microseconds=5000000 p50=3100 p99=9200 failures=0\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Request-ID: 1\r\n\r\n{}"

SINCE = {"createdAt": {"gte": datetime(2025, 1, 1)}}  # noqa: DTZ001 - as BSON has it

REFUSALS = check.refusals(1000)
EXPECTED: list[Any] = [{"id": data.customer_id(number)} for number in check.SAMPLES]


def measured(rate: float) -> Measurement:
    return Measurement(rate=rate, server_us=100, mongod_us=50, p50_us=3000, p99_us=9000, others=0)


class TestLoad:
    def test_the_line_of_wrk_among_its_other_lines(self) -> None:
        seen = load.parse(f"Running 5s test @ http://127.0.0.1:1\n  Thread Stats   Avg\n{LINE}")
        assert (seen.rate, seen.p50, seen.p99) == (4000, 3100, 9200)

    def test_a_failure_is_not_in_the_rate(self) -> None:
        assert load.parse(LINE.replace("failures=0", "failures=10000")).rate == 2000

    @pytest.mark.parametrize("output", ["", LINE.replace("failures=0", "failures=20000"), LINE.replace("20000", "0")])
    def test_failures_alone_are_no_figures(self, output: str) -> None:
        with pytest.raises(load.LoadFailed):
            load.parse(output)

    def test_the_stand_in_knows_a_whole_answer(self) -> None:
        ends = [end for end in range(len(ANSWER) + 1) if standin.is_answer(ANSWER[:end])]
        assert ends == [len(ANSWER)]
        assert standin.is_answer(b"HTTP/1.1 304 NOT MODIFIED\r\nContent-Length: 700\r\n\r\n")


class TestFigures:
    def test_a_spread(self) -> None:
        assert spread([3.0, 1.0, 10.0]) == Spread(3.0, 1.0, 10.0)

    def test_ratios_are_taken_within_a_round(self) -> None:
        assert ratios([20.0, 2.0, 30.0], [10.0, 1.0, 10.0]) == Spread(2.0, 2.0, 3.0)

    def test_every_figure_is_condensed(self) -> None:
        assert condensed([measured(1), measured(3)])["rate"] == {"median": 2, "minimum": 1, "maximum": 3}


class TestClaims:
    SEEN: ClassVar[dict[str, Any]] = {
        "one": [measured(20), measured(30)],
        "two": [measured(10), measured(30)],
        "three": [measured(5), measured(60)],
    }

    def test_the_best_of_others_is_that_of_the_round(self) -> None:
        assert Claim("one", ("two", "three"), 1.0).measured(self.SEEN) == Spread(1.25, 0.5, 2.0)

    def test_the_median_is_judged(self) -> None:
        ratio = Spread(1.25, 0.5, 2.0)
        assert Claim("one", ("two",), 1.25).holds(ratio)
        assert not Claim("one", ("two",), 1.3).holds(ratio)
        assert not Claim("one", ("two",), 1.2, at_least=False).holds(ratio)

    def test_figures_of_two_kinds(self) -> None:
        claim = Claim("one", ("one",), 3.0, at_least=False, figure="p99_us", other_figure="p50_us")
        assert claim.measured(self.SEEN) == Spread(3.0, 3.0, 3.0)
        assert claim.text() == "p99 of one: at most 3.0 × p50 of one"

    def test_what_was_not_measured_is_not_judged(self) -> None:
        assert Claim("one", ("four",), 1.0).measured(self.SEEN) is None

    def test_every_claim_is_about_targets_that_there_are(self) -> None:
        keys = {target.key for target in targets.all_targets()}
        assert {key for claim in CLAIMS for key in (claim.one, *claim.others)} <= keys


class TestTargets:
    def test_no_two_have_one_key(self) -> None:
        keys = [target.key for target in targets.all_targets()]
        assert len(keys) == len(set(keys))

    def test_a_mode_is_the_same_environment_for_everyone(self) -> None:
        plain = [target.settings(1, "mongodb://") for target in targets.all_targets() if target.mode == "plain"]
        assert len(plain) > 3
        assert all(settings == plain[0] for settings in plain)

    @pytest.mark.parametrize(
        ("mode", "remembered"),
        [("plain", ("0", "0", "0")), ("remembering", ("10000", "5", "0")), ("hot", ("10000", "5", "10000"))],
    )
    def test_a_mode_says_of_all_three_what_is_remembered(self, mode: str, remembered: tuple[str, ...]) -> None:
        names = ("TOKEN_CACHE_ENTRIES", "MEMBERSHIP_CACHE_SECONDS", "CUSTOMER_CACHE_ENTRIES")
        assert tuple(targets.MODES[mode][name] for name in names) == remembered

    def test_the_port_is_put_in_its_place(self) -> None:
        for target in targets.all_targets():
            assert "{port}" not in "".join(target.arguments(8080))


class FakeTarget:
    """Answers as a target should, but where it was told otherwise."""

    def __init__(self) -> None:
        self.asked: list[data.Request] = []
        self.statuses = dict(REFUSALS.values())

    def ask(self, _port: int, request: data.Request) -> check.Answer:
        self.asked.append(request)
        body = json.dumps({"id": request.path.rpartition("/")[2]}).encode()
        return check.Answer(self.statuses.get(request, 200), {}, body)


class TestCheck:
    """A target that leaves out a part of the work is not timed."""

    @pytest.fixture
    def target(self, monkeypatch: pytest.MonkeyPatch) -> FakeTarget:
        target = FakeTarget()
        monkeypatch.setattr(check, "refusals", lambda _count: REFUSALS)
        monkeypatch.setattr(check, "ask", target.ask)
        return target

    def test_who_does_it_all_is_asked_everything_twice(self, target: FakeTarget) -> None:
        check.check(1, EXPECTED, 1000)
        assert len(target.asked) == 2 * (len(check.SAMPLES) + len(REFUSALS))

    @pytest.mark.parametrize("name", REFUSALS)
    def test_who_lets_one_through_is_named(self, name: str, target: FakeTarget) -> None:
        target.statuses[REFUSALS[name][0]] = 200
        with pytest.raises(check.Unequal, match=f"answers 200 {name}, not 40"):
            check.check(1, EXPECTED, 1000)

    @pytest.mark.usefixtures("target")
    def test_who_answers_another_body_is_told(self) -> None:
        with pytest.raises(check.Unequal, match="another body"):
            check.check(1, [{**each, "phone": None} for each in EXPECTED], 1000)

    def test_who_remembers_a_token_for_too_long_is_told(self, target: FakeTarget) -> None:
        with pytest.raises(check.Unequal, match="a answers 200 with a token that has expired, not 401"):
            check.check_expiry({"a": 1}, pause=lambda _seconds: None)
        assert len(target.asked) == 2

    def test_who_refuses_a_token_that_lives_is_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(check, "ask", lambda _port, _request: check.Answer(401, {}, b""))
        with pytest.raises(check.Unequal, match="a answers 401 with a token that lives, not 200"):
            check.check_expiry({"a": 1}, pause=lambda _seconds: None)

    @pytest.mark.parametrize(("status", "body", "told"), [(304, b"", False), (200, b"", True), (304, b"{}", True)])
    def test_who_sends_again_what_the_caller_has_is_told(
        self, status: int, body: bytes, told: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(check, "ask", lambda _port, _request: check.Answer(status, {}, body))
        with pytest.raises(check.Unequal, match="not 304") if told else nullcontext():
            check.check_unchanged(1, next(data.reads([0])))


class TestRounds:
    def test_every_target_has_its_turn_in_every_round_and_nobody_is_always_first(self) -> None:
        everyone: Any = [SimpleNamespace(target=name) for name in "abcdefghi"]
        orders = [rounds.rotated(everyone, number) for number in range(1, 4)]
        assert all(len(order) == len(everyone) for order in orders)
        assert len({order[0].target for order in orders}) == 3

    def test_this_process_has_used_time_and_memory(self) -> None:
        pid = int(processes.PROC.joinpath("self").resolve().name)
        assert processes.cpu_seconds([pid]) > 0
        assert processes.pss_bytes([pid]) > 1_000_000
        assert processes.machine_seconds() > processes.cpu_seconds([pid])

    def test_a_process_that_is_gone_used_nothing(self) -> None:
        assert processes.cpu_seconds([2**30]) == 0


class TestData:
    def test_customers_differ_in_what_must_be_unique(self) -> None:
        customers = [data.customer(number) for number in (0, 1, 25, 26, 17_575, 17_576, 999_999)]
        assert len({str(customer["_id"]) for customer in customers}) == len(customers)
        assert len({search_and_unique_fields(customer)["unique"]["taxId"] for customer in customers}) == len(customers)
        assert {len(customer["taxId"]) for customer in customers} == {12}

    def test_requests_are_written_apart(self, tmp_path: Path) -> None:
        written = data.write(data.reads([0, 1]), tmp_path / "file").read_bytes().split(b"\0")
        assert [each.split()[1].decode() for each in written] == [data.path(0), data.path(1)]
        assert all(each.endswith(b"\r\n\r\n") for each in written)

    def test_a_body_has_its_length(self) -> None:
        raw = next(iter(data.batch_gets(100))).raw()
        head, _, body = raw.partition(b"\r\n\r\n")
        assert f"Content-Length: {len(body)}".encode() in head
        assert len(json.loads(body)["ids"]) == 20

    @pytest.mark.parametrize("query", [CustomerQuery(), CustomerQuery(("7",)), CustomerQuery(ranges=SINCE)], ids=repr)
    def test_customers_without_most_tokens_are_found(self, query: CustomerQuery) -> None:
        database: Database[dict[str, Any]] = mongomock.MongoClient().bench
        database.customers.insert_many(map(data.found_by_number, range(10)))
        found = CustomerRepository(database, OrganizationScope(data.ORGANIZATION)).page(query, 10)
        assert data.customer(7)["_id"] in [each["_id"] for each in found]

    def test_a_walk_over_very_many_is_a_sample_of_them(self) -> None:
        walk = data.walk(1_000_000)
        assert len(set(walk)) == data.MOST_REQUESTS
        assert max(walk) > 900_000


class TestReport:
    def test_a_picture_is_well_formed_and_to_scale(self) -> None:
        bars = [svg.Bar("a < b", "peer", Spread(1, 0.5, 1.5)), svg.Bar("c", "limit", Spread(2, 2, 4))]
        drawn = ElementTree.fromstring(svg.draw("A & B", "below", bars))  # noqa: S314 - our own
        widths = [float(each.attrib["width"]) for each in drawn.iterfind(".//{*}rect") if "class" in each.attrib]
        assert widths[1] == pytest.approx(2 * widths[0], rel=0.01)
        assert "a < b" in {each.text for each in drawn.iterfind(".//{*}text")}

    def test_rows_stand_in_columns(self) -> None:
        assert report.plain([["a", "b"], ["long", "10"]]) == "a      b\nlong  10"
        assert report.markdown([["", "b"], ["long", "1"]]) == "|  | b |\n| --- | ---: |\n| long | 1 |"

    def test_a_text_replaces_the_one_between_its_marks(self) -> None:
        begin, end = report.BEGIN.format(name="x"), report.END.format(name="x")
        page = report.insert(f"a\n{begin}\nold\n{end}\nb", "x", "new")
        assert page == f"a\n{begin}\n\nnew\n\n{end}\nb"
        assert report.insert(page, "x", "new") == page
        with pytest.raises(ValueError, match="lacks the marks of y"):
            report.insert(page, "y", "new")


class TestGrowth:
    def test_every_row_is_compared_to_the_smallest_of_its_request(self) -> None:
        found = rows((10, 100, 1000))
        assert smallest(Row("read", 1000, 16), found) == Row("read", 10, 16)
        assert smallest(Row("read", 100, 256), found) == Row("read", 100, 256)
        assert {row.connections for row in found if row.customers == 100} == {1, 16, 64, 256}
        assert len(found) == len(set(found))
