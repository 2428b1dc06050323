"""What the SAT answered about a customer: stored until a value changes that it is about, and written like any other."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from bson import ObjectId

from customer_service.repository import backfill_search_fields
from customer_service.repository.search import SAT_TERMS
from customer_service.services import validation
from tests.support import (
    EXAMPLE,
    MISSING_CUSTOMER_ID,
    ORGANIZATION,
    STRANGER,
    Service,
    bearer,
    customers_url,
    findings,
    new_customer,
    problem,
    stored,
    url,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask.testing import FlaskClient

MATCHED = {"status": "matched", "checkedAt": "2025-01-26T10:00:00Z", "source": "my-pac"}
MISMATCHED = MATCHED | {"status": "mismatched", "mismatches": ["/address/zip", "/legalName"]}
PATH = url() + "/sat-validation"
BY_ID = customers_url("/by-external-id/crm-1")


def listed(editor: FlaskClient, **query: str) -> list[dict[str, Any]]:
    """Return the customers of a list that fits on one page."""
    response = editor.get(customers_url(), query_string=query)
    assert response.status_code == 200, response.text
    customers: list[dict[str, Any]] = response.get_json()["data"]
    return customers


def status_found(editor: FlaskClient) -> list[str]:
    """Return each status whose list has the customer crm-1."""
    return [
        status
        for status in SAT_TERMS
        if "crm-1" in [each.get("externalId") for each in listed(editor, satValidation=status)]
    ]


def put(editor: FlaskClient, path: str = PATH, **changes: Any) -> dict[str, Any]:
    response = editor.put(path, json=MATCHED | changes)
    assert response.status_code == 200, response.text
    customer: dict[str, Any] = response.get_json()
    return customer


class TestOrder:
    @pytest.mark.parametrize("method", ["PUT", "DELETE"])
    def test_of_answers(self, service: Service, editor: FlaskClient, method: str) -> None:
        before = stored(service)
        bad: dict[str, Any] = {"method": method, "data": b"{", "headers": {"If-Match": '"stale"'}}
        problem(service.client.open(PATH, **bad), 401, "authentication-required")
        for subject, slug in ((STRANGER, "not-a-member"), ("member-of-one", "insufficient-role")):
            problem(service.client.open(PATH, method=method, headers=bearer(subject)), 403, slug)
        missing = url(customer=MISSING_CUSTOMER_ID) + "/sat-validation"
        problem(editor.open(missing, **bad), 404, "customer-not-found")
        if method == "PUT":
            problem(editor.open(PATH, **bad), 415, "unsupported-media-type")
            problem(editor.open(PATH, **bad, content_type="application/json"), 400, "bad-request")
        problem(editor.open(PATH, method=method, json={}, headers=bad["headers"]), 412, "version-mismatch")
        assert stored(service) == before


class TestStored:
    @pytest.mark.parametrize("base", ["", "/api"])
    def test_in_every_answer(self, editor: FlaskClient, base: str) -> None:
        path = url(base=base)
        assert "satValidation" not in editor.get(path).get_json()
        response = editor.put(f"{path}/sat-validation", json=MISMATCHED)
        customer = response.get_json()
        assert customer == EXAMPLE | {"satValidation": MISMATCHED, "updatedAt": customer["updatedAt"]}
        got = editor.get(path)
        assert (got.get_json(), got.headers["ETag"]) == (customer, response.headers["ETag"])

    def test_in_lists_and_batches(self, editor: FlaskClient) -> None:
        created = editor.put(BY_ID, json=new_customer(taxId="SAB010203AB1")).get_json()
        customer = put(editor, customers_url(f"/{created['id']}/sat-validation"))
        assert editor.get(customers_url()).get_json()["data"] == [customer]
        batch = editor.post(customers_url("/batch-get"), json={"ids": [customer["id"]]})
        assert batch.get_json()["data"] == [customer]

    def test_each_status(self, editor: FlaskClient) -> None:
        assert put(editor)["satValidation"] == MATCHED
        assert put(editor, status="not-found")["satValidation"] == MATCHED | {"status": "not-found"}
        without = MATCHED | {"status": "mismatched"}
        assert put(editor, status="mismatched")["satValidation"] == without
        assert put(editor, status="mismatched", mismatches=[])["satValidation"] == without
        twice = put(editor, status="mismatched", mismatches=["/taxSystem", "/taxId", "/taxId"])
        assert twice["satValidation"]["mismatches"] == ["/taxId", "/taxSystem"]

    def test_the_same_again_writes_nothing(self, service: Service, editor: FlaskClient) -> None:
        first = editor.put(PATH, json=MISMATCHED)
        before = stored(service)
        again = MISMATCHED | {"mismatches": ["/legalName", "/address/zip"], "checkedAt": "2025-01-26T04:00:00.0-06:00"}
        assert editor.put(PATH, json=again).headers["ETag"] == first.headers["ETag"]
        assert stored(service) == before

    def test_on_the_state_that_the_caller_saw(self, editor: FlaskClient) -> None:
        etag = editor.get(url()).headers["ETag"]
        written = editor.put(PATH, json=MATCHED, headers={"If-Match": etag})
        assert written.headers["ETag"] != etag
        problem(editor.put(PATH, json=MISMATCHED, headers={"If-Match": etag}), 412, "version-mismatch")

    def test_removed(self, service: Service, editor: FlaskClient) -> None:
        put(editor)
        for _ in range(2):
            response = editor.delete(PATH)
            assert (response.status_code, response.data) == (204, b"")
            after = stored(service)
        assert "satValidation" not in editor.get(url()).get_json()
        assert editor.delete(PATH).status_code == 204
        assert stored(service) == after


class TestRefused:
    @pytest.mark.parametrize(
        ("body", "found"),
        [
            ([], [("", "invalid-type")]),
            ({}, [("/status", "required"), ("/checkedAt", "required"), ("/source", "required")]),
            (MATCHED | {"status": "unchecked"}, [("/status", "invalid-value")]),
            (MATCHED | {"status": None}, [("/status", "required")]),
            (MATCHED | {"x": 1}, [("/x", "unknown-field")]),
            (MATCHED | {"mismatches": ["/taxId"]}, [("/mismatches", "mismatches-not-allowed")]),
            (
                MATCHED | {"mismatches": ["/taxId"], "checkedAt": "yesterday"},
                [("/mismatches", "mismatches-not-allowed"), ("/checkedAt", "invalid-instant")],
            ),
            (MISMATCHED | {"mismatches": ["/email"]}, [("/mismatches/0", "invalid-value")]),
            (MISMATCHED | {"mismatches": "/taxId"}, [("/mismatches", "invalid-type")]),
            (MISMATCHED | {"mismatches": None}, [("/mismatches", "required")]),
            (MISMATCHED | {"mismatches": [1]}, [("/mismatches/0", "invalid-type")]),
            (MISMATCHED | {"mismatches": ["/taxId"] * 101}, [("/mismatches", "too-many")]),
            (MISMATCHED | {"mismatches": [1] * 40_000}, [("/mismatches", "too-many")]),
            *(
                (MATCHED | {"checkedAt": text}, [("/checkedAt", "invalid-instant")])
                for text in ("", "2025-01-26", "2025-01-26T10:00:00", "2025-02-30T10:00:00Z", "yesterday")
            ),
            (MATCHED | {"checkedAt": 5}, [("/checkedAt", "invalid-type")]),
            (MATCHED | {"source": ""}, [("/source", "invalid-length")]),
            (MATCHED | {"source": "x" * 256}, [("/source", "invalid-length")]),
            (MATCHED | {"source": "a\nb"}, [("/source", "invalid-character")]),
        ],
    )
    def test_values(self, service: Service, editor: FlaskClient, body: object, found: list[tuple[str, str]]) -> None:
        before = stored(service)
        assert findings(editor.put(PATH, json=body)) == found
        assert stored(service) == before

    def test_the_future(self, editor: FlaskClient) -> None:
        soon = (datetime.now(UTC) + timedelta(minutes=2)).isoformat()
        assert findings(editor.put(PATH, json=MATCHED | {"checkedAt": soon})) == [("/checkedAt", "future-instant")]
        put(editor, checkedAt=datetime.now(UTC).isoformat())

    def test_the_clock_of_the_program_that_asked_may_be_ahead(self, editor: FlaskClient) -> None:
        put(editor, checkedAt=(datetime.now(UTC) + timedelta(seconds=30)).isoformat())

    def test_by_every_other_write(self, editor: FlaskClient) -> None:
        body = new_customer(taxId="SAB010203AB1") | {"satValidation": MATCHED}
        refused = [("/satValidation", "unknown-field")]
        assert findings(editor.post(customers_url(), json=body)) == refused
        assert findings(editor.put(BY_ID, json=body)) == refused
        assert findings(editor.patch(url(), json={"satValidation": None})) == refused


class TestFilter:
    """The list filter `satValidation`, by a search term that each write keeps right."""

    @pytest.fixture
    def checked(self, service: Service, editor: FlaskClient) -> Iterator[str]:
        """The path of a customer; afterwards each customer's search term is that of its field."""
        created = editor.put(BY_ID, json=new_customer(taxId="SAB010203AB1")).get_json()
        yield customers_url("/" + created["id"])
        for document in service.database.customers.find({"deletedAt": None, "search": {"$exists": True}}):
            expected = (document.get("satValidation") or {"status": "unchecked"})["status"]
            assert [term for term in document["search"] if term in SAT_TERMS.values()] == [f"satValidation {expected}"]

    def test_each_status(self, editor: FlaskClient, checked: str) -> None:
        for status in ("matched", "mismatched", "not-found"):
            put(editor, f"{checked}/sat-validation", status=status)
            assert status_found(editor) == [status]
            assert editor.get(checked).get_json() in listed(editor, satValidation=status)

    def test_a_new_customer_and_one_without_an_answer(self, editor: FlaskClient, checked: str) -> None:
        assert status_found(editor) == ["unchecked"]
        put(editor, f"{checked}/sat-validation")
        editor.delete(f"{checked}/sat-validation")
        assert status_found(editor) == ["unchecked"]

    @pytest.mark.parametrize(
        ("change", "expected"), [({"phone": None}, "matched"), ({"address": {"zip": "83000"}}, "unchecked")]
    )
    def test_changes(self, editor: FlaskClient, checked: str, change: dict[str, Any], expected: str) -> None:
        whole = new_customer(taxId="SAB010203AB1", externalId="crm-1", **change)
        for method, path, body in (
            ("PATCH", checked, change),
            ("PUT", BY_ID, whole),
            ("POST", customers_url("/batch-upsert"), {"customers": [whole]}),
        ):
            editor.patch(checked, json={"phone": "6474010101", "address": {"zip": "86500"}})
            put(editor, f"{checked}/sat-validation")
            assert editor.open(path, method=method, json=body).status_code == 200
            assert status_found(editor) == [expected]

    def test_deleted_and_restored(self, editor: FlaskClient, checked: str) -> None:
        put(editor, f"{checked}/sat-validation")
        assert editor.delete(checked).status_code == 204
        assert status_found(editor) == []
        assert editor.post(f"{checked}/restore").status_code == 200
        assert status_found(editor) == ["matched"]

    def test_customers_of_another_program_and_of_an_earlier_release(
        self, service: Service, editor: FlaskClient, checked: str
    ) -> None:
        put(editor, f"{checked}/sat-validation")
        key = {"_id": ObjectId(checked.rpartition("/")[2])}
        for without in (
            {"$pull": {"search": "satValidation matched"}},
            {"$unset": {"search": ""}},
            {"$set": {"search": None}},
        ):
            service.database.customers.update_one(key, without)
            assert status_found(editor) == []
            backfill_search_fields(service.database)
            assert status_found(editor) == ["matched"]
            assert backfill_search_fields(service.database) == (0, 0)
        for without in ({"$unset": {"search": ""}}, {"$set": {"search": None}}):
            service.database.customers.update_one(key, without)
            put(editor, f"{checked}/sat-validation", status="not-found")
            assert editor.delete(f"{checked}/sat-validation").status_code == 204
            backfill_search_fields(service.database)
            assert status_found(editor) == ["unchecked"]

    def test_with_other_filters_and_by_pages(self, service: Service, editor: FlaskClient, checked: str) -> None:
        put(editor, f"{checked}/sat-validation")
        backfill_search_fields(service.database)
        assert len(listed(editor, satValidation="unchecked")) == 1
        for more in (
            {"q": "dunder"},
            {"q": "dunder-mifflin"},
            {"taxId": "SAB010203AB1"},
            {"createdAt[gt]": "2025-01-01T00:00:00Z"},
        ):
            assert [each["taxId"] for each in listed(editor, satValidation="matched", **more)] == ["SAB010203AB1"]
            assert listed(editor, satValidation="not-found", **more) == []
        editor.put(customers_url("/by-external-id/crm-2"), json=new_customer(taxId="SAB010203AB2"))
        first = editor.get(customers_url("?satValidation=unchecked&limit=1")).get_json()
        second = editor.get(customers_url(f"?cursor={first['nextCursor']}")).get_json()
        assert len({each["id"] for each in first["data"] + second["data"]}) == 2
        assert second["nextCursor"] is None


class TestLife:
    @pytest.fixture
    def checked(self, editor: FlaskClient) -> str:
        """The path of a customer that the SAT has matched."""
        created = editor.put(BY_ID, json=new_customer(taxId="SAB010203AB1")).get_json()
        path = customers_url("/" + created["id"])
        put(editor, f"{path}/sat-validation")
        return path

    @pytest.mark.parametrize(
        "change",
        [
            {"taxId": "SAB010203AB2"},
            {"legalName": "Sabre"},
            {"address": {"zip": "83000"}},
            {"taxSystem": "603"},
            {"phone": None, "legalName": "dunder Mifflin"},
        ],
    )
    def test_gone_with_what_it_is_about(
        self, service: Service, editor: FlaskClient, checked: str, change: dict[str, Any]
    ) -> None:
        assert "satValidation" not in editor.patch(checked, json=change).get_json()
        document = service.database.customers.find_one({"_id": ObjectId(checked.rpartition("/")[2])}) or {}
        assert "satValidation" not in document

    def test_gone_with_a_put_and_with_a_batch(self, editor: FlaskClient, checked: str) -> None:
        other = new_customer(taxId="SAB010203AB1", legalName="Sabre")
        assert "satValidation" not in editor.put(BY_ID, json=other).get_json()
        put(editor, f"{checked}/sat-validation")
        batch = {"customers": [other | {"externalId": "crm-1", "address": {"zip": "83000"}}]}
        assert editor.post(customers_url("/batch-upsert"), json=batch).get_json()["results"][0]["status"] == "changed"
        assert "satValidation" not in editor.get(checked).get_json()

    def test_survives_everything_else(self, editor: FlaskClient, checked: str) -> None:
        change = {
            "phone": None,
            "email": "other@dundermifflin.com",
            "defaultInvoiceUse": "G03",
            "metadata": {"a": "b"},
            "address": {"street": "x", "state": None, "city": "y"},
        }
        assert editor.patch(checked, json=change).get_json()["satValidation"] == MATCHED
        assert editor.patch(checked, json={"taxId": " sab010203ab1 "}).get_json()["satValidation"] == MATCHED
        whole = new_customer(taxId="SAB010203AB1", metadata={"c": "d"})
        assert editor.put(BY_ID, json=whole).get_json()["satValidation"] == MATCHED
        assert editor.delete(checked).status_code == 204
        problem(editor.put(f"{checked}/sat-validation", json=MATCHED), 404, "customer-not-found")
        assert editor.post(f"{checked}/restore").get_json()["satValidation"] == MATCHED

    def test_is_no_part_of_what_is_exported(self, service: Service, checked: str) -> None:
        document = service.database.customers.find_one({"_id": ObjectId(checked.rpartition("/")[2])})
        assert document is not None
        assert "satValidation" in document
        assert "satValidation" not in validation.to_input(document)

    @pytest.mark.parametrize(
        "odd",
        [
            5,
            "matched",
            {"status": "matched"},
            MATCHED,
            {**MATCHED, "checkedAt": datetime(2025, 1, 1), "mismatches": [1]},  # noqa: DTZ001 - as BSON has it
        ],
    )
    def test_a_stored_answer_of_another_program_that_cannot_be_serialized(
        self, service: Service, editor: FlaskClient, odd: object
    ) -> None:
        service.database.customers.update_one({"organizationId": ORGANIZATION}, {"$set": {"satValidation": odd}})
        problem(editor.get(url()), 500, "malformed-document")
        assert put(editor)["satValidation"] == MATCHED
        service.database.customers.update_one({"organizationId": ORGANIZATION}, {"$set": {"satValidation": odd}})
        assert editor.delete(PATH).status_code == 204
        assert "satValidation" not in editor.get(url()).get_json()
