"""The benchmark's own reckoning: what it reads, condenses, judges and draws."""

from __future__ import annotations

import json
import shutil
import socket
import sys
import time
from contextlib import contextmanager, nullcontext
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import metadata
from itertools import islice
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any, ClassVar
from xml.etree import ElementTree

import mongomock
import pytest

from bench import against, check, data, load, load_generator, processes, report, results, rounds, svg, targets, writes
from bench.claims import CLAIMS, Claim, LatencyClaim
from bench.figures import Measurement, Spread, condensed, ratios, spread
from bench.growth import Row, rows, smallest
from customer_service.app import create_app
from customer_service.repository import CustomerRepository
from customer_service.repository.customers import search_and_unique_fields
from customer_service.repository.memberships import OrganizationScope
from customer_service.repository.search import CustomerQuery
from customer_service.settings import CacheSettings, JwtSettings, MongoSettings, Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flask.testing import FlaskClient
    from pymongo.database import Database

LINE = "requests=20000 microseconds=5000000 p50=3100 p99=9200 failures=0\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Request-ID: 1\r\n\r\n{}"

SINCE = {"createdAt": {"gte": datetime(2025, 1, 1)}}  # noqa: DTZ001 - as BSON has it

SETTINGS = Settings(
    MongoSettings("mongomock://"), JwtSettings(secret=data.SECRET), cache=CacheSettings(membership_seconds=0)
)

REFUSALS = check.refusals(1000)
EXPECTED: list[Any] = [{"id": data.customer_id(number)} for number in check.SAMPLES]


def measured(rate: float) -> Measurement:
    return Measurement(rate=rate, server_us=100, mongod_us=50, p50_us=3000, p99_us=9000, others=0)


@contextmanager
def served(asked: list[str]) -> Iterator[int]:
    """Serve on a port, and append the body of every request."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            asked.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, args=(0.01,)).start()
        yield server.server_port
        server.shutdown()


def answers_of(client: FlaskClient) -> Callable[[int, data.Request], check.Answer]:
    """Return what asks the service in this process, as the bench asks one on a port."""

    def ask(_port: int, request: data.Request) -> check.Answer:
        response = client.open(request.path, method=request.method, data=request.body, headers=request.fields())
        headers = {name.lower(): value for name, value in response.headers}
        return check.Answer(response.status_code, headers, response.data)

    return ask


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

    def test_the_load_generator_knows_a_whole_answer(self) -> None:
        ends = [end for end in range(len(ANSWER) + 1) if load_generator.is_answer(ANSWER[:end])]
        assert ends == [len(ANSWER)]
        assert load_generator.is_answer(b"HTTP/1.1 304 NOT MODIFIED\r\nContent-Length: 700\r\n\r\n")

    def test_a_seed_is_a_random_walk_without_an_end(self) -> None:
        walks = [list(islice(load_generator.walk([b"a", b"b"], seed), 100)) for seed in ("1", "1", "2")]
        assert walks[0] == walks[1] != walks[2]
        assert set(walks[0]) == {b"a", b"b"}

    def test_once_is_every_request_in_order_and_then_a_failure(self) -> None:
        walk = load_generator.walk([b"a", b"b", b"c"], "once")
        assert list(islice(walk, 3)) == [b"a", b"b", b"c"]
        with pytest.raises(ValueError, match="has been sent"):
            next(walk)

    @pytest.mark.parametrize("generator", ["wrk", "our own"])
    def test_both_send_what_is_written_once_and_fail_without_more(
        self, generator: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if generator == "our own":
            monkeypatch.setattr(shutil, "which", lambda _: None)
        elif shutil.which("wrk") is None:
            pytest.skip("wrk is not installed")
        asked: list[str] = []
        with served(asked) as port:
            turn = load.Turn(data.write(map(writes.create, range(30_000)), tmp_path / "many"), 4, 1, None)
            assert load.run(port, turn).failures == 0
            assert len(set(asked)) == len(asked) > 0
            few = load.Turn(data.write(map(writes.create, range(3)), tmp_path / "few"), 4, 1, None)
            with pytest.raises(load.LoadFailed, match="has been sent"):
                load.run(port, few)
            load.warm(port, few)


class TestFigures:
    def test_a_spread(self) -> None:
        assert spread([3.0, 1.0, 10.0]) == Spread(3.0, 1.0, 10.0)

    def test_ratios_are_taken_within_a_round(self) -> None:
        assert ratios([20.0, 2.0, 30.0], [10.0, 1.0, 10.0]) == Spread(2.0, 2.0, 3.0)

    def test_every_figure_is_condensed(self) -> None:
        assert condensed([measured(1), measured(3)])["rate"] == {"median": 2, "minimum": 1, "maximum": 3}


class TestClaims:
    SEEN: ClassVar[dict[tuple[str, int], Any]] = {
        ("one", 16): [measured(20), measured(30)],
        ("two", 16): [measured(10), measured(30)],
        ("three", 16): [measured(5), measured(60)],
    }

    def test_the_best_of_others_is_that_of_the_round(self) -> None:
        assert Claim("one", ("two", "three"), 1.0).measured(self.SEEN) == Spread(1.25, 0.5, 2.0)

    def test_the_median_is_judged(self) -> None:
        ratio = Spread(1.25, 0.5, 2.0)
        assert Claim("one", ("two",), 1.25).holds(ratio)
        assert not Claim("one", ("two",), 1.3).holds(ratio)

    def test_a_latency_is_judged_in_milliseconds(self) -> None:
        claim = LatencyClaim("one", 9)
        assert claim.measured(self.SEEN) == Spread(9.0, 9.0, 9.0)
        assert claim.text() == "p99 of one: at most 9 ms"
        assert claim.holds(Spread(9.0, 1.0, 50.0))
        assert not claim.holds(Spread(9.1, 1.0, 50.0))

    def test_a_claim_names_the_connections_that_are_not_the_usual_ones(self) -> None:
        assert Claim("one", ("two", "three"), 0.9).text() == "one: at least 0.9 × the best of two and three"
        assert Claim("one", ("two",), 0.9, 64).text() == "one: at least 0.9 × two, at 64 connections"

    def test_every_claim_is_about_rows_that_there_are(self) -> None:
        keys = {row.key for row in targets.all_rows()}
        assert all(claim.rows() <= keys for claim in CLAIMS)


class TestTargets:
    def test_no_two_rows_have_one_key_and_no_two_servers_either(self) -> None:
        rows = targets.all_rows()
        assert len({row.key for row in rows}) == len(rows)
        assert len({row.target.key for row in rows}) == len({repr(row.target) for row in rows})

    def test_a_mode_is_the_same_environment_for_everyone(self) -> None:
        plain = [row.target.settings(1, "mongodb://") for row in targets.all_rows() if row.target.mode == "plain"]
        assert len(plain) > 3
        assert all(settings == plain[0] for settings in plain)

    def test_whoever_writes_shares_a_database_with_no_other(self) -> None:
        names = {row.target.key: row.target.settings(1, "")["MONGODB_DATABASE"] for row in targets.all_rows()}
        writers = [name for key, name in names.items() if "writing" in key]
        assert len(set(writers)) == len(writers) == 3
        assert targets.DATABASE not in writers

    def test_every_read_is_measured_over_few_and_many_connections(self) -> None:
        near = [row for row in targets.all_rows() if row.target.distance_ms is None and row.requests != "upsert"]
        counts = {row.name: sorted(each.connections for each in near if each.name == row.name) for row in near}
        assert set(map(tuple, counts.values())) == {targets.CONNECTIONS}

    @pytest.mark.parametrize(
        ("mode", "remembered"),
        [("plain", ("0", "0", "0")), ("remembering", ("10000", "5", "0")), ("hot", ("10000", "5", "10000"))],
    )
    def test_a_mode_says_of_all_three_what_is_remembered(self, mode: str, remembered: tuple[str, ...]) -> None:
        names = ("TOKEN_CACHE_ENTRIES", "MEMBERSHIP_CACHE_SECONDS", "CUSTOMER_CACHE_ENTRIES")
        assert tuple(targets.MODES[mode][name] for name in names) == remembered

    def test_the_port_is_put_in_its_place(self) -> None:
        for row in targets.all_rows():
            assert "{port}" not in "".join(row.target.arguments(8080))


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


@pytest.fixture(scope="module")
def service() -> FlaskClient:
    """The service itself, in memory, with the customers that the bench stores."""
    database: Database[dict[str, Any]] = mongomock.MongoClient().bench
    data.store(database, 10, lambda _: None, writes.searchable)
    return create_app(SETTINGS, database).test_client()


class TestWrites:
    """What is written: no request twice, and no target timed that stores otherwise."""

    def test_no_two_requests_of_a_target_are_alike(self, tmp_path: Path) -> None:
        writer = writes.Writer(tmp_path)
        files = [writer.write("one", kind, 1).read_bytes().split(b"\0") for kind in writes.KINDS for _ in range(2)]
        everything = [request for file in files for request in file]
        assert len(set(everything)) == len(everything)

    def test_another_target_is_sent_the_same(self, tmp_path: Path) -> None:
        writer = writes.Writer(tmp_path)
        assert writer.write("one", "patch", 1).read_bytes() == writer.write("two", "patch", 1).read_bytes()

    def test_what_is_created_has_keys_of_its_own(self) -> None:
        created = [json.loads(writes.create(serial).body)["taxId"] for serial in range(1000)]
        batches = [json.loads(writes.upsert(serial).body)["customers"] for serial in range(50)]
        added = [each["taxId"] for batch in batches for each in batch if each["externalId"].startswith("new-")]
        stored = [data.customer(number)["taxId"] for number in range(writes.CUSTOMERS)]
        everything = [*created, *added, *stored]
        assert len(set(everything)) == len(everything) == 1000 + 500 + writes.CUSTOMERS

    def test_half_a_batch_is_stored_already(self) -> None:
        batch = json.loads(writes.upsert(1).body)["customers"]
        known = {
            writes.known(number)["externalId"]: writes.known(number)["taxId"] for number in range(writes.CUSTOMERS)
        }
        assert [known.get(each["externalId"]) for each in batch[10:]] == [each["taxId"] for each in batch[10:]]
        assert len(batch) == writes.BATCH
        assert not known.keys() & {each["externalId"] for each in batch[:10]}

    def test_the_service_passes_its_own_check(self, service: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(writes, "ask", answers_of(service))
        created, again, patched, read, first, second, third = writes.check(1, None)
        assert created[0] == 201
        assert again == 409
        assert patched == read != created
        assert [status for _, status in first] == ["unchanged", "created", "changed", "failed", "failed"]
        assert [status for _, status in second] == ["unchanged", "unchanged", "unchanged", "failed", "failed"]
        assert third[1]["legalName"] == "Otro"
        with pytest.raises(check.Unequal, match="answers 409 to a new customer"):
            writes.check(1, None)

    @pytest.mark.parametrize("step", [*writes.refused()], ids=lambda step: step.name)
    def test_a_target_that_stores_what_must_be_refused_is_named(
        self, step: writes.Step, service: FlaskClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ask = answers_of(service)

        def careless(port: int, request: data.Request) -> check.Answer:
            return check.Answer(200, {}, b"{}") if request == step.request else ask(port, request)

        monkeypatch.setattr(writes, "ask", careless)
        with pytest.raises(check.Unequal, match=f"answers 200 to {step.name}, not {step.status}"):
            writes.check(1, None)

    def test_a_target_that_stores_otherwise_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(writes, "refused", lambda: ())
        monkeypatch.setattr(writes, "outcomes", lambda _: [409])
        assert writes.check(1, [409]) == [409]
        with pytest.raises(check.Unequal, match="stores otherwise"):
            writes.check(1, [201])


class TestRounds:
    def test_every_row_has_its_turn_in_every_round_and_none_is_always_first(self) -> None:
        orders = [rounds.ordered("abcdefghi", number) for number in range(1, 4)]
        assert all(sorted(order) == list("abcdefghi") for order in orders)
        assert len({order[0] for order in orders}) == 3

    def test_of_two_neighbours_each_is_the_first_in_turn(self) -> None:
        orders = ["".join(rounds.ordered("abcdefgh", number)) for number in (1, 2)]
        assert ["ab" in order for order in orders] == [True, False]

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

    def test_every_table_has_a_row_for_all_that_was_measured(self) -> None:
        rows = targets.all_rows()
        figures = {row.key: [measured(10.0 + number), measured(30.0)] for number, row in enumerate(rows)}
        servers = {row.target.key: 1.0 for row in rows}
        seen = rounds.Seen(figures, servers, servers, dict.fromkeys(servers, 1))
        found = results.of_run(rows, [], rounds.Plan(2, 1, 1), seen)
        found = json.loads(json.dumps(found))
        tables = report.tables(found)
        names = {row[0] for name in ("figures", "distance", "writes") for row in tables[name][1:]}
        assert names == {row.name for row in rows}
        assert {row[0] for row in tables["connections"][1:]} == {row[0] for row in tables["figures"][1:]}
        assert {row[0] for row in tables["starting"][1:]} == set(servers)
        assert len(tables["claims"]) == 1 + len(CLAIMS)
        assert all(len(row) == len(table[0]) for table in tables.values() for row in table)
        near = next(row for row in tables["distance"] if "0 ms" in row[0])
        assert near[1] == "1.00 (1.00–1.00)"
        assert {row[2] for row in tables["writes"][1:] if row[0].startswith("FastAPI")} == {"1.00 (1.00–1.00)"}
        assert report.picture(found).count("<rect class=") == len(tables["figures"]) - 1

    def test_what_nothing_is_compared_to_has_no_ratio(self) -> None:
        row = next(row for row in targets.all_rows() if row.name == "this service, remembering")
        key = row.target.key
        seen = rounds.Seen({row.key: [measured(10.0)]}, {key: 1.0}, {key: 1.0}, {key: 1})
        found = results.of_run([row], ["Eve, plain"], rounds.Plan(1, 1, 1), seen)
        assert (found["rows"][0]["ratio"], found["claims"][0]["bound"]) == (None, 40)

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


class TestAgainst:
    def test_what_is_not_installed_in_this_version_is_named(self) -> None:
        here = metadata.version("pymongo")
        lock = (
            f"pymongo=={here} \\\n    --hash=sha256:0\nflask==0.1\nno-such-package[extra]==1.0 ; python_version > '3'\n"
        )
        assert list(against.not_installed(lock)) == ["flask==0.1", "no-such-package==1.0"]

    def test_another_commit_is_imported_from_its_own_files(self, tmp_path: Path) -> None:
        tree = against.checkout("HEAD", tmp_path / "tree", lambda _: None)
        tree.check_import()
        with pytest.raises(RuntimeError, match="imports"):
            against.Tree("wrong", tmp_path, tree.python).check_import()

    def test_both_are_compared_within_a_round(self) -> None:
        this, other = (against.Tree(name, Path(name), Path("python")) for name in ("this", "abc"))
        seen = rounds.Seen()
        for kind in against.KINDS:
            slow = 10.0 * (1 + (kind.distance_ms or 0))
            seen.measurements[kind.row(other).key] = [measured(slow), measured(2 * slow)]
            seen.measurements[kind.row(this).key] = [measured(2 * slow), measured(3 * slow)]
        heads, *rows = against.table(seen, this, other)
        assert len(rows) == len(against.KINDS)
        assert rows[0][heads.index("× reads/s")] == "1.75 (1.50–2.00)"
        assert [row[1:] for row in against.distances(seen, this, other)[1:]] == [
            ["2.00 (2.00–2.00)"] * 2,
            ["6.00 (6.00–6.00)"] * 2,
        ]


class TestLatency:
    @pytest.mark.parametrize("milliseconds", [0, 20])
    def test_a_round_trip_takes_so_much_longer_and_brings_the_same(self, milliseconds: int, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as echo:
            port = processes.free_port()
            command = [sys.executable, "-m", "bench.latency", str(port), str(echo.getsockname()[1]), str(milliseconds)]
            proxy = processes.Server(command, targets.ROOT, {}, tmp_path / "log")
            try:
                proxy.wait_until_listening(port)
                echo.accept()[0].close()
                with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
                    server = echo.accept()[0]
                    started = time.monotonic()
                    client.sendall(b"question")
                    assert server.recv(100) == b"question"
                    server.sendall(b"answer")
                    assert client.recv(100) == b"answer"
                    assert time.monotonic() - started >= milliseconds / 1000
                    server.sendall(b"the last")
                    server.close()
                    assert client.recv(100) == b"the last"
                    assert client.recv(100) == b""
            finally:
                proxy.stop()
