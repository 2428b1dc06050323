"""Documents of another program that break the rules can still be changed, and lose no field."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest
from bson import Code, CodecOptions, DatetimeMS, ObjectId, encode
from bson.raw_bson import RawBSONDocument

from customer_service.repository import backfill_search_fields, backfill_unique_keys, ensure_indexes
from customer_service.repository.database import connect
from customer_service.settings import MongoSettings
from tests.support import (
    CUSTOMER_ID,
    EXAMPLE,
    ORGANIZATION,
    PATIENT_MS,
    STRANGER,
    Service,
    bearer,
    caller,
    customers_url,
    findings,
    new_customer,
    problem,
    serve,
    stored,
    url,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask.testing import FlaskClient
    from pymongo.database import Database

    from customer_service.repository.database import Document

KEY = {"_id": ObjectId(CUSTOMER_ID)}
NOT_UTF_8 = b"\x0e\x00\x00\x00\x02a\x00\x02\x00\x00\x00\xff\x00\x00"
"""{"a": "\xff"} in BSON."""
MARK = "~~~~"
"""The text that `not_utf_8` replaces by bytes that are not UTF-8, and that are read as UNREADABLE."""
UNREADABLE = "\ufffd" * len(MARK)

ODDITIES: list[dict[str, Any]] = [
    {"legalName": "A|B"},
    {"taxId": "NOT AN RFC"},
    {"taxSystem": "999"},
    {"defaultInvoiceUse": "D01"},
    {"email": "nowhere"},
    {"phone": "call me"},
    {"externalId": "a\nb"},
    {"metadata": {str(number): "" for number in range(60)}},
    {"metadata": {"a.b/c~d": "v" * 600}},
    {"address": {}},
    {"address.zip": None},
    {"address.zip": "8650"},
    {"address.country": "México"},
    {"address.street": "x" * 300},
]


def oddly(service: Service, change: dict[str, Any]) -> None:
    if "metadata" in change:  # the shell's way of storing a dotted key
        service.database.customers.replace_one(KEY, (service.database.customers.find_one(KEY) or {}) | change)
    else:
        service.database.customers.update_one(KEY, {"$set": change})


def not_utf_8(service: Service, change: dict[str, Any]) -> None:
    """Change the stored customer so, with bytes that are not UTF-8 in the place of each MARK."""
    document = (service.database.customers.find_one(KEY) or {}) | change
    raw = RawBSONDocument(encode(document).replace(MARK.encode(), b"\xff" * len(MARK)))
    service.database.customers.delete_one(KEY)
    service.database.customers.insert_one(raw)


@pytest.fixture
def of_the_service(mongodb: Database[Document], mongodb_uri: str) -> Iterator[Service]:
    """The service with a client of its own, as a worker has it."""
    database = connect(MongoSettings(f"{mongodb_uri}&tz_aware=true", mongodb.name, PATIENT_MS))
    yield serve(database)
    database.client.close()


@pytest.mark.parametrize("value", [DatetimeMS(2**53), DatetimeMS(-(2**53)), RawBSONDocument(NOT_UTF_8)], ids=str)
def test_a_value_that_python_cannot_read_hides_no_other_customer(of_the_service: Service, value: object) -> None:
    editor, customers = caller(of_the_service, "editor"), of_the_service.database.customers
    ensure_indexes(of_the_service.database)
    customers.update_one(KEY, {"$set": {"search": [""]}})
    example = customers.find_one(KEY) or {}
    customers.insert_many([example | {"_id": ObjectId(), field: value} for field in ("validUntil", "createdAt")])
    page = editor.get(customers_url()).get_json()
    assert (len(page["data"]), len(page["unreadable"])) == (2, 1)
    since = editor.get(customers_url("?createdAt[gte]=0001-01-01T00:00:00Z&limit=1")).get_json()
    rest = editor.get(customers_url(f"?limit=1&cursor={since['nextCursor']}")).get_json()
    assert (len(since["data"]), len(rest["data"]), rest["nextCursor"]) == (1, 1, None)


@pytest.mark.parametrize("time", [{"$date": "2025-01-01T00:00:00Z"}, [{"$date": 1}], {"a.b": 1}], ids=str)
def test_a_time_of_extended_json_stops_no_write(service: Service, admin: FlaskClient, time: object) -> None:
    """A program may have loaded a dump without parsing it; no `_id` may hold such names."""
    for method, path in (("DELETE", url()), ("POST", f"{url()}/erasure")):
        document = (service.database.customers.find_one(KEY) or {}) | {"updatedAt": time}
        document.pop("deletedAt", None)
        service.database.customers.replace_one(KEY, document)
        assert admin.open(path, method=method).status_code in {200, 204}
        problem(admin.get(url()), 404, "customer-not-found")


@pytest.mark.parametrize("field", ["taxSystem", "defaultInvoiceUse", "legalName", "address.zip"])
def test_javascript_code_is_no_text(service: Service, editor: FlaskClient, field: str) -> None:
    """The driver's class for it is a subclass of str that has no hash."""
    service.database.customers.update_one(KEY, {"$set": {field: Code("601")}})
    for answer in (editor.get(url()), editor.get(f"{url()}/tax-info-validation"), editor.patch(url(), json={})):
        problem(answer, 500, "malformed-document")


def test_a_backfill_takes_no_stored_value_for_an_operator(service: Service) -> None:
    customers = service.database.customers
    customers.update_one(KEY, {"$set": {"updatedAt": {"$date": "2025"}}})
    assert backfill_search_fields(service.database)[0] >= 1
    assert "search" in (customers.find_one(KEY) or {})
    customers.replace_one(KEY, (customers.find_one(KEY) or {}) | {"unique": {"$x": 1}})
    assert backfill_unique_keys(service.database) == (1, [])
    assert (customers.find_one(KEY) or {})["unique"] == {"taxId": "DUM901231AB3"}


def test_a_customer_whose_search_terms_mongodb_refuses_stops_no_backfill(of_the_service: Service) -> None:
    customers = of_the_service.database.customers
    document = (customers.find_one(KEY) or {}) | {"taxId": "VRE010101AB1"}
    size = 16 * 1024 * 1024 - len(encode(document | {"notes": ""}))
    customers.replace_one(KEY, document | {"notes": "x" * size})
    customers.insert_one(document | {"_id": ObjectId(), "taxId": "DUM901231AB3"})
    refused: list[str] = []
    assert backfill_search_fields(of_the_service.database, on_refused=refused.append)[0] >= 1
    assert refused == [CUSTOMER_ID]
    page = caller(of_the_service, "editor").get(customers_url()).get_json()
    assert [each["taxId"] for each in page["data"]] == ["DUM901231AB3"]


class TestTextThatIsNotUtf8:
    """It is read with U+FFFD in its place, and a write neither stores that nor repeats for ever."""

    def test_a_patch_of_another_field_keeps_the_bytes(self, of_the_service: Service) -> None:
        not_utf_8(of_the_service, {"legalName": MARK, "address": {"street": MARK, "city": "A", "zip": "86500"}})
        changed = caller(of_the_service, "editor").patch(url(), json={"phone": None, "address": {"city": "B"}})
        assert changed.get_json()["legalName"] == changed.get_json()["address"]["street"] == UNREADABLE
        assert (changed.get_json()["phone"], changed.get_json()["address"]["city"]) == (None, "B")
        raw: CodecOptions[Document] = CodecOptions(unicode_decode_error_handler="surrogateescape")
        document = of_the_service.database.get_collection("customers", raw).find_one(KEY) or {}
        kept = "\udcff" * len(MARK)
        assert (document["legalName"], document["address"]["street"]) == (kept, kept)

    @pytest.mark.parametrize("field", ["version", "updatedAt"])
    def test_no_write_repeats_for_ever(self, of_the_service: Service, field: str) -> None:
        not_utf_8(of_the_service, {field: MARK, "externalId": "mine", "unique": {"externalId": "mine"}})
        editor, before = caller(of_the_service, "editor"), stored(of_the_service)
        problem(editor.patch(url(), json={"phone": None}), 500, "malformed-document")
        problem(editor.delete(url()), 500, "malformed-document")
        problem(caller(of_the_service, "admin").post(url() + "/erasure"), 500, "malformed-document")
        batch = {"customers": [new_customer(externalId="mine", phone=None)]}
        (result,) = editor.post(customers_url("/batch-upsert"), json=batch).get_json()["results"]
        assert result["problem"]["type"].endswith("malformed-document")
        assert stored(of_the_service) == before

    @pytest.mark.parametrize("state", [{}, {"deletedAt": datetime(2025, 1, 1)}, {"score": float("nan")}])  # noqa: DTZ001
    @pytest.mark.parametrize("retention", [{"reason": MARK}, {"hold": MARK}, {"lastInvoicedOn": MARK}])
    def test_a_retention(self, of_the_service: Service, retention: dict[str, str], state: dict[str, Any]) -> None:
        not_utf_8(of_the_service, {"retention": retention, **state})
        before = stored(of_the_service)
        problem(caller(of_the_service, "admin").post(url() + "/erasure"), 500, "malformed-document")
        assert list(map(encode, stored(of_the_service))) == list(map(encode, before))


def test_a_customer_whose_copy_is_too_large_for_mongodb(of_the_service: Service) -> None:
    service = of_the_service
    document = service.database.customers.find_one(KEY) or {}
    size = 16 * 1024 * 1024 - len(encode(document | {"notes": ""}))
    service.database.customers.update_one(KEY, {"$set": {"notes": "x" * size}})
    editor, before = caller(service, "editor"), stored(service)
    problem(editor.patch(url(), json={"phone": None}), 500, "database-error")
    problem(editor.delete(url()), 500, "database-error")
    assert stored(service) == before


class TestPatch:
    """A patch answers for what it brings about."""

    @pytest.mark.parametrize("oddity", ODDITIES, ids=str)
    def test_something_else(self, service: Service, editor: FlaskClient, oddity: dict[str, Any]) -> None:
        oddly(service, oddity)
        before = editor.get(url()).get_json()
        change = {"phone": None} if "phone" not in oddity else {"legalName": "Other"}
        response = editor.patch(url(), json=change)
        assert response.status_code == 200, response.text
        after = response.get_json()
        kept = {name: value for name, value in before.items() if name not in {*change, "updatedAt", "address"}}
        assert {name: after[name] for name in kept} == kept
        assert before["address"] | {"country": after["address"]["country"]} == after["address"]
        assert editor.get(url()).get_json() == after

    @pytest.mark.parametrize(
        ("oddity", "change", "path"),
        [
            ({"legalName": "A|B"}, {"legalName": "B|A"}, "/legalName"),
            ({"taxId": "NOT AN RFC"}, {"taxId": "nor this"}, "/taxId"),
            ({"taxSystem": "999"}, {"taxSystem": "998"}, "/taxSystem"),
            ({"email": "nowhere"}, {"email": "elsewhere"}, "/email"),
            ({"phone": "call me"}, {"phone": "maybe"}, "/phone"),
            ({"externalId": "a\nb"}, {"externalId": "b\na"}, "/externalId"),
            ({"metadata": {"a.b/c~d": "v" * 600}}, {"metadata": {"a.b/c~d": "w"}}, "/metadata/a.b~1c~0d"),
            ({"address.zip": "8650"}, {"address": {"zip": "865"}}, "/address/zip"),
            ({"address.street": "x" * 300}, {"address": {"street": "y" * 300}}, "/address/street"),
        ],
    )
    def test_a_wrong_value_in_a_wrong_ones_place(
        self, service: Service, editor: FlaskClient, oddity: dict[str, Any], change: dict[str, Any], path: str
    ) -> None:
        oddly(service, oddity)
        before = stored(service)
        assert [found for found, _ in findings(editor.patch(url(), json=change))] == [path]
        assert stored(service) == before

    def test_an_impossible_name_goes(self, service: Service, editor: FlaskClient) -> None:
        oddly(service, {"metadata": {"a.b": "v", "c": "w"}})
        response = editor.patch(url(), json={"metadata": {"a.b": None}})
        assert response.get_json()["metadata"] == {"c": "w"}

    @pytest.mark.parametrize("oddity", [*ODDITIES, {"taxId": "dum901231ab3"}, {"address.country": None}], ids=str)
    def test_an_empty_one_writes_nothing(self, service: Service, editor: FlaskClient, oddity: dict[str, Any]) -> None:
        oddly(service, oddity)
        before, got = stored(service), editor.get(url())
        response = editor.patch(url(), json={})
        assert (response.status_code, response.get_json()) == (200, got.get_json())
        assert response.headers["ETag"] == got.headers["ETag"]
        assert stored(service) == before

    def test_other_programs_fields_stay(self, service: Service, editor: FlaskClient) -> None:
        oddly(service, {"internalNote": "x", "address.geo": [1, 2]})
        assert editor.patch(url(), json={"address": {"city": "Y"}}).status_code == 200
        document = service.database.customers.find_one(KEY) or {}
        assert document["internalNote"] == "x"
        assert document["address"] == EXAMPLE["address"] | {"city": "Y", "geo": [1, 2]}  # type: ignore[operator]

    @pytest.mark.parametrize("version", ["two", None, {"a": 1}, {"$gt": 1}, ["two"], 2**62, 2**63 - 1, 1.5, True])
    def test_versions(self, service: Service, editor: FlaskClient, version: object) -> None:
        oddly(service, {"version": version})
        etags = [editor.get(url()).headers["ETag"]]
        for name in ("A", "B"):
            response = editor.patch(url(), json={"legalName": name}, headers={"If-Match": etags[-1]})
            assert response.status_code == 200
            etags.append(response.headers["ETag"])
        assert len(set(etags)) == 3
        problem(editor.patch(url(), json={"phone": None}, headers={"If-Match": etags[1]}), 412, "version-mismatch")

    def test_no_version(self, service: Service, editor: FlaskClient) -> None:
        service.database.customers.update_one(KEY, {"$unset": {"version": ""}})
        assert editor.patch(url(), json={"phone": None}).status_code == 200
        assert (service.database.customers.find_one(KEY) or {})["version"] == 1

    def test_a_written_one_is_found_and_holds_its_keys(self, editor: FlaskClient) -> None:
        editor.patch(url(), json={"externalId": "mine"})
        assert editor.get(customers_url("/by-external-id/mine")).get_json()["id"] == CUSTOMER_ID
        assert [each["id"] for each in editor.get(customers_url("?q=dunder")).get_json()["data"]] == [CUSTOMER_ID]
        problem(editor.post(customers_url(), json=new_customer()), 409, "duplicate-tax-id")


class TestRestore:
    """A deleted one comes back with its keys in the form that the living have."""

    def test_keys(self, service: Service, editor: FlaskClient) -> None:
        oddly(service, {"taxId": " dum901231ab3"})
        assert editor.delete(url()).status_code == 204
        editor.post(customers_url(), json=new_customer())
        problem(editor.post(url() + "/restore"), 409, "duplicate-tax-id")


class TestUnreadable:
    """A customer that cannot be serialized is named, and the others are still returned."""

    @pytest.fixture
    def other(self, service: Service, editor: FlaskClient) -> str:
        """Return the id of a customer beside one that cannot be serialized."""
        answer = editor.post(customers_url(), json=new_customer(taxId="VRE010101AB1"))
        assert answer.status_code == 201
        backfill_search_fields(service.database)
        oddly(service, {"phone": 6474010101})
        return str(answer.get_json()["id"])

    @pytest.mark.parametrize("query", ["", "?q=dunder", "?updatedAt[gt]=2000-01-01T00:00:00Z", "?include=total"])
    def test_list(self, editor: FlaskClient, other: str, query: str) -> None:
        page = editor.get(customers_url(query)).get_json()
        assert [each["id"] for each in page["data"]] == [other]
        assert page["unreadable"] == [CUSTOMER_ID]
        assert page.get("total", 2) == 2

    def test_pages(self, editor: FlaskClient, other: str) -> None:
        page = editor.get(customers_url("?limit=1"))
        assert (page.get_json()["data"], page.get_json()["unreadable"]) == ([], [CUSTOMER_ID])
        following = editor.get(customers_url(f"?limit=1&cursor={page.get_json()['nextCursor']}")).get_json()
        assert [each["id"] for each in following["data"]] == [other]
        assert "unreadable" not in following

    def test_batch(self, editor: FlaskClient, other: str) -> None:
        ids = [CUSTOMER_ID, other, "x"]
        batch = editor.post(customers_url("/batch-get"), json={"ids": ids}).get_json()
        assert [each["id"] for each in batch["data"]] == [other]
        assert (batch["unreadable"], batch["notFound"]) == ([CUSTOMER_ID], ["x"])

    def test_deletion(self, service: Service, editor: FlaskClient, other: str) -> None:
        answer = editor.delete(url())
        assert answer.status_code == 204
        assert "ETag" not in answer.headers
        assert editor.get(customers_url()).get_json()["data"][0]["id"] == other
        problem(editor.get(url()), 404, "customer-not-found")
        problem(editor.post(url() + "/restore"), 500, "malformed-document")
        assert (service.database.customers.find_one(KEY) or {})["deletedAt"]

    def test_deletion_of_a_known_state(self, service: Service, editor: FlaskClient) -> None:
        oddly(service, {"phone": 6474010101})
        before = stored(service)
        problem(editor.delete(url(), headers={"If-Match": '"x"'}), 500, "malformed-document")
        assert stored(service) == before

    @pytest.mark.parametrize("change", [{"_id": "mine"}, {"_id": 1}, {"createdAt": [datetime(2025, 1, 1)]}], ids=str)  # noqa: DTZ001
    @pytest.mark.parametrize("query", ["createdAt[gte]=2000-01-01T00:00:00Z&", ""])
    def test_what_no_page_can_begin_after(
        self, service: Service, editor: FlaskClient, change: dict[str, Any], query: str
    ) -> None:
        editor.post(customers_url(), json=new_customer(taxId="VRE010101AB1"))
        backfill_search_fields(service.database)
        document = (service.database.customers.find_one(KEY) or {}) | {"_id": ObjectId(), "unique": {}}
        service.database.customers.insert_one(document | change)
        path, found = customers_url(f"?{query}limit=1"), list[str]()
        while path:
            page = editor.get(path).get_json()
            found += [*(each["id"] for each in page["data"]), *page.get("unreadable", ())]
            path = page["nextCursor"] and customers_url(f"?limit=1&cursor={page['nextCursor']}")
        assert len(found) == len(set(found)) == (2 if query or "_id" in change else 3)


class TestPaths:
    """Bytes that are no text name nothing, and never the same as others."""

    @pytest.mark.parametrize("organization", [ORGANIZATION, "\xff"])
    def test_not_utf8(self, service: Service, editor: FlaskClient, organization: str) -> None:
        member = {"userId": "editor-of-one", "organizationId": "\ufffd", "role": "editor"}
        service.database.memberships.insert_one(member)
        before = stored(service)
        for path in ("/by-external-id/a\xff", "/by-external-id/a\xfe", "/\xff"):
            raw = {"PATH_INFO": customers_url(path, organization)}
            problem(editor.get(environ_overrides=raw), 404, "not-found")
            if "by" in path:
                problem(editor.put(json=new_customer(), environ_overrides=raw), 404, "not-found")
        assert stored(service) == before

    def test_the_character_itself(self, editor: FlaskClient) -> None:
        path = customers_url("/by-external-id/a%EF%BF%BD")
        assert editor.put(path, json=new_customer()).status_code == 201
        assert editor.get(path).get_json()["externalId"] == "a\ufffd"

    def test_a_stranger_learns_nothing(self, service: Service) -> None:
        raw = {"PATH_INFO": customers_url("/\xff")}
        problem(service.client.get(environ_overrides=raw), 401, "authentication-required")
        answer = service.client.get(environ_overrides=raw, headers=bearer(STRANGER))
        problem(answer, 403, "not-a-member")


def test_an_entry_by_the_name_of_marshmallows_own_key(editor: FlaskClient) -> None:
    response = editor.patch(url(), json={"metadata": {"_schema": 5}})
    assert findings(response) == [("/metadata/_schema", "invalid-type")]
