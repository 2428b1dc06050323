"""GET of an organization's customers: order, pages, filters, and refused queries."""

from __future__ import annotations

import time
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Any

import pymongo
import pytest

from tests.support import CUSTOMER_ID, MEMBER, OTHER_ORGANIZATION, STRANGER, Service, bearer, customers_url, url
from tests.support.lists import LISTED, START, deleted, get_page, list_url, living, numbers, pages, refusals, store

if TYPE_CHECKING:
    from flask.testing import FlaskClient
    from pymongo.database import Database

    from customer_service.repository.database import Document

HOSTILE = [".*", "(", "(a+)+$", "[", "\\", "\x00", "a\x00", "^", "$", "*", "?", "{1}", "\ud7ff", "\u0301", "a" * 255]
NAMES = {
    1: {"legalName": "JOSÉ MUÑOZ PÉREZ", "externalId": "crm-1"},
    2: {"legalName": "María Muñoz", "externalId": "CRM-1"},
    3: {"legalName": "JOSE PEREZ", "email": "Jose@Example.com"},
    4: {"legalName": "Panadería (La Ñ) S.A. de C.V.", "externalId": "a/b c"},
    5: {"legalName": "Перец 🍕 .*", "taxId": "ZZZ010101AB1"},
}


@pytest.fixture
def named(service: Service) -> Service:
    store(service.database, [living(number, **values) for number, values in NAMES.items()])
    return service


def found(service: Service, **query: str) -> list[int]:
    return numbers(get_page(service.client, query))


class TestAccess:
    def test_who_may_read(self, named: Service) -> None:
        statuses = {}
        for caller, headers in (("anonymous", {}), (STRANGER, bearer(STRANGER)), (MEMBER, bearer())):
            for query in ("", "?limit=0&x=1"):
                response = named.client.get(list_url() + query, headers=headers)
                statuses[caller, query] = response.status_code
        assert list(statuses.values()) == [401, 401, 403, 403, 200, 422]
        assert named.client.get(list_url("unknown"), headers=bearer()).status_code == 403

    def test_neither_other_organizations_nor_the_deleted_are_listed(self, service: Service) -> None:
        store(service.database, [living(9, OTHER_ORGANIZATION)], OTHER_ORGANIZATION)
        store(service.database, [living(1), deleted(2), living(3)])
        times = {"createdAt[gte]": "2025-01-01T00:00:00Z"}
        for query in ({}, {"q": "dunder"}, {"q": "box"}, times, {"q": "dunder", **times}, {"q": "dunder mifflin"}):
            response = get_page(service.client, {"include": "total", **query})
            assert numbers(response) == [1, 3]
            assert response.json is not None
            assert response.json["total"] == 2
        for query in ({"email": "box2@example.com"}, {"taxId": "TAX000009AB1"}, {"q": "TAX000002"}):
            assert numbers(get_page(service.client, query)) == []


class TestPages:
    def test_an_empty_organization(self, service: Service) -> None:
        store(service.database, [])
        response = get_page(service.client, {"include": "total"})
        assert response.json == {"data": [], "nextCursor": None, "total": 0}
        assert "Link" not in response.headers
        assert response.headers["Cache-Control"] == "private, no-cache"

    def test_the_order_is_of_the_ids_and_fifty_are_a_page(self, service: Service) -> None:
        store(service.database, [living(number, createdAt=START) for number in range(120, 0, -1)])
        walked = list(pages(service.client, {}))
        assert [len(page) for page in walked] == [50, 50, 20]
        assert list(chain(*walked)) == list(range(1, 121))

    @pytest.mark.parametrize("limit", [1, 6, 7, 8, 100])
    def test_a_walk_yields_each_once(self, service: Service, limit: int) -> None:
        store(service.database, map(living, range(14)))
        walked = list(pages(service.client, {"limit": limit}))
        assert list(chain(*walked)) == list(range(14))
        assert {len(page) for page in walked[:-1]} <= {limit}
        assert walked[-1]

    @pytest.mark.parametrize("base", ["", "/api"])
    def test_the_link_keeps_the_path_and_the_question(self, service: Service, base: str) -> None:
        store(service.database, map(living, range(5)))
        query = {"limit": 2, "q": "dunder", "include": "total"}
        first = service.client.get(list_url(base=base), query_string=query, headers=bearer())
        link = first.headers["Link"].partition(">")[0][1:]
        assert link.startswith(list_url(base=base).replace(" ", "%20") + "?")
        second = service.client.get(link, headers=bearer())
        assert numbers(second) == [2, 3]
        assert second.json is not None
        assert second.json["total"] == 5

    def test_the_limit_may_change_midway(self, service: Service) -> None:
        store(service.database, map(living, range(9)))
        first = get_page(service.client, {"limit": 2})
        assert first.json is not None
        assert numbers(get_page(service.client, {"limit": 4, "cursor": first.json["nextCursor"]})) == [2, 3, 4, 5]
        assert numbers(get_page(service.client, {"cursor": first.json["nextCursor"]})) == list(range(2, 9))

    @pytest.mark.parametrize(
        "limit", ["0", "101", "-1", "abc", "1.0", "", "01", "+1", " 1", "1 ", "1e1", "٣", "9" * 99]
    )
    def test_a_limit_out_of_range(self, named: Service, limit: str) -> None:
        assert refusals(get_page(named.client, {"limit": limit})) == {"/limit": "invalid-value"}


class TestSearch:
    @pytest.mark.parametrize(
        ("q", "expected"),
        [
            ("", [1, 2, 3, 4, 5]),
            (" \t\u2003", [1, 2, 3, 4, 5]),
            ("munoz", [1, 2]),
            ("MUÑOZ", [1, 2]),
            ("Muno", [1, 2]),
            ("unoz", []),
            ("jose perez", [1, 3]),
            ("pérez\u3000jo", [1, 3]),
            ("perez jose jos j", [1, 3]),
            ("perez maria", []),
            ("jose perez munoz", [1]),
            ("jose p m", [1]),
            ("tax", [1, 2, 3, 4]),
            ("TAX000003AB1 perez", [3]),
            ("jose@", [3]),
            ("example.com", []),
            ("crm", [1, 2]),
            ("a/b", [4]),
            ("c", [1, 2, 4]),
            ("crm-1 c", [1, 2]),
            ("(la", [4]),
            ("la n", [4]),
            ("s.a. c.v.", [4]),
            ("пер", [5]),
            ("🍕", [5]),
            (".*", [5]),
            ("* ", []),
            ("L", [4]),
        ],
    )
    def test_words(self, named: Service, q: str, expected: list[int]) -> None:
        assert found(named, q=q) == expected

    @pytest.mark.parametrize(
        ("q", "expected"),
        [
            ("lopez", [1, 2]),
            ("hermanos", [1, 2]),
            ("hermanos-lopez", [1, 2]),
            ("hermanoslopez", [1]),
            ("hermanos-perez", []),
            ("stprm", [3]),
            ("S.T.P.R.M.", [3]),
            ("s.t.p", [3]),
            ("obrien", [4]),
            ("brien", [4, 5]),
            ("O\u2019BRIEN", [4, 5]),
            ("o'brien cia", [4]),
            ("o'brien", [4, 5]),
            ("O.Brien, Cia.", [4]),
            ("& obrien", [4]),
            ("box.4@example.com", [4]),
            ("box.4", [4]),
            ("lópez, hermanos", [1, 2]),
        ],
    )
    def test_punctuation_parts_and_joins(self, service: Service, q: str, expected: list[int]) -> None:
        names = ["HERMANOS-LÓPEZ", "LÓPEZ HERMANOS", "S.T.P.R.M. SECCION 1", "O'BRIEN & CIA", "O BRIEN"]
        customers = [living(number, legalName=name) for number, name in enumerate(names, 1)]
        store(
            service.database, [*customers[:3], living(4, legalName=names[3], email="box.4@example.com"), customers[4]]
        )
        assert found(service, q=q) == expected
        assert found(service, q=q, **{"createdAt[gte]": "2025-01-01T00:00:00Z"}) == expected
        assert list(chain(*pages(service.client, {"q": q, "limit": 1}))) == expected

    @pytest.mark.parametrize(
        ("q", "expected"),
        [
            ("6474010101", [1, 2, 3, 5]),
            ("647 401 0101", [1, 2, 3]),
            (" (647) 401-01.01 ", [1, 2, 3]),
            ("+52 647 401 0101", [1, 2, 3]),
            ("526474010101", [1, 2, 3]),
            ("dunder 6474010101", [5]),
            ("sabre 6474010101", []),
            ("647401010", [5]),
            ("64740101019", [5]),
            ("647 401 010", []),
            ("2025550143", [6]),
            ("+1 202-555-0143", [6]),
        ],
    )
    def test_a_whole_phone(self, service: Service, q: str, expected: list[int]) -> None:
        phones = ["6474010101", "+52 647 401 0101", "(647) 401\u00a001-01", "5512345678", None, "+1 202 555 0143", "x"]
        customers = [living(number, phone=phone) for number, phone in enumerate(phones, 1) if number != 5]
        store(service.database, [*customers, living(5, phone=None, externalId="64740101019")])
        assert found(service, q=q) == expected
        assert found(service, q=q, **{"createdAt[gte]": "2025-01-01T00:00:00Z"}) == expected
        assert list(chain(*pages(service.client, {"q": q, "limit": 1}))) == expected

    def test_a_phone_that_changes(self, editor: FlaskClient) -> None:
        editor.patch(url(), json={"phone": "55 1234 5678"}, content_type="application/merge-patch+json")
        for q, count in (("6474010101", 0), ("5512345678", 1)):
            assert len(editor.get(customers_url(), query_string={"q": q}).get_json()["data"]) == count

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ({"taxId": "zzz010101ab1"}, [5]),
            ({"taxId": "ZZZ010101AB"}, []),
            ({"email": "jose@example.com"}, [3]),
            ({"email": "BOX1@EXAMPLE.COM"}, [1]),
            ({"externalId": "crm-1"}, [1]),
            ({"externalId": "CRM-1"}, [2]),
            ({"externalId": "a/b c"}, [4]),
            ({"externalId": "crm-1", "q": "munoz"}, [1]),
            ({"externalId": "crm-1", "q": "maria"}, []),
            ({"externalId": "crm-1", "email": "box1@example.com", "taxId": "TAX000001AB1"}, [1]),
            ({"externalId": "crm-1", "email": "box2@example.com"}, []),
            ({"email": "box1@example.com", "createdAt[gt]": "2025-01-01T00:00:00Z"}, [1]),
            ({"email": "box1@example.com", "createdAt[gt]": "2025-01-01T00:00:01Z"}, []),
            ({"q": "munoz", "updatedAt[gt]": "2025-01-01T00:00:01Z"}, [2]),
            ({"q": "perez", "email": "jose@example.com", "createdAt[lt]": "2026-01-01T00:00:00Z"}, [3]),
        ],
    )
    def test_exact_keys_and_combinations(self, named: Service, query: dict[str, str], expected: list[int]) -> None:
        assert found(named, **query) == expected

    @pytest.mark.parametrize("name", ["taxId", "email", "externalId"])
    @pytest.mark.parametrize("value", ["\x00", ".*", "$ne", "*", "L", "x" * 255])
    def test_an_exact_key_is_literal(self, named: Service, name: str, value: str) -> None:
        assert found(named, **{name: value}) == []

    @pytest.mark.parametrize("name", ["q", "taxId", "email", "externalId"])
    def test_a_text_has_at_most_255_characters(self, named: Service, name: str) -> None:
        assert found(named, **{name: "🍕" * 255}) == []
        assert refusals(get_page(named.client, {name: "x" * 256})) == {f"/{name}": "invalid-length"}
        assert refusals(get_page(named.client, {name: "x" * 10_000})) == {f"/{name}": "invalid-length"}

    @pytest.mark.parametrize("name", ["taxId", "email", "externalId"])
    def test_an_exact_key_is_not_empty(self, named: Service, name: str) -> None:
        assert refusals(get_page(named.client, {name: ""})) == {f"/{name}": "invalid-length"}

    def test_a_walk_through_a_search(self, service: Service) -> None:
        store(service.database, [living(n, legalName=f"{'ANA' if n % 3 else 'EVA'} LUZ {n % 2}") for n in range(30)])
        for q, expected in (
            ("ana", [n for n in range(30) if n % 3]),
            ("luz an", [n for n in range(30) if n % 3]),
            ("lu ana 1", [n for n in range(30) if n % 3 and n % 2]),
        ):
            assert list(chain(*pages(service.client, {"q": q, "limit": 4}))) == expected

    @pytest.mark.timed
    def test_hostile_texts_are_literal_and_quick(self, database: Database[Document], service: Service) -> None:
        real = isinstance(database.client, pymongo.MongoClient)
        names = (f"{'A' * 30} {n} CUSTOMER {'a' * n}!"[:300] for n in range(1000 if real else 30))
        store(database, (living(n, legalName=name) for n, name in enumerate(names)))
        for q in (each + hostile for each in ("", "aaaa ", "aaaa customer ") for hostile in HOSTILE):
            elapsed = []
            for _ in range(3):
                began = time.perf_counter()
                response = get_page(service.client, {"q": q[:255]})
                elapsed.append(time.perf_counter() - began)
            assert response.status_code == 200
            assert min(elapsed) < 0.1 or not real, q


class TestMetadata:
    ENTRIES: tuple[dict[str, str], ...] = (
        {"segment": "paper", "a b": "c", "a]b": "d", "ñ": "Ñ"},
        {"segment": "Paper", "a": "b c"},
        {"segment": "paper", "empty": "", "long": "x" * 500},
    )

    @pytest.fixture
    def tagged(self, service: Service) -> Service:
        store(service.database, [living(number, metadata=entries) for number, entries in enumerate(self.ENTRIES)])
        store(service.database, [living(8), deleted(9, metadata=self.ENTRIES[0])])
        return service

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ({"metadata[segment]": "paper"}, [0, 2]),
            ({"metadata[segment]": "Paper"}, [1]),
            ({"metadata[segment]": "pape"}, []),
            ({"metadata[segment]": ""}, []),
            ({"metadata[Segment]": "paper"}, []),
            ({"metadata[empty]": ""}, [2]),
            ({"metadata[a b]": "c"}, [0]),
            ({"metadata[a]": "b c"}, [1]),
            ({"metadata[a]b]": "d"}, [0]),
            ({"metadata[ñ]": "Ñ"}, [0]),
            ({"metadata[ñ]": "ñ"}, []),
            ({"metadata[long]": "x" * 500}, [2]),
            ({"metadata[long]": "x" * 499}, []),
            ({"metadata[segment]": "\x00"}, []),
            ({"metadata[segment]": "paper", "metadata[a b]": "c"}, [0]),
            ({"metadata[segment]": "paper", "metadata[a]": "b c"}, []),
            ({"metadata[segment]": "paper", "q": "dunder", "createdAt[gt]": "2025-01-01T00:00:00Z"}, [2]),
        ],
    )
    def test_an_entry_is_compared_exactly(self, tagged: Service, query: dict[str, str], expected: list[int]) -> None:
        assert found(tagged, **query) == expected
        assert list(chain(*pages(tagged.client, {**query, "limit": 1}))) == expected

    def test_what_is_changed_is_found(self, editor: FlaskClient) -> None:
        def ids(value: str) -> list[str]:
            page = editor.get(customers_url(), query_string={"metadata[segment]": value}).get_json()
            return [customer["id"] for customer in page["data"]]

        for value in ("paper", "steel"):
            assert editor.patch(url(), json={"metadata": {"segment": value}}).status_code == 200
            assert ids(value) == [CUSTOMER_ID]
        assert ids("paper") == []
        assert editor.patch(url(), json={"metadata": None}).status_code == 200
        assert ids("steel") == []

    @pytest.mark.parametrize("name", ["", "x" * 41, "a.b", "$a", "a\n", "a\x00"])
    def test_a_name_that_no_entry_has(self, tagged: Service, name: str) -> None:
        refused = refusals(get_page(tagged.client, {f"metadata[{name}]": "x"}))
        assert refused == {f"/metadata[{name}]": "invalid-metadata"}

    @pytest.mark.parametrize("query", ["metadata=x", "metadata[=x", "metadata]=x", "metadata[a]b=x", "Metadata[a]=x"])
    def test_a_parameter_that_names_no_entry(self, tagged: Service, query: str) -> None:
        assert refusals(get_page(tagged.client, query)) == {f"/{query[:-2]}": "unknown-parameter"}

    def test_a_value_has_at_most_500_characters(self, tagged: Service) -> None:
        refused = refusals(get_page(tagged.client, {"metadata[a]": "x" * 501}))
        assert refused == {"/metadata[a]": "invalid-metadata"}

    def test_an_entry_is_named_once(self, tagged: Service) -> None:
        refused = refusals(get_page(tagged.client, "metadata[a]=x&metadata[a]=y"))
        assert refused == {"/metadata[a]": "repeated-parameter"}

    def test_at_most_five(self, tagged: Service) -> None:
        five = {f"metadata[{number}]": "x" for number in range(5)}
        assert found(tagged, **five) == []
        assert refusals(get_page(tagged.client, {**five, "metadata[a]": "x"})) == {"/metadata": "too-many-filters"}


class TestParameters:
    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ("page=2", {"/page": "unknown-parameter"}),
            ("a%2Fb~=2", {"/a~1b~0": "unknown-parameter"}),
            ("=2", {"/": "unknown-parameter"}),
            ("Limit=2", {"/Limit": "unknown-parameter"}),
            ("createdAt=2025-01-01T00:00:00Z", {"/createdAt": "unknown-parameter"}),
            ("createdAt[ne]=2025-01-01T00:00:00Z", {"/createdAt[ne]": "unknown-parameter"}),
            ("createdAt[$gt]=1", {"/createdAt[$gt]": "unknown-parameter"}),
            ("deletedAt[gt]=2025-01-01T00:00:00Z", {"/deletedAt[gt]": "unknown-parameter"}),
            ("q[$ne]=x", {"/q[$ne]": "unknown-parameter"}),
            ("q=a&q=a", {"/q": "repeated-parameter"}),
            ("x=1&x=2", {"/x": "repeated-parameter"}),
            ("limit=1&limit=1", {"/limit": "repeated-parameter"}),
            ("include=other", {"/include": "invalid-value"}),
            ("include=", {"/include": "invalid-value"}),
            ("include=total,total", {"/include": "invalid-value"}),
            ("satValidation=", {"/satValidation": "invalid-value"}),
            ("satValidation=Matched", {"/satValidation": "invalid-value"}),
            ("satValidation=matched,unchecked", {"/satValidation": "invalid-value"}),
            ("satValidation=matched&satValidation=unchecked", {"/satValidation": "repeated-parameter"}),
            (
                "limit=0&x=1&email=&include=x",
                {
                    "/limit": "invalid-value",
                    "/x": "unknown-parameter",
                    "/email": "invalid-length",
                    "/include": "invalid-value",
                },
            ),
        ],
    )
    def test_what_is_refused_is_named(self, named: Service, query: str, expected: dict[str, str]) -> None:
        assert refusals(get_page(named.client, query)) == expected

    @pytest.mark.parametrize("query", [{}, {"q": "munoz"}, {"createdAt[gt]": "2025-01-01T00:00:03Z"}])
    def test_the_total_counts_the_whole_list(self, named: Service, query: dict[str, Any]) -> None:
        total = len(list(chain(*pages(named.client, query))))
        response = get_page(named.client, {**query, "include": "total", "limit": 1})
        assert response.json is not None
        assert (response.json["total"], len(response.json["data"])) == (total, 1)
        without = get_page(named.client, query).json
        assert without is not None
        assert "total" not in without

    def test_a_search_that_matches_nothing_counts_nothing(self, named: Service) -> None:
        response = get_page(named.client, {"q": "\x01", "include": "total"})
        assert response.json == {"data": [], "nextCursor": None, "total": 0}


def test_a_walk_goes_on_among_changes(service: Service) -> None:
    store(service.database, map(living, range(0, 40, 2)))
    walk = pages(service.client, {"limit": 3})
    walked = []
    for page, (_, later) in zip(walk, pairwise(range(0, 100, 7)), strict=False):
        walked += page
        service.database.customers.delete_one({"_id": living(page[0])["_id"], "organizationId": LISTED})
        store(service.database, [living(1000 + later)])
    assert walked == sorted(set(walked))
    assert set(range(0, 40, 2)) <= set(walked)
