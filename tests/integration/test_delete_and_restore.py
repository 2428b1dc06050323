"""DELETE and restore: what a deleted customer frees, and what conflicts with its return."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from bson import ObjectId

from customer_service.repository import CustomerRepository
from tests.support import (
    CUSTOMER_ID,
    MISSING_CUSTOMER_ID,
    OTHER_CUSTOMER_ID,
    OTHER_ORGANIZATION,
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

ABSENT = [MISSING_CUSTOMER_ID, OTHER_CUSTOMER_ID, "x", CUSTOMER_ID + "0", CUSTOMER_ID + "%0A", "%00", "%FF"]
OPERATIONS = [("DELETE", ""), ("POST", "/restore")]


@pytest.fixture
def customer(editor: FlaskClient) -> dict[str, Any]:
    """A customer that has both keys."""
    created: dict[str, Any] = editor.post(customers_url(), json=new_customer(externalId="crm-1")).get_json()
    return created


@pytest.fixture
def path(customer: dict[str, Any]) -> str:
    """The path of the customer."""
    return customers_url("/" + customer["id"])


def etag_of(client: FlaskClient, path: str) -> str:
    return client.get(path).headers["ETag"]


class TestOrder:
    """401, 403, 404, then 412."""

    @pytest.mark.parametrize(("method", "suffix"), OPERATIONS)
    def test_callers(self, service: Service, editor: FlaskClient, method: str, suffix: str) -> None:
        before, stale = stored(service), {"If-Match": '"stale"'}
        for customer in (CUSTOMER_ID, *ABSENT):
            path = url(customer=customer) + suffix
            problem(service.client.open(path, method=method, headers=stale), 401, "authentication-required")
            bad = stale | {"Authorization": "Bearer x"}
            problem(service.client.open(path, method=method, headers=bad), 401, "invalid-token")
            stranger = service.client.open(path, method=method, headers=stale | bearer(STRANGER))
            problem(stranger, 403, "not-a-member")
            foreign = url(OTHER_ORGANIZATION, customer) + suffix
            problem(editor.open(foreign, method=method, headers=stale), 403, "not-a-member")
            viewer = service.client.open(path, method=method, headers=stale | bearer())
            problem(viewer, 403, "insufficient-role")
            assert viewer.headers["WWW-Authenticate"] == 'Bearer error="insufficient_scope"'
        for customer in ABSENT:
            response = editor.open(url(customer=customer) + suffix, method=method, headers=stale)
            assert problem(response, 404, "customer-not-found")["detail"] == "Customer not found."
        problem(editor.open(url() + suffix, method=method, headers=stale), 412, "version-mismatch")
        assert stored(service) == before


class TestDelete:
    """A deleted customer is 404 to every operation, and conflicts with no other customer."""

    @pytest.mark.parametrize("base", ["", "/api"])
    def test_a_deleted_customer_is_404_everywhere(
        self, editor: FlaskClient, customer: dict[str, Any], base: str
    ) -> None:
        path = customers_url("/" + customer["id"], base=base)
        response = editor.delete(path)
        assert (response.status_code, response.data) == (204, b"")
        assert "Content-Type" not in response.headers
        by_external_id = customers_url("/by-external-id/crm-1", base=base)
        for method, gone in (
            *(("GET", path), ("HEAD", path), ("PATCH", path), ("DELETE", path), ("GET", path + "/tax-info-validation")),
            *(("GET", by_external_id), ("HEAD", by_external_id)),
        ):
            for value in ('"stale"', "*", response.headers["ETag"]):
                answer = editor.open(gone, method=method, json={}, headers={"If-Match": value})
                assert answer.status_code == 404, (method, gone)
        assert editor.get(customers_url(base=base)).get_json()["data"] == []
        for query in ("q=dunder", "taxId=DUM901231AB3", "externalId=crm-1", "createdAt[gte]=2000-01-01T00:00:00Z"):
            answer = editor.get(customers_url(f"?{query}&include=total", base=base)).get_json()
            assert answer == {"data": [], "nextCursor": None, "total": 0}
        ids = {"ids": [customer["id"]]}
        assert editor.post(customers_url("/batch-get", base=base), json=ids).get_json() == {
            "data": [],
            "notFound": [customer["id"]],
        }

    def test_only_this_customer_is_deleted(
        self, service: Service, editor: FlaskClient, customer: dict[str, Any], path: str
    ) -> None:
        before = [each for each in stored(service) if str(each["_id"]) != customer["id"]]
        editor.delete(path)
        kept = [each for each in stored(service) if str(each["_id"]) != customer["id"]]
        assert kept == before
        document = service.database.customers.find_one({"_id": ObjectId(customer["id"])}) or {}
        assert document["version"] == 2
        assert {"unique", "search"}.isdisjoint(document)

    def test_its_keys_are_free(self, editor: FlaskClient, path: str) -> None:
        body = new_customer(externalId="crm-1")
        problem(editor.post(customers_url(), json=body), 409, "duplicate-external-id")
        editor.delete(path)
        for _ in range(3):
            created = editor.post(customers_url(), json=body)
            assert created.status_code == 201
            assert editor.delete(created.headers["Location"]).status_code == 204

    def test_a_document_of_another_program(self, editor: FlaskClient) -> None:
        before = editor.get(url()).get_json()
        assert editor.delete(url()).status_code == 204
        assert editor.get(url()).status_code == 404
        restored = editor.post(url() + "/restore").get_json()
        assert restored == before | {"updatedAt": restored["updatedAt"]}


class TestRestore:
    """What was deleted lives again, unless another took its keys."""

    @pytest.mark.parametrize("base", ["", "/api"])
    def test_deleted(self, editor: FlaskClient, customer: dict[str, Any], base: str) -> None:
        path = customers_url("/" + customer["id"], base=base)
        before = etag_of(editor, path)
        deleted = editor.delete(path).headers["ETag"]
        response = editor.post(path + "/restore")
        assert response.status_code == 200
        restored = response.get_json()
        assert restored == customer | {"updatedAt": restored["updatedAt"]}
        assert len({before, deleted, response.headers["ETag"]}) == 3
        assert editor.get(path).headers["ETag"] == response.headers["ETag"]
        assert "Location" not in response.headers
        assert editor.get(customers_url("/by-external-id/crm-1")).get_json() == restored
        assert editor.get(customers_url("?q=dunder")).get_json()["data"] == [restored]
        problem(editor.post(customers_url(), json=new_customer()), 409, "duplicate-tax-id")

    def test_living(self, service: Service, editor: FlaskClient, customer: dict[str, Any], path: str) -> None:
        before, etag = stored(service), etag_of(editor, path)
        for headers in ({}, {"If-Match": etag}, {"If-Match": "*"}):
            response = editor.post(path + "/restore", headers=headers)
            assert (response.status_code, response.get_json()) == (200, customer)
            assert response.headers["ETag"] == etag
        assert stored(service) == before

    @pytest.mark.parametrize(
        ("changes", "slug"),
        [
            ({"taxId": "ABC101010111", "externalId": "crm-1"}, "duplicate-external-id"),
            ({}, "duplicate-tax-id"),
        ],
    )
    def test_collision(
        self, service: Service, editor: FlaskClient, path: str, changes: dict[str, Any], slug: str
    ) -> None:
        editor.delete(path)
        other = editor.post(customers_url(), json=new_customer(**changes))
        before = stored(service)
        conflict = problem(editor.post(path + "/restore"), 409, slug)
        assert editor.get(conflict["existing"]).get_json() == other.get_json()
        assert stored(service) == before
        editor.delete(other.headers["Location"])
        assert editor.post(path + "/restore").status_code == 200

    def test_a_body_is_not_read(self, editor: FlaskClient, customer: dict[str, Any], path: str) -> None:
        editor.delete(path)
        response = editor.post(path + "/restore", data=b"\xff{", content_type="text/plain")
        assert response.get_json()["id"] == customer["id"]


class TestIfMatch:
    """A strong comparison, with the state that is stored now."""

    @pytest.mark.parametrize("form", ["{}", '"a", {}', "*"])
    def test_a_current_etag_is_accepted(self, editor: FlaskClient, path: str, form: str) -> None:
        deleted = editor.delete(path, headers={"If-Match": form.format(etag_of(editor, path))})
        assert deleted.status_code == 204
        restored = editor.post(path + "/restore", headers={"If-Match": form.format(deleted.headers["ETag"])})
        assert restored.status_code == 200

    @pytest.mark.parametrize("form", ['"a"', "W/{}", '"a", W/{}', ""])
    def test_a_stale_etag_is_412(self, service: Service, editor: FlaskClient, path: str, form: str) -> None:
        before, etag = stored(service), etag_of(editor, path)
        problem(editor.delete(path, headers={"If-Match": form.format(etag)}), 412, "version-mismatch")
        problem(editor.post(path + "/restore", headers={"If-Match": form.format(etag)}), 412, "version-mismatch")
        assert stored(service) == before
        deleted = editor.delete(path).headers["ETag"]
        stale = {"If-Match": form.format(deleted)}
        problem(editor.post(path + "/restore", headers=stale), 412, "version-mismatch")
        problem(editor.post(path + "/restore", headers={"If-Match": etag}), 412, "version-mismatch")

    @pytest.mark.parametrize("conditional", [True, False])
    def test_another_request_changes_it_meanwhile(
        self, editor: FlaskClient, path: str, monkeypatch: pytest.MonkeyPatch, conditional: bool
    ) -> None:
        headers = {"If-Match": etag_of(editor, path)} if conditional else {}
        remove = CustomerRepository.remove

        def slow(self: CustomerRepository, document: Document) -> Document:
            monkeypatch.setattr(CustomerRepository, "remove", remove)
            editor.patch(path, json={"phone": None})
            return remove(self, document)

        monkeypatch.setattr(CustomerRepository, "remove", slow)
        assert editor.delete(path, headers=headers).status_code == (412 if conditional else 204)
        assert editor.get(path).status_code == (200 if conditional else 404)

    def test_another_request_deletes_it_meanwhile(
        self, editor: FlaskClient, path: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        remove = CustomerRepository.remove

        def slow(self: CustomerRepository, document: Document) -> Document:
            monkeypatch.setattr(CustomerRepository, "remove", remove)
            assert editor.delete(path).status_code == 204
            return remove(self, document)

        monkeypatch.setattr(CustomerRepository, "remove", slow)
        problem(editor.delete(path), 404, "customer-not-found")
