"""PATCH changes a customer by a merge patch, with or without If-Match."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from bson import ObjectId

from customer_service.repository import CustomerRepository
from tests.support import (
    CUSTOMER_ID,
    EXAMPLE,
    MISSING_CUSTOMER_ID,
    OTHER_CUSTOMER_ID,
    OTHER_ORGANIZATION,
    PLACE,
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
    from collections.abc import Mapping

    from flask.testing import FlaskClient
    from werkzeug.test import TestResponse

    from customer_service.repository.database import Document

MERGE_PATCH = "application/merge-patch+json"
GARBAGE: tuple[dict[str, Any], ...] = (
    {"json": {"phone": None}},
    {"json": {"$set": 1}},
    {"json": []},
    {"data": b"\xff{", "content_type": "text/plain"},
    {"data": b" " * 2_000_000, "content_type": "application/json"},
)
ABSENT = [MISSING_CUSTOMER_ID, OTHER_CUSTOMER_ID, "x", CUSTOMER_ID[:-1], CUSTOMER_ID + "%0A", "%00", "by-external-id"]


@pytest.fixture
def customer(editor: FlaskClient) -> dict[str, Any]:
    """A customer that has everything."""
    body = new_customer(externalId="crm-1", metadata={"a": "1", "b": "2"}, address={"interior": "4"})
    created: dict[str, Any] = editor.post(customers_url(), json=body).get_json()
    return created


def patch(client: FlaskClient, customer: Mapping[str, Any], change: object, **headers: str) -> TestResponse:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.patch(customers_url("/" + customer["id"]), json=change, headers=given)


def etag_of(client: FlaskClient, customer: Mapping[str, Any]) -> str:
    return client.get(customers_url("/" + customer["id"])).headers["ETag"]


class TestOrder:
    """401, 403, 404, then 415, 413 and 400, then 412, then 422, then 409."""

    @pytest.mark.parametrize("body", GARBAGE, ids=["patch", "operator", "array", "text", "large"])
    def test_callers(self, service: Service, editor: FlaskClient, body: dict[str, Any]) -> None:
        before, stale = stored(service), {"If-Match": '"stale"'}
        for customer in (CUSTOMER_ID, *ABSENT):
            path = url(customer=customer)
            problem(service.client.patch(path, headers=stale, **body), 401, "authentication-required")
            bad = stale | {"Authorization": "Bearer x"}
            problem(service.client.patch(path, headers=bad, **body), 401, "invalid-token")
            problem(service.client.patch(path, headers=stale | bearer(STRANGER), **body), 403, "not-a-member")
            foreign = url(OTHER_ORGANIZATION, customer)
            problem(editor.patch(foreign, headers=stale, **body), 403, "not-a-member")
            viewer = service.client.patch(path, headers=stale | bearer(), **body)
            problem(viewer, 403, "insufficient-role")
            assert viewer.headers["WWW-Authenticate"] == 'Bearer error="insufficient_scope"'
        for customer in ABSENT:
            response = editor.patch(url(customer=customer), headers=stale, **body)
            assert problem(response, 404, "customer-not-found")["detail"] == "Customer not found."
        assert stored(service) == before

    def test_the_body_then_the_condition_then_the_values_then_the_keys(
        self, service: Service, editor: FlaskClient, customer: dict[str, Any]
    ) -> None:
        path, stale = customers_url("/" + customer["id"]), {"If-Match": '"stale"'}
        editor.post(customers_url(), json=new_customer(taxId="ABC101010111"))
        before = stored(service)
        collision = {"taxId": "ABC101010111"}
        for media_type in ("text/plain", "application/json-patch+json", "application/x-www-form-urlencoded"):
            response = editor.patch(path, data=b"x" * 2_000_000, content_type=media_type, headers=stale)
            problem(response, 415, "unsupported-media-type")
        problem(editor.patch(path, data=b"{}", headers=stale), 415, "unsupported-media-type")
        large = editor.patch(path, data=b"x" * 2_000_000, content_type=MERGE_PATCH, headers=stale)
        assert large.status_code == 413
        problem(editor.patch(path, data=b"{", content_type=MERGE_PATCH, headers=stale), 400, "bad-request")
        changes: tuple[object, ...] = ([], {"id": 1}, collision | {"id": 1}, collision, {})
        for change in changes:
            problem(patch(editor, customer, change, If_Match='"stale"'), 412, "version-mismatch")
        assert findings(patch(editor, customer, collision | {"id": 1})) == [("/id", "unknown-field")]
        problem(patch(editor, customer, collision), 409, "duplicate-tax-id")
        assert stored(service) == before


class TestMergePatch:
    """RFC 7396: what is absent stays, null clears."""

    @pytest.mark.parametrize("media_type", [MERGE_PATCH, "application/json", "application/json; charset=utf-8"])
    @pytest.mark.parametrize("base", ["", "/api"])
    def test_a_patch_changes_only_its_fields(
        self, editor: FlaskClient, customer: dict[str, Any], media_type: str, base: str
    ) -> None:
        path, before = customers_url("/" + customer["id"], base=base), etag_of(editor, customer)
        body = b'{"legalName": " X ", "taxId": "abc101010111", "address": {"city": "Y", "interior": null}}'
        response = editor.patch(path, data=body, content_type=media_type)
        assert response.status_code == 200
        changed = response.get_json()
        address = customer["address"] | {"city": "Y", "interior": None}
        expected = customer | {"legalName": "X", "taxId": "ABC101010111", "address": address}
        assert changed == expected | {"updatedAt": changed["updatedAt"]}
        assert datetime.fromisoformat(changed["updatedAt"]) >= datetime.fromisoformat(customer["updatedAt"])
        got = editor.get(path)
        assert got.get_json() == changed
        assert got.headers["ETag"] == response.headers["ETag"] != before
        assert "Location" not in response.headers

    @pytest.mark.parametrize("name", ["phone", "externalId", "metadata"])
    def test_null_clears(self, service: Service, editor: FlaskClient, customer: dict[str, Any], name: str) -> None:
        changed = patch(editor, customer, {name: None}).get_json()
        assert changed.get(name) is None
        assert (name in changed) == (name == "phone")
        document = service.database.customers.find_one({"_id": ObjectId(customer["id"])})
        assert document is not None
        assert document["version"] == 2
        assert name == "phone" or name not in document

    @pytest.mark.parametrize("name", [name for name in EXAMPLE["address"] if name != "zip"])
    def test_null_clears_in_the_address(self, editor: FlaskClient, customer: dict[str, Any], name: str) -> None:
        changed = patch(editor, customer, {"address": {name: None}}).get_json()
        assert changed["address"] == customer["address"] | {name: ({"country": "MEX"} | PLACE).get(name)}

    @pytest.mark.parametrize(
        "path",
        [
            *("/legalName", "/taxId", "/taxSystem", "/email", "/defaultInvoiceUse", "/address", "/address/zip"),
            *("/id", "/organizationId", "/_id", "/createdAt", "/updatedAt", "/version", "/$set", "/$unset", "/a.b"),
            *("/address/$set", "/address/geo", "/address.zip", "/unique", "/deletedAt"),
        ],
    )
    @pytest.mark.parametrize("value", [None, {"$gt": ""}, ["x"], 7])
    def test_an_error_elsewhere(
        self, service: Service, editor: FlaskClient, customer: dict[str, Any], path: str, value: object
    ) -> None:
        before, change = stored(service), value
        for step in reversed(path.split("/")[1:]):
            change = {step: change}
        found_codes = findings(patch(editor, customer, change))
        if path == "/address" and isinstance(value, dict):
            path += "/$gt"
        assert [found for found, _ in found_codes] == [path]
        assert stored(service) == before

    def test_metadata(self, editor: FlaskClient, customer: dict[str, Any]) -> None:
        change = {"metadata": {"a": None, "c": "3", "never": None}}
        assert patch(editor, customer, change).get_json()["metadata"] == {"b": "2", "c": "3"}
        assert "metadata" not in patch(editor, customer, {"metadata": {"b": None, "c": None}}).get_json()
        assert patch(editor, customer, {"metadata": {"x": None, "metadata": "4"}}).get_json()["metadata"] == {
            "metadata": "4"
        }
        assert findings(patch(editor, customer, {"metadata": {"d": {"e": None}}})) == [("/metadata/d", "invalid-type")]
        impossible = {"$set": None, "": None, "a.b": None, "k" * 41: None}
        assert sorted(findings(patch(editor, customer, {"metadata": impossible}))) == [
            *(("/metadata/", "invalid-length"), ("/metadata/$set", "invalid-character")),
            *(("/metadata/a.b", "invalid-character"), ("/metadata/" + "k" * 41, "invalid-length")),
        ]
        full = {str(number): "" for number in range(50)}
        assert findings(patch(editor, customer, {"metadata": full})) == [("/metadata", "too-many")]
        assert patch(editor, customer, {"metadata": full | {"metadata": None}}).get_json()["metadata"] == full

    @pytest.mark.parametrize("change", [None, [], [{"phone": None}], "x", 7, True])
    def test_a_patch_that_is_no_object(
        self, service: Service, editor: FlaskClient, customer: dict[str, Any], change: object
    ) -> None:
        before = stored(service)
        response = editor.patch(
            customers_url("/" + customer["id"]), data=orjson.dumps(change), content_type=MERGE_PATCH
        )
        assert findings(response) == [("", "invalid-type")]
        assert stored(service) == before

    @pytest.mark.parametrize(
        "change",
        [{}, {"address": {}}, {"legalName": " Dunder Mifflin "}, {"metadata": {"z": None}}, {"taxId": "dum901231ab3"}],
    )
    def test_nothing_to_do(
        self, service: Service, editor: FlaskClient, customer: dict[str, Any], change: dict[str, Any]
    ) -> None:
        before, etag = stored(service), etag_of(editor, customer)
        response = patch(editor, customer, change)
        assert (response.status_code, response.get_json(), response.headers["ETag"]) == (200, customer, etag)
        assert stored(service) == before

    def test_the_whole_is_judged(self, editor: FlaskClient, customer: dict[str, Any]) -> None:
        person = {"taxId": "DUMA901231AB3"}
        assert findings(patch(editor, customer, person)) == [("/taxSystem", "tax-system-not-allowed")]
        assert patch(editor, customer, person | {"taxSystem": "612"}).status_code == 200
        assert findings(patch(editor, customer, {"address": {"country": "USA"}})) == [
            ("/taxSystem", "tax-system-not-allowed"),
        ]


class TestDuplicates:
    """A patch takes no other customer's key, and frees the keys that it removes."""

    def test_collisions(self, service: Service, editor: FlaskClient, customer: dict[str, Any]) -> None:
        body = new_customer(taxId="ABC101010111", externalId="crm-2")
        other = editor.post(customers_url(), json=body).get_json()
        before = stored(service)
        changes = {"taxId": "abc101010111"}, {"externalId": "crm-2"}, {"taxId": "ABC101010111", "externalId": None}
        for change, slug in zip(changes, ("tax-id", "external-id", "tax-id"), strict=True):
            conflict = problem(patch(editor, customer, change), 409, f"duplicate-{slug}")
            assert editor.get(conflict["existing"]).get_json() == other
        assert stored(service) == before

    def test_a_key_that_is_left_is_free(self, editor: FlaskClient, customer: dict[str, Any]) -> None:
        assert patch(editor, customer, {"taxId": "ABC101010111", "externalId": None}).status_code == 200
        assert editor.post(customers_url(), json=new_customer(externalId="crm-1")).status_code == 201


class TestIfMatch:
    """A strong comparison (RFC 9110, section 13.1.1)."""

    @pytest.mark.parametrize("form", ["{}", '"a", {}', '{},"b"', "*"])
    def test_a_current_etag_is_accepted(self, editor: FlaskClient, customer: dict[str, Any], form: str) -> None:
        etag = etag_of(editor, customer)
        response = patch(editor, customer, {"phone": None}, If_Match=form.format(etag))
        assert response.status_code == 200
        assert response.headers["ETag"] != etag

    @pytest.mark.parametrize("form", ['"a"', "W/{}", '"a", W/{}', "", '"*"', '"'])
    def test_a_stale_etag_is_412(
        self, service: Service, editor: FlaskClient, customer: dict[str, Any], form: str
    ) -> None:
        before = stored(service)
        response = patch(editor, customer, {"phone": None}, If_Match=form.format(etag_of(editor, customer)))
        problem(response, 412, "version-mismatch")
        assert stored(service) == before

    def test_one_etag_is_good_for_one_write(self, editor: FlaskClient, customer: dict[str, Any]) -> None:
        etag = etag_of(editor, customer)
        assert patch(editor, customer, {"legalName": "A"}, If_Match=etag).status_code == 200
        problem(patch(editor, customer, {"legalName": "B"}, If_Match=etag), 412, "version-mismatch")
        assert patch(editor, customer, {"legalName": "Dunder Mifflin"}).status_code == 200
        problem(patch(editor, customer, {"legalName": "B"}, If_Match=etag), 412, "version-mismatch")

    @pytest.mark.parametrize("conditional", [True, False])
    def test_another_request_writes_first(
        self,
        service: Service,
        editor: FlaskClient,
        customer: dict[str, Any],
        monkeypatch: pytest.MonkeyPatch,
        conditional: bool,
    ) -> None:
        """Another request writes between the read and the write: 412 with If-Match, and no change is lost without."""
        headers = {"If_Match": etag_of(editor, customer)} if conditional else {}
        update = CustomerRepository.update

        def slow(self: CustomerRepository, document: Document, values: Mapping[str, Any]) -> Document:
            monkeypatch.setattr(CustomerRepository, "update", update)
            assert patch(service.app.test_client(), customer, {"phone": None}).status_code == 401
            assert patch(editor, customer, {"phone": None}).status_code == 200
            return update(self, document, values)

        monkeypatch.setattr(CustomerRepository, "update", slow)
        response = patch(editor, customer, {"legalName": "Other"}, **headers)
        assert response.status_code == (412 if conditional else 200)
        got = editor.get(customers_url("/" + customer["id"])).get_json()
        assert got["phone"] is None
        assert got["legalName"] == ("Dunder Mifflin" if conditional else "Other")
