"""GET and PUT by the caller's external id: find, create, replace, or leave unchanged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from bson import ObjectId

from customer_service.repository import CustomerRepository
from tests.support import (
    CUSTOMER_ID,
    EXAMPLE,
    OTHER_ORGANIZATION,
    STRANGER,
    Service,
    bearer,
    customers_url,
    findings,
    new_customer,
    problem,
    stored,
)

if TYPE_CHECKING:
    from flask.testing import FlaskClient
    from werkzeug.test import TestResponse

    from customer_service.repository.database import Document

IDS = [
    *("crm-4711", "a/b", "/", "//a", "a//", "a/", ".", "..", "../x", "a.b", "a b", " ", "a%b", "%2F", "a?b#c", "a+b"),
    *("ñandú", "🦙", "e\u0301", "\u2028", "$ne", '{"$gt": ""}', CUSTOMER_ID, "batch-get", "x" * 255, "🦙" * 255),
    *("restore", "x/restore", "tax-info-validation", "x/tax-info-validation", "by-external-id/x", "null", "0"),
]
MALFORMED = ["x" * 256, "\x00", "a\nb", "\n", "a\n", "\r", "\t", "\x7f", "\x80", "\x9f", "a\x1fb"]


def path_of(external_id: str, base: str = "", organization: str = "") -> str:
    path = f"/by-external-id/{quote(external_id, safe='')}"
    return customers_url(path, base=base, **({"organization": organization} if organization else {}))


def put(client: FlaskClient, external_id: str = "crm-1", **changes: Any) -> TestResponse:
    return client.put(path_of(external_id), json=new_customer(**changes))


class TestOrder:
    """401, 403, 404 of a GET, then 415, 413 and 400, then 412, then 422, then 409."""

    @pytest.mark.parametrize("external_id", ["crm-1", "none", *MALFORMED])
    def test_callers(self, service: Service, editor: FlaskClient, external_id: str) -> None:
        put(editor)
        before, path = stored(service), path_of(external_id)
        foreign = path_of(external_id, organization=OTHER_ORGANIZATION)
        for method in ("GET", "PUT"):
            request: dict[str, Any] = {"method": method, "data": b"{", "content_type": "text/plain"}
            problem(service.client.open(path, **request), 401, "authentication-required")
            bad = service.client.open(path, headers={"Authorization": "Bearer x"}, **request)
            problem(bad, 401, "invalid-token")
            problem(service.client.open(path, headers=bearer(STRANGER), **request), 403, "not-a-member")
            problem(editor.open(foreign, **request), 403, "not-a-member")
        viewer = service.client.put(path, data=b"{", headers=bearer())
        problem(viewer, 403, "insufficient-role")
        assert viewer.headers["WWW-Authenticate"] == 'Bearer error="insufficient_scope"'
        got = service.client.get(path, headers=bearer())
        assert got.status_code == (200 if external_id == "crm-1" else 404)
        assert stored(service) == before

    @pytest.mark.parametrize("external_id", ["crm-1", "none"])
    def test_the_body_then_the_condition_then_the_values_then_the_keys(
        self, service: Service, editor: FlaskClient, external_id: str
    ) -> None:
        put(editor)
        put(editor, "crm-2", taxId="ABC101010111")
        before, path, stale = stored(service), path_of(external_id), {"If-Match": '"stale"'}
        collision = new_customer(taxId="ABC101010111")
        for media_type in ("text/plain", "application/merge-patch+json"):
            response = editor.put(path, data=b"x" * 2_000_000, content_type=media_type, headers=stale)
            problem(response, 415, "unsupported-media-type")
        large = editor.put(path, data=b"x" * 2_000_000, content_type="application/json", headers=stale)
        assert large.status_code == 413
        response = editor.put(path, data=b"{", content_type="application/json", headers=stale)
        problem(response, 400, "bad-request")
        bodies: tuple[Any, ...] = ([], {"externalId": "other"}, collision | {"id": 1}, collision)
        for body in bodies:
            problem(editor.put(path, json=body, headers=stale), 412, "version-mismatch")
        assert findings(editor.put(path, json=[])) == [("", "invalid-type")]
        assert findings(editor.put(path, json=collision | {"id": 1})) == [("/id", "unknown-field")]
        problem(editor.put(path, json=collision), 409, "duplicate-tax-id")
        assert stored(service) == before


class TestPut:
    """201, then 200, and nothing is written if nothing changes."""

    @pytest.mark.parametrize("base", ["", "/api"])
    def test_create(self, editor: FlaskClient, base: str) -> None:
        response = editor.put(path_of("crm-1", base), json=new_customer())
        assert response.status_code == 201
        created = response.get_json()
        assert set(created) == {*EXAMPLE, "externalId"}
        assert created["externalId"] == "crm-1"
        assert response.headers["Location"] == customers_url("/" + created["id"], base=base)
        for path in (response.headers["Location"], path_of("crm-1", base)):
            got = editor.get(path)
            assert (got.get_json(), got.headers["ETag"]) == (created, response.headers["ETag"])
            assert editor.get(path, headers={"If-None-Match": got.headers["ETag"]}).status_code == 304

    def test_replace(self, service: Service, editor: FlaskClient) -> None:
        first = put(editor, metadata={"a": "b"}, address={"interior": "4"})
        body = new_customer(legalName="Other")
        del body["phone"]
        body["address"] = {"zip": "01000"}
        second = editor.put(path_of("crm-1"), json=body)
        assert second.status_code == 200
        assert "Location" not in second.headers
        assert second.headers["ETag"] != first.headers["ETag"]
        place = {"state": "Ciudad de México", "municipality": "Álvaro Obregón", "city": "Ciudad de México"}
        address = dict.fromkeys(EXAMPLE["address"]) | place | {"zip": "01000", "country": "MEX"}
        expected = first.get_json() | {"legalName": "Other", "phone": None, "address": address}
        del expected["metadata"]
        assert second.get_json() == expected | {"updatedAt": second.get_json()["updatedAt"]}
        assert editor.get(path_of("crm-1")).get_json() == second.get_json()
        document = service.database.customers.find_one({"_id": ObjectId(second.get_json()["id"])}) or {}
        assert document["version"] == 2
        assert "metadata" not in document

    @pytest.mark.parametrize("given", [{}, {"externalId": None}, {"externalId": "crm-1"}])
    def test_nothing_to_do(self, service: Service, editor: FlaskClient, given: dict[str, Any]) -> None:
        first = editor.put(path_of("crm-1"), json=new_customer(**given))
        assert first.status_code == 201
        before = stored(service)
        same: tuple[dict[str, Any], ...] = ({}, {"taxId": "dum901231ab3", "legalName": " Dunder Mifflin"})
        for changes in same:
            again = put(editor, **given, **changes)
            assert (again.status_code, again.get_json()) == (200, first.get_json())
            assert again.headers["ETag"] == first.headers["ETag"]
        assert stored(service) == before

    @pytest.mark.parametrize("other", ["crm-2", "CRM-1", "", 1, ["crm-1"], {"$ne": ""}])
    def test_another_id_in_the_body(self, service: Service, editor: FlaskClient, other: object) -> None:
        before = stored(service)
        response = put(editor, externalId=other)
        assert findings(response) == [("/externalId", "invalid-value")]
        assert "must equal the path's" in response.get_json()["errors"][0]["message"]
        assert stored(service) == before

    def test_who_has_the_id_may_have_been_created_otherwise(self, editor: FlaskClient) -> None:
        created = editor.post(customers_url(), json=new_customer(externalId="crm-1")).get_json()
        assert put(editor).get_json() == created
        editor.delete(customers_url("/" + created["id"]))
        again = put(editor)
        assert again.status_code == 201
        assert again.get_json()["id"] != created["id"]

    def test_collision(self, editor: FlaskClient) -> None:
        other = put(editor, "crm-2", taxId="ABC101010111").get_json()
        for _ in range(2):
            conflict = problem(put(editor, taxId="abc101010111"), 409, "duplicate-tax-id")
            assert editor.get(conflict["existing"]).get_json() == other
            put(editor)

    def test_another_request_creates_it_meanwhile(self, editor: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
        find = CustomerRepository.find_by_external_id

        def slow(self: CustomerRepository, external_id: str) -> Document | None:
            found = find(self, external_id)
            monkeypatch.setattr(CustomerRepository, "find_by_external_id", find)
            assert put(editor, external_id).status_code == 201
            return found

        monkeypatch.setattr(CustomerRepository, "find_by_external_id", slow)
        response = put(editor, legalName="Other")
        assert response.status_code == 200
        assert response.get_json()["legalName"] == "Other"


class TestIds:
    """An id is the caller's own, of any form."""

    @pytest.mark.parametrize("external_id", IDS)
    def test_allowed(self, editor: FlaskClient, external_id: str) -> None:
        response = put(editor, external_id)
        assert response.status_code == 201, response.text
        assert response.get_json()["externalId"] == external_id
        assert editor.get(path_of(external_id)).get_json() == response.get_json()
        assert put(editor, external_id).status_code == 200

    @pytest.mark.parametrize("external_id", MALFORMED)
    def test_refused(self, service: Service, editor: FlaskClient, external_id: str) -> None:
        before = stored(service)
        assert [path for path, _ in findings(put(editor, external_id))] == ["/externalId"]
        problem(editor.get(path_of(external_id)), 404, "customer-not-found")
        assert stored(service) == before

    def test_case_and_accents_count(self, editor: FlaskClient) -> None:
        put(editor, "crm-é")
        for other in ("CRM-É", "crm-e", "crm-é ", "crm-é/"):
            assert editor.get(path_of(other)).status_code == 404

    def test_what_looks_the_same_is_the_same(self, service: Service, editor: FlaskClient) -> None:
        """The customer keeps the text that was stored, until a PUT by another replaces it."""
        created = put(editor, "crm-é").get_json()
        for other in ("crm-e\u0301", "crm\u200b-é", "\ufeffcrm-é", "crm-e\u2060\u0301\u00ad"):
            assert editor.get(path_of(other)).get_json() == created
            collision = editor.post(customers_url(), json=new_customer(taxId="ABC101010111", externalId=other))
            assert problem(collision, 409, "duplicate-external-id")["existing"].endswith(created["id"])
        changed = put(editor, "crm-e\u0301")
        assert changed.status_code == 200
        assert changed.get_json()["externalId"] == "crm-e\u0301"
        assert put(editor, "crm-é", externalId="crm-e\u0301").get_json()["externalId"] == "crm-é"
        assert len(stored(service)) == 3

    @pytest.mark.parametrize("external_id", ["\u200b", "\u2060\ufeff", "\U000e0001"])
    def test_nothing_to_be_seen(self, service: Service, editor: FlaskClient, external_id: str) -> None:
        before = stored(service)
        assert findings(put(editor, external_id)) == [("/externalId", "invalid-length")]
        assert findings(editor.post(customers_url(), json=new_customer(externalId=external_id))) == [
            ("/externalId", "invalid-length")
        ]
        assert editor.get(path_of(external_id)).status_code == 404
        assert stored(service) == before

    def test_a_slash_may_be_sent_as_it_is(self, editor: FlaskClient) -> None:
        created = put(editor, "a/b//c").get_json()
        assert editor.get(customers_url("/by-external-id/a/b//c")).get_json() == created


class TestIfNoneMatch:
    """If-None-Match compares weakly; with * only a new customer is stored."""

    def test_a_star_only_creates(self, service: Service, editor: FlaskClient) -> None:
        headers = {"If-None-Match": "*"}
        assert editor.put(path_of("crm-1"), json=new_customer(), headers=headers).status_code == 201
        before = stored(service)
        for changes in ({}, {"phone": None}):
            response = editor.put(path_of("crm-1"), json=new_customer(**changes), headers=headers)
            problem(response, 412, "version-mismatch")
        assert stored(service) == before

    @pytest.mark.parametrize(
        ("form", "status"), [("{}", 412), ("W/{}", 412), ('"a", {}', 412), ('"a"', 200), ("", 200)]
    )
    def test_an_etag(self, editor: FlaskClient, form: str, status: int) -> None:
        headers = {"If-None-Match": form.format(put(editor).headers["ETag"])}
        assert editor.put(path_of("crm-1"), json=new_customer(phone=None), headers=headers).status_code == status

    @pytest.mark.parametrize(("name", "status"), [("If-Match", 204), ("If-None-Match", 412)])
    def test_a_star_needs_no_etag(self, service: Service, editor: FlaskClient, name: str, status: int) -> None:
        path = put(editor).headers["Location"]
        service.database.customers.update_one({"externalId": "crm-1"}, {"$set": {"email": 1}})
        assert editor.delete(path, headers={name: "*"}).status_code == status


class TestIfMatch:
    """If-Match compares strongly; if there is no customer, nothing matches."""

    @pytest.mark.parametrize("form", ["{}", '"a", {}', "*"])
    def test_a_current_etag_is_accepted(self, editor: FlaskClient, form: str) -> None:
        headers = {"If-Match": form.format(put(editor).headers["ETag"])}
        assert editor.put(path_of("crm-1"), json=new_customer(), headers=headers).status_code == 200
        changed = editor.put(path_of("crm-1"), json=new_customer(phone=None), headers=headers)
        assert changed.status_code == 200

    @pytest.mark.parametrize("form", ['"a"', "W/{}", '"a", W/{}', ""])
    def test_a_stale_etag_is_412(self, service: Service, editor: FlaskClient, form: str) -> None:
        headers = {"If-Match": form.format(put(editor).headers["ETag"])}
        before = stored(service)
        for changes in ({}, {"phone": None}):
            response = editor.put(path_of("crm-1"), json=new_customer(**changes), headers=headers)
            problem(response, 412, "version-mismatch")
        assert stored(service) == before

    @pytest.mark.parametrize("value", ["*", '"a"'])
    def test_no_customer(self, service: Service, editor: FlaskClient, value: str) -> None:
        before = stored(service)
        response = editor.put(path_of("crm-1"), json=new_customer(), headers={"If-Match": value})
        problem(response, 412, "version-mismatch")
        assert stored(service) == before
