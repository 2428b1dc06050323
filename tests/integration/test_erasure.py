"""POST and GET …/erasure: a customer goes at once, or is blocked while the law or a hold retains it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from bson import ObjectId, json_util

from tests.support import (
    CUSTOMER_ID,
    INVOICED_ON,
    MISSING_CUSTOMER_ID,
    NEW_CUSTOMER,
    OTHER_CUSTOMER_ID,
    OTHER_ORGANIZATION,
    RETAIN_UNTIL,
    STRANGER,
    Service,
    bearer,
    customers_url,
    new_customer,
    problem,
    stored,
    url,
)

if TYPE_CHECKING:
    from flask.testing import FlaskClient

    from customer_service.repository.database import Document

GONE = {
    "email": "gone-1@erased.example",
    "phone": "6475550142",
    "metadata": {"gone-2": "gone-3", "contact": "Gone-4"},
    "address": {
        "street": "Calle Gone-5",
        "exterior": "gone-6",
        "interior": "gone-7",
        "neighborhood": "Colonia Gone-8",
        "city": "Ciudad Gone-9",
        "municipality": "Municipio Gone-10",
    },
}
RETAINED = {"legalName": "KEPT-1 NAME", "taxId": "KEP010203AB1", "externalId": "kept-2"}
FULL = new_customer(**RETAINED, **GONE)
FULL["address"] |= {"zip": "86500", "state": "Kept-3", "country": "MEX"}
GONE_VALUES = ("gone-", "6475550142", "ciudad", "municipio", "calle", "colonia")
"""What nothing may hold of a blocked customer, in lower case."""

RETAINED_VALUES = ("kept-1", "kep010203ab1", "kept-2", "kept-3")
ERASED_FIELDS = [
    *("/email", "/phone", "/metadata"),
    *(f"/address/{name}" for name in ("street", "exterior", "interior", "neighborhood", "city", "municipality")),
]
BLOCKED = {
    "state": "blocked",
    "retainUntil": RETAIN_UNTIL,
    "basis": "Código Fiscal de la Federación, art. 30",
    "erased": ERASED_FIELDS,
}
HELD = {"state": "blocked", "basis": "hold", "erased": ERASED_FIELDS}
HOLD = {"hold": True, "reason": "audit"}
INVOICED = {"lastInvoicedOn": INVOICED_ON.isoformat()}


@pytest.fixture
def customer_id(editor: FlaskClient) -> str:
    """A customer that was created by a POST with an idempotency key, and changed twice."""
    created = editor.post(
        customers_url(), json=FULL | {"email": "gone-0@erased.example"}, headers={"Idempotency-Key": "k"}
    )
    path: str = created.headers["Location"]
    assert editor.patch(path, json={"email": "gone-11@erased.example"}).status_code == 200
    assert editor.patch(path, json={"email": FULL["email"]}).status_code == 200
    sat = {"status": "matched", "checkedAt": "2025-01-26T10:00:00Z", "source": "pac"}
    assert editor.put(f"{path}/sat-validation", json=sat).status_code == 200
    return path.rpartition("/")[2]


def path_of(customer_id: str, suffix: str = "/erasure") -> str:
    return customers_url(f"/{customer_id}{suffix}")


def erase(admin: FlaskClient, customer_id: str) -> Any:
    response = admin.post(path_of(customer_id))
    assert response.status_code == 200, response.text
    assert admin.get(path_of(customer_id)).get_json() == response.get_json()
    return response.get_json()


def retain(admin: FlaskClient, customer_id: str, body: object) -> None:
    assert admin.put(path_of(customer_id, "/retention"), json=body).status_code == 200


def document_of(service: Service, customer_id: str) -> Document:
    return service.database.customers.find_one({"_id": ObjectId(customer_id)}) or {}


def whole_database(service: Service) -> str:
    """Return every document of every collection as text, in lower case."""
    database = service.database
    return json_util.dumps(
        [list(database[name].find()) for name in database.list_collection_names()], ensure_ascii=False
    ).lower()


def found(service: Service, values: tuple[str, ...]) -> list[str]:
    text = whole_database(service)
    return [value for value in values if value in text]


class TestOrder:
    """401, 403, 404: both routes are for admins."""

    @pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
    def test_callers(self, service: Service, editor: FlaskClient, admin: FlaskClient, method: str) -> None:
        before = stored(service)
        for customer in (CUSTOMER_ID, MISSING_CUSTOMER_ID, OTHER_CUSTOMER_ID, "x", CUSTOMER_ID + "%0A"):
            path = url(customer=customer) + "/erasure"
            assert service.client.open(path, method=method).status_code == 401
            assert service.client.open(path, method=method, headers=bearer(STRANGER)).status_code == 403
            foreign = url(OTHER_ORGANIZATION, customer) + "/erasure"
            assert admin.open(foreign, method=method).status_code == 403
            assert service.client.open(path, method=method, headers=bearer()).status_code == 403
            assert editor.open(path, method=method).status_code == 403
            assert customer == CUSTOMER_ID or admin.open(path, method=method).status_code == 404
        assert stored(service) == before

    def test_a_body_is_not_read(self, admin: FlaskClient) -> None:
        response = admin.post(url() + "/erasure", data=b"\xff{", content_type="text/plain")
        assert response.get_json() == {"state": "erased"}


class TestErased:
    """Without a retention, or after it, nothing of the customer stays but a tombstone."""

    @pytest.mark.parametrize("deleted", [False, True])
    @pytest.mark.parametrize("last_invoiced_on", [None, "2015-06-30"])
    def test_nothing_stays(
        self, service: Service, admin: FlaskClient, customer_id: str, deleted: bool, last_invoiced_on: str | None
    ) -> None:
        assert found(service, RETAINED_VALUES) == list(RETAINED_VALUES)
        assert set(GONE_VALUES) == set(found(service, GONE_VALUES))
        others, before = stored(service)[:2], document_of(service, customer_id)
        if last_invoiced_on:
            retain(admin, customer_id, {"lastInvoicedOn": last_invoiced_on})
        if deleted:
            admin.delete(path_of(customer_id, ""))
        assert admin.get(path_of(customer_id)).get_json() == {"state": "none"}
        for _ in range(2):
            assert erase(admin, customer_id) == {"state": "erased"}
            assert found(service, (*GONE_VALUES, *RETAINED_VALUES)) == []
        tombstone = document_of(service, customer_id)
        assert tombstone.keys() == {"_id", "organizationId", "createdAt", "erasedAt", "erasedBy"}
        assert (tombstone["createdAt"], tombstone["erasedBy"]) == (before["createdAt"], "admin-of-one")
        assert stored(service)[:2] == others

    def test_its_keys_are_free(self, admin: FlaskClient, customer_id: str) -> None:
        erase(admin, customer_id)
        created = admin.post(customers_url(), json=FULL, headers={"Idempotency-Key": "k"})
        assert (created.status_code, "Idempotent-Replayed" in created.headers) == (201, False)
        assert created.get_json()["id"] != customer_id

    def test_it_has_no_retention(self, admin: FlaskClient, customer_id: str) -> None:
        retain(admin, customer_id, {"lastInvoicedOn": "2015-06-30"})
        erase(admin, customer_id)
        empty = {"lastInvoicedOn": None, "retainUntil": None, "hold": False, "reason": None}
        assert admin.get(path_of(customer_id, "/retention")).get_json() == empty
        problem(admin.put(path_of(customer_id, "/retention"), json=HOLD), 404, "customer-not-found")

    @pytest.mark.parametrize(
        "document",
        [
            {},
            {"email": 1, "address": "gone-12", "legalName": None, "createdAt": "gone-13"},
            {"notes": "gone-14", "address": {"zip": "86500", "geo": "gone-15"}},
        ],
    )
    def test_a_document_of_another_program(self, service: Service, admin: FlaskClient, document: Document) -> None:
        """It may have any shape, and neither a version nor a time."""
        document = {"_id": ObjectId(), "organizationId": customers_url().split("/")[2], **document}
        for retention in ({}, {"retention": {"hold": True, "reason": "audit"}}):
            service.database.customers.replace_one({"_id": document["_id"]}, document | retention, upsert=True)
            assert erase(admin, str(document["_id"])) == (HELD if retention else {"state": "erased"})
            assert [each for each in found(service, ("gone-",)) if document.get("createdAt") != "gone-13"] == []


class TestBlocked:
    """While the law or a hold retains it, what no law retains goes, and no request finds the rest."""

    @pytest.mark.parametrize("deleted", [False, True])
    @pytest.mark.parametrize(
        "retention",
        [
            INVOICED,
            HOLD,
            HOLD | INVOICED,
            HOLD | {"lastInvoicedOn": "2015-06-30"},
        ],
    )
    def test_exactly_the_retained_fields_stay(
        self, service: Service, admin: FlaskClient, customer_id: str, deleted: bool, retention: Any
    ) -> None:
        expected = HELD if "hold" in retention else BLOCKED  # a hold beats a date
        before = document_of(service, customer_id)
        retain(admin, customer_id, retention)
        if deleted:
            admin.delete(path_of(customer_id, ""))
        for _ in range(2):
            assert erase(admin, customer_id) == expected
            assert found(service, GONE_VALUES) == []
            after = document_of(service, customer_id)
        names = ("_id", "organizationId", "legalName", "taxId", "taxSystem", "defaultInvoiceUse", "externalId")
        for name in (*names, "satValidation", "createdAt"):
            assert after.pop(name) == before[name], name
        assert after.pop("address") == {name: before["address"][name] for name in ("zip", "state", "country")}
        assert after.pop("version") == before["version"] + 2
        assert after.pop("blockedAt") == after.pop("updatedAt") >= after.pop("deletedAt")
        assert after.pop("retention") == retention
        assert after.pop("updatedBy") == "admin-of-one"
        assert after.keys() == {"requestId"}

    def test_every_other_route_is_404(self, admin: FlaskClient, editor: FlaskClient, customer_id: str) -> None:
        created_at = admin.get(path_of(customer_id, "")).get_json()["createdAt"]
        assert admin.get(path_of(customer_id, f"?asOf={created_at}")).status_code == 200
        retain(admin, customer_id, HOLD)
        erase(admin, customer_id)
        for client in (admin, editor):
            for method, suffix in (
                *(("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/restore"), ("GET", "/tax-info-validation")),
                *(("GET", "/versions"), ("GET", "/versions/1"), ("GET", f"?asOf={created_at}")),
            ):
                answer = client.open(path_of(customer_id, suffix), method=method, json={})
                problem(answer, 404, "customer-not-found")
        problem(
            editor.put(path_of(customer_id, "/retention"), json=INVOICED),
            404,
            "customer-not-found",
        )
        for query in ("?q=kept", "?taxId=KEP010203AB1", "?externalId=kept-2"):
            assert admin.get(customers_url(query)).get_json()["data"] == []
        assert admin.put(customers_url("/by-external-id/kept-2"), json=FULL).status_code == 201

    def test_an_admin_changes_its_retention(self, service: Service, admin: FlaskClient, customer_id: str) -> None:
        retain(admin, customer_id, HOLD)
        erase(admin, customer_id)
        retain(admin, customer_id, INVOICED)
        assert erase(admin, customer_id) == HELD
        retain(admin, customer_id, {"hold": False})
        assert admin.get(path_of(customer_id)).get_json() == BLOCKED == erase(admin, customer_id)
        assert admin.get(path_of(customer_id, "/retention")).get_json()["retainUntil"] == RETAIN_UNTIL
        past = {"$set": {"retention.lastInvoicedOn": "2015-06-30"}}
        service.database.customers.update_one({"_id": ObjectId(customer_id)}, past)
        ended = admin.get(path_of(customer_id)).get_json()
        assert ended == BLOCKED | {"retainUntil": "2021-04-30"}
        assert erase(admin, customer_id) == {"state": "erased"}
        assert found(service, (*GONE_VALUES, *RETAINED_VALUES)) == []

    def test_a_released_hold_without_a_date(self, admin: FlaskClient, customer_id: str) -> None:
        retain(admin, customer_id, HOLD)
        erase(admin, customer_id)
        retain(admin, customer_id, {"hold": False})
        state = {"state": "blocked", "erased": ERASED_FIELDS}
        assert admin.get(path_of(customer_id)).get_json() == state
        assert erase(admin, customer_id) == {"state": "erased"}


def test_another_customer_keeps_its_answer_under_a_key(admin: FlaskClient, customer_id: str) -> None:
    headers = {"Idempotency-Key": "other"}
    first = admin.post(customers_url(), json=NEW_CUSTOMER, headers=headers)
    erase(admin, customer_id)
    again = admin.post(customers_url(), json=NEW_CUSTOMER, headers=headers)
    assert (again.data, again.headers["Idempotent-Replayed"]) == (first.data, "true")
