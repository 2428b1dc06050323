"""Only admins read and change the members of an organization, and one admin always remains."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from tests.support import (
    MEMBER,
    ORGANIZATION,
    OTHER_ORGANIZATION,
    STRANGER,
    Service,
    bearer,
    caller,
    client_of,
    customers_url,
    findings,
    problem,
)

if TYPE_CHECKING:
    from flask.testing import FlaskClient

ADMIN = "admin-of-one"
ODD_IDS = ["a/b", "/", "a/", ".", "..", "a b", " ", "%2F", "a?b#c", "auth0|5f7c", "ñandú", "🦙", "$ne", "x" * 256]
MALFORMED = ["x" * 257, "\x00", "a\nb", "\n", "a\n", "\x7f"]


def members(user_id: str | None = None, organization: str = ORGANIZATION, base: str = "") -> str:
    path = customers_url(organization=organization, base=base).removesuffix("/customers") + "/members"
    return path if user_id is None else f"{path}/{quote(user_id, safe='')}"


def stored(service: Service) -> list[tuple[str, str, str]]:
    documents = service.database.memberships.find()
    return sorted((each["organizationId"], each["userId"], each["role"]) for each in documents)


class TestOrder:
    """401, 403, then for DELETE 404, and for PUT 415, 400, 422, and 409 last."""

    @pytest.mark.parametrize("user_id", [None, MEMBER, "unknown", ADMIN, *MALFORMED])
    def test_callers(self, service: Service, admin: FlaskClient, user_id: str | None) -> None:
        editor = caller(service, "editor")
        before = stored(service)
        for method in ("GET",) if user_id is None else ("PUT", "DELETE"):
            request: dict[str, Any] = {"method": method, "data": b"{", "content_type": "text/plain"}
            path = members(user_id)
            problem(service.client.open(path, **request), 401, "authentication-required")
            bad = service.client.open(path, headers={"Authorization": "Bearer x"}, **request)
            problem(bad, 401, "invalid-token")
            problem(service.client.open(path, headers=bearer(STRANGER), **request), 403, "not-a-member")
            problem(admin.open(members(user_id, OTHER_ORGANIZATION), **request), 403, "not-a-member")
            for client in (editor, client_of(service, MEMBER)):
                response = client.open(path, **request)
                refusal = problem(response, 403, "insufficient-role")
                assert refusal["detail"] == "The member's role does not allow this."
                assert response.headers["WWW-Authenticate"] == 'Bearer error="insufficient_scope"'
        assert stored(service) == before

    def test_the_body(self, service: Service, admin: FlaskClient) -> None:
        before, path = stored(service), members(ADMIN)
        problem(admin.put(path, data=b"{}", content_type="text/plain"), 415, "unsupported-media-type")
        assert admin.put(path, data=b" " * 2_000_000, content_type="application/json").status_code == 413
        problem(admin.put(path, data=b"{", content_type="application/json"), 400, "bad-request")
        assert findings(admin.put(path, json={"role": "viewer", "userId": "x"})) == [("/userId", "unknown-field")]
        problem(admin.put(path, json={"role": "viewer"}), 409, "last-admin")
        assert stored(service) == before

    @pytest.mark.parametrize(
        ("body", "path", "code"),
        [
            *(({"role": role}, "/role", "invalid-value") for role in ("owner", "", "Admin", "admin ", "admin\n")),
            *(({"role": role}, "/role", "invalid-type") for role in (1, True, ["admin"], {"$ne": ""}, {"$set": 1})),
            ({"role": None}, "/role", "required"),
            ({}, "/role", "required"),
            ([], "", "invalid-type"),
            ("admin", "", "invalid-type"),
        ],
    )
    def test_findings(self, service: Service, admin: FlaskClient, body: object, path: str, code: str) -> None:
        before = stored(service)
        assert findings(admin.put(members("new"), json=body)) == [(path, code)]
        assert stored(service) == before


class TestMembers:
    """PUT answers 201 or 200, DELETE 204, GET all of them."""

    @pytest.mark.parametrize("base", ["", "/api"])
    @pytest.mark.parametrize("role", ["viewer", "editor", "admin"])
    def test_a_membership_from_beginning_to_end(
        self, service: Service, admin: FlaskClient, role: str, base: str
    ) -> None:
        path, newcomer = members("new", base=base), client_of(service, "new")
        problem(newcomer.get(customers_url()), 403, "not-a-member")
        created = admin.put(path, json={"role": role})
        assert (created.status_code, created.get_json()) == (201, {"userId": "new", "role": role})
        assert newcomer.get(customers_url()).status_code == 200
        again = admin.put(path, json={"role": role})
        assert (again.status_code, again.get_json()) == (200, {"userId": "new", "role": role})
        for changed in ("admin", "viewer", "editor", role):
            response = admin.put(path, json={"role": changed})
            assert (response.status_code, response.get_json()) == (200, {"userId": "new", "role": changed})
            assert newcomer.get(members()).status_code == (200 if changed == "admin" else 403)
        assert {"userId": "new", "role": role} in admin.get(members(base=base)).get_json()["data"]
        deleted = admin.delete(path)
        assert (deleted.status_code, deleted.data) == (204, b"")
        assert "Content-Type" not in deleted.headers
        problem(newcomer.get(customers_url()), 403, "not-a-member")
        assert problem(admin.delete(path), 404, "member-not-found")["detail"] == "Member not found."

    def test_list(self, service: Service, admin: FlaskClient) -> None:
        other = {"userId": "x", "organizationId": OTHER_ORGANIZATION, "role": "admin"}
        nameless = {"user": "ana", "organizationId": ORGANIZATION, "role": "admin"}  # of another program
        service.database.memberships.insert_many([other, nameless])
        for user_id in ("zoe", "ana", "Bob"):
            admin.put(members(user_id), json={"role": "editor"})
        response = admin.get(members())
        assert response.status_code == 200
        assert response.headers["Cache-Control"] == "private, no-cache"
        assert response.get_json() == {
            "data": [
                {"userId": "Bob", "role": "editor"},
                {"userId": ADMIN, "role": "admin"},
                {"userId": "ana", "role": "editor"},
                {"userId": MEMBER, "role": "viewer"},
                {"userId": "zoe", "role": "editor"},
            ]
        }

    @pytest.mark.parametrize("leaving", ["x", None, {"0": 1}, {"at": datetime(2025, 1, 1)}, 5])  # noqa: DTZ001
    def test_an_admin_with_a_field_of_another_program(
        self, service: Service, admin: FlaskClient, leaving: object
    ) -> None:
        theirs = {"organizationId": ORGANIZATION, "role": "admin", "leaving": leaving}
        service.database.memberships.insert_many([{**theirs, "userId": user_id} for user_id in ("one", "two")])
        assert admin.delete(members("one")).status_code == 204
        assert admin.put(members("two"), json={"role": "viewer"}).status_code == 200
        problem(admin.delete(members(ADMIN)), 409, "last-admin")

    def test_a_membership_of_two_organizations_is_none(self, service: Service, admin: FlaskClient) -> None:
        both = {"userId": "both", "organizationId": [ORGANIZATION, OTHER_ORGANIZATION], "role": "editor"}
        service.database.memberships.insert_one(both)
        for organization in (ORGANIZATION, OTHER_ORGANIZATION):
            problem(client_of(service, "both").get(customers_url(organization=organization)), 403, "not-a-member")
        assert "both" not in admin.get(members()).text

    def test_a_member_of_another_organization(self, service: Service, admin: FlaskClient) -> None:
        other = (OTHER_ORGANIZATION, "x", "admin")
        service.database.memberships.insert_one(dict(zip(("organizationId", "userId", "role"), other, strict=True)))
        problem(admin.delete(members("x")), 404, "member-not-found")
        assert admin.put(members("x"), json={"role": "viewer"}).status_code == 201
        assert admin.delete(members("x")).status_code == 204
        assert other in stored(service)

    @pytest.mark.parametrize("user_id", ODD_IDS)
    def test_odd_ids(self, service: Service, admin: FlaskClient, user_id: str) -> None:
        created = admin.put(members(user_id), json={"role": "editor"})
        assert (created.status_code, created.get_json()["userId"]) == (201, user_id)
        assert (ORGANIZATION, user_id, "editor") in stored(service)
        if user_id.isascii():
            assert client_of(service, user_id).get(customers_url()).status_code == 200
        assert admin.delete(members(user_id)).status_code == 204

    @pytest.mark.parametrize("user_id", MALFORMED)
    def test_ids_that_no_token_has(self, service: Service, admin: FlaskClient, user_id: str) -> None:
        before = stored(service)
        assert findings(admin.put(members(user_id), json={"role": "viewer"})) == [("/userId", "invalid-value")]
        problem(admin.delete(members(user_id)), 404, "member-not-found")
        assert stored(service) == before


class TestLastAdmin:
    """An organization always has an admin."""

    @pytest.mark.parametrize("role", ["viewer", "editor"])
    def test_demotion(self, service: Service, admin: FlaskClient, role: str) -> None:
        other = {"userId": "x", "organizationId": OTHER_ORGANIZATION, "role": "admin"}
        service.database.memberships.insert_one(other)
        before = stored(service)
        problem(admin.put(members(ADMIN), json={"role": role}), 409, "last-admin")
        assert stored(service) == before
        assert admin.put(members(ADMIN), json={"role": "admin"}).status_code == 200
        assert admin.put(members("second"), json={"role": "admin"}).status_code == 201
        assert admin.put(members(ADMIN), json={"role": role}).status_code == 200
        problem(admin.get(members()), 403, "insufficient-role")
        second = client_of(service, "second")
        problem(second.put(members("second"), json={"role": role}), 409, "last-admin")

    def test_removal(self, service: Service, admin: FlaskClient) -> None:
        before = stored(service)
        problem(admin.delete(members(ADMIN)), 409, "last-admin")
        assert stored(service) == before
        admin.put(members("second"), json={"role": "admin"})
        assert admin.delete(members(ADMIN)).status_code == 204
        problem(admin.get(members()), 403, "not-a-member")
        second = client_of(service, "second")
        problem(second.delete(members("second")), 409, "last-admin")
        assert second.get(members()).get_json()["data"] == [
            {"userId": MEMBER, "role": "viewer"},
            {"userId": "second", "role": "admin"},
        ]

    @pytest.mark.parametrize("name", ["organizationId", "userId", "role"])
    def test_an_array_of_another_program_is_no_admin(self, service: Service, admin: FlaskClient, name: str) -> None:
        other = {"userId": "x", "organizationId": ORGANIZATION, "role": "admin"}
        service.database.memberships.insert_one({**other, name: [other[name]]})
        problem(admin.delete(members(ADMIN)), 409, "last-admin")
        problem(admin.put(members(ADMIN), json={"role": "viewer"}), 409, "last-admin")

    def test_nothing_is_left_behind(self, service: Service, admin: FlaskClient) -> None:
        service.database.memberships.insert_one({"organizationId": ORGANIZATION, "user": "x", "role": "admin"})
        problem(admin.delete(members(ADMIN)), 409, "last-admin")
        problem(admin.put(members(ADMIN), json={"role": "viewer"}), 409, "last-admin")
        admin.put(members("second"), json={"role": "admin"})
        admin.put(members("second"), json={"role": "viewer"})
        assert service.database.memberships.count_documents({"leaving.0": {"$exists": True}}) == 0
