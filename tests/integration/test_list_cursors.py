"""Cursors of lists, and lists by time."""

from __future__ import annotations

import base64
from datetime import datetime, timedelta
from itertools import chain
from typing import Any

import mongomock
import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.support import Service, bearer, serve
from tests.support.lists import START, get_page, list_url, living, numbers, pages, refusals, store

ID = "590ce6c56d04f840aa8438af"
NOON = "2025-01-01T12:00:00Z"
INVALID = {"/cursor": "invalid-cursor"}
NAMES = st.sampled_from(["q", "taxId", "email", "externalId", "createdAt[gt]", "updatedAt[lte]", "limit", "cursor"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text() | st.sampled_from([ID, NOON]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | NAMES, inner, max_size=3),
    max_leaves=6,
)
CURSORS = st.tuples(
    st.dictionaries(NAMES, JSON, max_size=2) | JSON,
    st.sampled_from([None, NOON]) | JSON,
    st.just(ID) | JSON,
)


def encoded(value: object) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(value)).decode().rstrip("=")


def next_cursor(service: Service, **query: Any) -> str:
    response = get_page(service.client, {"limit": 1, **query})
    assert response.json is not None
    cursor: str = response.json["nextCursor"]
    return cursor


@pytest.fixture
def ten(service: Service) -> Service:
    store(
        service.database,
        (living(number, legalName=f"ANA {number % 2}", metadata={"kind": "of ten"}) for number in range(10)),
    )
    return service


@pytest.fixture(scope="module")
def shared() -> Service:
    """A service in memory that no test changes."""
    service = serve(mongomock.MongoClient().customer_service)
    store(service.database, map(living, range(3)))
    return service


class TestCursors:
    FILTERS: tuple[dict[str, str], ...] = (
        {},
        {"q": "an 1"},
        {"q": "ana", "createdAt[gte]": "2025-01-01T00:00:02Z"},
        {"updatedAt[lt]": NOON},
        {"metadata[kind]": "of ten", "q": "ana"},
    )

    @pytest.mark.parametrize("filters", FILTERS)
    def test_a_cursor_keeps_its_filters(self, ten: Service, filters: dict[str, str]) -> None:
        everything = list(chain(*pages(ten.client, filters)))
        cursor = next_cursor(ten, **filters)
        assert numbers(get_page(ten.client, {"cursor": cursor})) == everything[1:]
        assert numbers(get_page(ten.client, {"cursor": cursor, **filters})) == everything[1:]

    @pytest.mark.parametrize("other", [{"q": "eva"}, {"q": "ana "}, {"taxId": "A"}, {"createdAt[gt]": NOON}])
    def test_a_cursor_with_other_filters(self, ten: Service, other: dict[str, str]) -> None:
        for filters in ({}, {"q": "ana"}):
            cursor = next_cursor(ten, **filters)
            for asked in (other, {**filters, **other, "email": "x"}):
                assert refusals(get_page(ten.client, {"cursor": cursor, **asked})) == {"/cursor": "other-filter"}

    def test_a_part_of_the_filters_is_another_filter(self, ten: Service) -> None:
        cursor = next_cursor(ten, q="ana", **{"createdAt[lt]": NOON})
        assert refusals(get_page(ten.client, {"cursor": cursor, "q": "ana"})) == {"/cursor": "other-filter"}

    @pytest.mark.parametrize(
        "cursor",
        [
            *("", "x", "=", "====", "a" * 16_000, "é", "\x00", "null", ID, "W10=", "%%%", "[]", " "),
            *map(encoded, (None, 1, "abc", [], {}, [{}, None], [{}, None, ID, 1], {"a": 1, "b": 2, "c": 3})),
            *map(encoded, ([[], None, ID], [None, None, ID], ["", None, ID], [{}, None, None], [{}, None, 1])),
            *map(encoded, ([{}, None, "x"], [{}, None, ID + "\n"], [{}, None, ID[1:]], [{}, None, {"$gt": ""}])),
            *map(encoded, ([{}, NOON, ID], [{}, 5, ID], [{}, {"$gt": 1}, ID], [{"createdAt[gt]": NOON}, None, ID])),
            *map(encoded, ([{"createdAt[gt]": NOON}, "yesterday", ID], [{"createdAt[gt]": NOON}, 5, ID])),
            *map(encoded, ([{"createdAt[gt]": "yesterday"}, NOON, ID], [{"createdAt[gt]": None}, NOON, ID])),
            *map(encoded, ([{"createdAt[gt]": NOON}, "0001-01-01T00:00:00+05:00", ID], [{"x": "y"}, None, ID])),
            *map(encoded, ([{"q": ["a"]}, None, ID], [{"q": {"a": 1}}, None, ID], [{"q": None}, None, ID])),
            *map(encoded, ([{"taxId": ["A"]}, None, ID], [{"email": {"$ne": 1}}, None, ID], [{"q": 5}, None, ID])),
            *map(encoded, ([{"taxId": ""}, None, ID], [{"q": "x" * 256}, None, ID], [{"include": "total"}, None, ID])),
            *map(
                encoded, ([{"limit": "1"}, None, ID], [{"cursor": "x"}, None, ID], [{"search.tokens": "x"}, None, ID])
            ),
            *map(encoded, ([{"metadata[a.b]": "x"}, None, ID], [{"metadata": {"a": "b"}}, None, ID])),
            encoded([{f"metadata[{number}]": "x" for number in range(6)}, None, ID]),
            encoded("[" * 100_000),
            base64.urlsafe_b64encode(b"[" * 100_000).decode(),
            base64.urlsafe_b64encode(b'[{"q":"\\ud800"},null,"' + ID.encode() + b'"]').decode(),
            base64.urlsafe_b64encode(b"\xff\xfe").decode(),
        ],
    )
    def test_a_cursor_that_no_list_gave(self, shared: Service, cursor: str) -> None:
        assert refusals(get_page(shared.client, {"cursor": cursor})) == INVALID

    def test_a_cursor_with_a_change(self, ten: Service) -> None:
        cursor = next_cursor(ten, q="ana")
        for place in range(len(cursor)):
            for changed in (
                cursor[:place],
                cursor[:place] + "!" + cursor[place + 1 :],
                cursor[:place] + cursor[place + 1 :],
            ):
                response = get_page(ten.client, {"cursor": changed})
                assert response.status_code == 200 or refusals(response) == INVALID

    @given(CURSORS)
    @example(({"q": ["a"]}, None, ID))
    @example(({"q": "a\x00"}, None, ID))
    @example(({"externalId": "a\x00"}, None, ID))
    def test_any_json_as_a_cursor_is_used_or_refused(self, shared: Service, value: tuple[object, ...]) -> None:
        response = get_page(shared.client, {"cursor": encoded(value)})
        assert response.status_code == 200 or refusals(response) == INVALID

    @given(st.binary(max_size=60))
    def test_any_bytes_as_a_cursor_are_refused(self, shared: Service, value: bytes) -> None:
        text = base64.urlsafe_b64encode(value).decode()
        assert refusals(get_page(shared.client, {"cursor": text})) == INVALID
        assert refusals(get_page(shared.client, {"cursor": value})) == INVALID

    def test_another_organizations_cursor_shows_nothing_of_it(self, ten: Service) -> None:
        store(ten.database, (living(n, "B", taxId=f"B{n}") for n in range(20, 25)), "B")
        for filters in ({}, {"q": "ana"}):
            cursor = next_cursor(ten, **filters)
            response = get_page(ten.client, {"cursor": cursor}, "B")
            assert numbers(response) == ([] if filters else [20, 21, 22, 23, 24])
            assert response.json is not None
            assert {customer["organizationId"] for customer in response.json["data"]} <= {"B"}


class TestTimes:
    OPERATORS = ("gt", "gte", "lt", "lte")

    @pytest.mark.parametrize("name", ["createdAt", "updatedAt"])
    def test_bounds(self, ten: Service, name: str) -> None:
        fifth = "2025-01-01T00:00:05Z"
        expected = {"gt": range(6, 10), "gte": range(5, 10), "lt": range(5), "lte": range(6)}
        for operator, each in expected.items():
            assert numbers(get_page(ten.client, {f"{name}[{operator}]": fifth})) == list(each)
        both = {f"{name}[gt]": "2025-01-01T00:00:02Z", f"{name}[lte]": fifth}
        assert numbers(get_page(ten.client, both)) == [3, 4, 5]
        assert numbers(get_page(ten.client, {**both, "q": "ana 1"})) == [3, 5]
        assert numbers(get_page(ten.client, {f"{name}[gt]": fifth, f"{name}[lt]": fifth})) == []
        nested = {**both, f"{name}[gte]": "2025-01-01T00:00:04Z", f"{name}[lt]": "2025-01-01T00:00:05Z"}
        assert numbers(get_page(ten.client, nested)) == [4]

    def test_bounds_on_both_times(self, ten: Service) -> None:
        store(ten.database, [living(20, createdAt=START + timedelta(seconds=3), updatedAt=START - timedelta(days=1))])
        query = {"createdAt[gte]": "2025-01-01T00:00:03Z", "updatedAt[lt]": "2025-01-01T00:00:05Z"}
        assert numbers(get_page(ten.client, query)) == [3, 20, 4]
        assert list(chain(*pages(ten.client, {**query, "limit": 1}))) == [3, 20, 4]

    @pytest.mark.parametrize("name", ["createdAt", "updatedAt"])
    @pytest.mark.parametrize("limit", [1, 3, 4, 5, 100])
    def test_ties_are_walked_by_id(self, service: Service, name: str, limit: int) -> None:
        times = [START + timedelta(milliseconds=250 * (number * 7 % 3)) for number in range(24)]
        store(service.database, [{**living(number), name: moment} for number, moment in enumerate(times)])
        expected = sorted(range(24), key=lambda number: (times[number], number))
        for bound in (
            {"[gte]": "2025-01-01T00:00:00Z"},
            {"[gte]": "2024-01-01T00:00:00Z", "[lt]": "2026-01-01T00:00:00Z"},
        ):
            query = {name + operator: moment for operator, moment in bound.items()}
            walked = list(pages(service.client, {**query, "limit": limit}))
            assert list(chain(*walked)) == expected
            assert {len(page) for page in walked[:-1]} <= {limit}
            assert list(chain(*pages(service.client, {**query, "q": "dunder", "limit": limit}))) == expected

    def test_the_same_moment_in_another_offset(self, ten: Service) -> None:
        for moment in ("2025-01-01T00:00:05Z", "2024-12-31T18:00:05-06:00", "2025-01-01T05:30:05.000+05:30"):
            assert numbers(get_page(ten.client, {"createdAt[gt]": moment})) == [6, 7, 8, 9]

    @pytest.mark.parametrize(
        ("moment", "after", "before"),
        [
            ("00:00:00.250Z", (["gt", 2], ["gte", 1]), (["lt", 1], ["lte", 2])),
            ("00:00:00.2500Z", (["gt", 2], ["gte", 1]), (["lt", 1], ["lte", 2])),
            ("00:00:00.2500001Z", (["gt", 2], ["gte", 2]), (["lt", 2], ["lte", 2])),
            ("00:00:00.249999999Z", (["gt", 1], ["gte", 1]), (["lt", 1], ["lte", 1])),
            ("00:00:00.2509Z", (["gt", 2], ["gte", 2]), (["lt", 2], ["lte", 2])),
        ],
    )
    def test_a_bound_between_two_milliseconds(
        self, service: Service, moment: str, after: tuple[list[Any], ...], before: tuple[list[Any], ...]
    ) -> None:
        store(service.database, [living(n, createdAt=START + timedelta(milliseconds=250 * n)) for n in range(3)])
        for operator, first in after:
            assert numbers(get_page(service.client, {f"createdAt[{operator}]": f"2025-01-01T{moment}"})) == list(
                range(first, 3)
            )
        for operator, end in before:
            assert numbers(get_page(service.client, {f"createdAt[{operator}]": f"2025-01-01T{moment}"})) == list(
                range(end)
            )

    @pytest.mark.parametrize("operator", OPERATORS)
    @pytest.mark.parametrize(
        "moment",
        [
            *("", "2025", "2025-01-01", "2025-01-01T00:00:00", "2025-01-01 00:00:00Z", "1735689600", "now"),
            *("2025-02-29T00:00:00Z", "2025-13-01T00:00:00Z", "2025-01-01T24:00:00Z", "2016-12-31T23:59:60Z"),
            *(
                "2025-01-01T00:00:00+24:00",
                "2025-01-01T00:00:00+00:60",
                "2025-01-01T00:00:00.Z",
                "٢025-01-01T00:00:00Z",
            ),
            *(
                "0000-01-01T00:00:00Z",
                "0001-01-01T00:00:00+01:00",
                "9999-12-31T23:59:59-01:00",
                "2025-01-01T00:00:00ZZ",
            ),
            *("9999-12-31T23:59:59.9999Z", "2025-01-01T00:00:00Z\n", "2025-01-01T00:00:00.1234567890Z", '{"$gt": 1}'),
        ],
    )
    def test_a_time_that_is_none(self, shared: Service, operator: str, moment: str) -> None:
        name = f"createdAt[{operator}]"
        assert refusals(get_page(shared.client, {name: moment})) == {f"/{name}": "invalid-instant"}

    @pytest.mark.parametrize("operator", OPERATORS)
    @pytest.mark.parametrize(
        "moment",
        ["2024-02-29T00:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999Z", "2025-01-01T00:00:00-00:00"],
    )
    def test_a_time_at_the_edge(self, ten: Service, operator: str, moment: str) -> None:
        assert len(numbers(get_page(ten.client, {f"updatedAt[{operator}]": moment}))) in {0, 1, 9, 10}

    def test_a_plus_sign_that_is_not_encoded_is_a_space(self, shared: Service) -> None:
        name = "createdAt[gt]"
        for query, status in ((f"{name}=2025-01-01T00:00:00%2B00:00", 200), (f"{name}=2025-01-01T00:00:00+00:00", 422)):
            response = shared.client.get(f"{list_url()}?{query}", headers=bearer())
            assert response.status_code == status
        assert refusals(response) == {f"/{name}": "invalid-instant"}

    @given(st.datetimes(datetime(2025, 1, 1), datetime(2025, 1, 1, 0, 0, 3)), st.sampled_from(OPERATORS))  # noqa: DTZ001
    def test_any_time_bounds_as_it_says(self, shared: Service, moment: datetime, operator: str) -> None:
        compare = {"gt": datetime.__gt__, "gte": datetime.__ge__, "lt": datetime.__lt__, "lte": datetime.__le__}[
            operator
        ]
        found = numbers(get_page(shared.client, {f"createdAt[{operator}]": f"{moment.isoformat()}Z"}))
        assert found == [number for number in range(3) if compare(START + timedelta(seconds=number), moment)]
