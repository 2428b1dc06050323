"""The OWASP API Security Top 10 of 2023: one test for each risk."""

from __future__ import annotations

import socket
from dataclasses import replace
from typing import Any

import mongomock
import pytest

from customer_service.app import create_app
from customer_service.errors import SettingsError
from customer_service.roles import ROLES
from customer_service.settings import JwtSettings, ServerSettings
from tests import support
from tests.attacks.operations import guarded_operations, token_operations
from tests.support import (
    CUSTOMER_ID,
    EXAMPLE,
    OTHER_CUSTOMER_ID,
    OTHER_ORGANIZATION,
    Service,
    bearer,
    caller,
    customers_url,
    findings,
    issuer,
    new_customer,
    problem,
    serve,
    stored,
    url,
)
from tests.support.tokens import claims, forge, issue, jwk, segment

READ_ONLY_FIELDS: dict[str, Any] = {
    "id": OTHER_CUSTOMER_ID,
    "_id": OTHER_CUSTOMER_ID,
    "organizationId": OTHER_ORGANIZATION,
    "createdAt": "2020-01-01T00:00:00Z",
    "updatedAt": "2020-01-01T00:00:00Z",
    "deletedAt": None,
    "version": 7,
    "updatedBy": "admin-of-one",
    "requestId": "request-1",
    "unique": {},
    "search": {"tokens": ["everybody"]},
    "role": "admin",
    "$set": {"organizationId": OTHER_ORGANIZATION},
    "__proto__": {"isAdmin": True},
}
INVENTORY = (
    "/debug",
    "/console",
    "/admin",
    "/docs/",
    "/docs/oauth2-redirect.html",
    "/docs/../page.html",
    "/swagger.json",
    "/v1/organizations",
    "/.env",
    "/static/x",
)


@pytest.fixture
def service() -> Service:
    return serve(mongomock.MongoClient().customer_service)


def test_api1_broken_object_level_authorization(service: Service) -> None:
    """An admin reaches no customer of another organization, by its own path or by theirs."""
    admin = caller(service, "admin")
    before = stored(service)
    for operation in guarded_operations(service.app):
        theirs = admin.open(operation.path(OTHER_ORGANIZATION, customer_id=OTHER_CUSTOMER_ID), method=operation.method)
        assert theirs.status_code == 403
        if operation.names_one():
            own = admin.open(operation.path(customer_id=OTHER_CUSTOMER_ID), method=operation.method)
            assert own.status_code == 404
    batch = admin.post(customers_url("/batch-get"), json={"ids": [OTHER_CUSTOMER_ID]}).get_json()
    assert batch == {"data": [], "notFound": [OTHER_CUSTOMER_ID]}
    assert stored(service) == before


def test_api2_broken_authentication(service: Service) -> None:
    """No operation is done for a token that is absent, expired, unsigned, another's or made with the wrong secret."""
    caller(service, "admin")
    before = stored(service)
    refused = ["", "x", forge(secret=b"another secret of 32 bytes or more!"), forge(payload=claims(exp=1))]
    refused += [
        f"{segment({'alg': 'none'})}.{segment(claims(sub='admin-of-one'))}.",
        forge({"alg": "HS512"}, digest="sha512"),
    ]
    answers = set()
    for operation in guarded_operations(service.app) + token_operations(service.app):
        for token in refused:
            response = service.client.open(
                operation.path(customer_id=CUSTOMER_ID),
                method=operation.method,
                headers={"Authorization": f"Bearer {token}"},
            )
            assert response.status_code == 401
            if operation.method != "HEAD":
                answers.add(response.get_json()["detail"])
    assert answers == {"Authentication required."}
    assert stored(service) == before


def test_api3_broken_object_property_level_authorization(service: Service) -> None:
    """No caller sets a property that only the service sets, nor sees one that the contract does not have."""
    editor = caller(service, "editor")
    before = stored(service)
    for name, value in READ_ONLY_FIELDS.items():
        for method, path in (
            ("POST", customers_url()),
            ("PATCH", url()),
            ("PUT", customers_url("/by-external-id/crm-1")),
        ):
            body = {name: value} if method == "PATCH" else new_customer(taxId="AAA010101AA1", **{name: value})
            assert findings(editor.open(path, method=method, json=body)) == [(f"/{name}", "unknown-field")]
    assert stored(service) == before
    service.database.customers.update_many({}, {"$set": {"creditScore": 1, "address.gate": "1234", "unique.x": 1}})
    assert editor.get(url()).get_json() == EXAMPLE


def test_api4_unrestricted_resource_consumption(service: Service) -> None:
    """Bodies, their depth, pages and batches have limits, and so may the requests of a caller."""
    editor = caller(service, "editor")
    typed = {"content_type": "application/json"}
    problem(editor.post(customers_url(), data=b"[" * 1_000_001, **typed), 413, "request-entity-too-large")
    problem(editor.post(customers_url(), data=b"[" * 1_025 + b"]" * 1_025, **typed), 400, "bad-request")
    assert findings(editor.get(customers_url("?limit=101"))) == [("/limit", "invalid-value")]
    assert findings(editor.get(customers_url(f"?q={'x' * 256}"))) == [("/q", "invalid-length")]
    assert editor.post(customers_url("/batch-get"), json={"ids": [CUSTOMER_ID] * 101}).status_code == 422
    assert editor.post(customers_url(), json=new_customer(metadata={str(n): "" for n in range(51)})).status_code == 422
    limited = _with_rate_limit(service, 5)
    answers = [limited.client.get(url(), headers=bearer()).status_code for _ in range(6)]
    assert answers == [200] * 5 + [429]


def test_api5_broken_function_level_authorization(service: Service) -> None:
    """No operation is done for a lesser role than it needs, not even if a header names another method."""
    clients = {role: caller(service, role) for role in ROLES}
    before = stored(service), list(service.database.memberships.find())
    for operation in guarded_operations(service.app):
        for role in ROLES[: ROLES.index(operation.role)]:
            response = clients[role].open(operation.path(customer_id=CUSTOMER_ID), method=operation.method)
            assert response.status_code == 403, (operation, role)
    for body in ({"hold": True, "reason": "x"}, {"hold": False}):  # fields for admins of an operation for editors
        problem(clients["editor"].put(f"{url()}/retention", json=body), 403, "insufficient-role")
    for header in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "_method"):
        assert clients["viewer"].get(url(), headers={header: "DELETE"}).status_code == 200
    assert (stored(service), list(service.database.memberships.find())) == before


def test_api6_unrestricted_access_to_sensitive_business_flows(service: Service) -> None:
    """Customers are not created in bulk beyond a rate limit, nor is an organization left without an admin."""
    limited = _with_rate_limit(service, 10)
    editor = caller(limited, "editor")
    statuses = [
        editor.post(customers_url(), json=new_customer(taxId=f"AAA0101{day:02}AA1")).status_code for day in range(1, 21)
    ]
    assert statuses == [201] * 10 + [429] * 10
    admin = caller(service, "admin")
    member = customers_url().replace("/customers", "/members/admin-of-one")
    problem(admin.delete(member), 409, "last-admin")
    problem(admin.put(member, json={"role": "viewer"}), 409, "last-admin")


def test_api7_server_side_request_forgery(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that a caller sends makes the service connect to anything, or look up a name."""
    editor = caller(service, "editor")
    asked: list[object] = []

    def refuse(*address: object, **_: object) -> None:
        asked.append(address)
        raise OSError

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    address = "http://169.254.169.254/latest/meta-data"
    for name in ("jku", "x5u"):
        token = forge({"alg": "HS256", name: address})
        service.client.get(url(), headers={"Authorization": f"Bearer {token}"})
    body = new_customer(taxId="AAA010101AA1", email="x@metadata.example", externalId=address, metadata={"url": address})
    headers = {
        "X-Forwarded-Host": "evil.example",
        "Forwarded": f"for={address}",
        "Host": "evil.example",
        "Referer": address,
    }
    created = editor.post(customers_url(), json=body, headers=headers)
    assert created.status_code == 201
    assert created.headers["Location"].startswith("/organizations/")
    assert asked == []


def test_api8_security_misconfiguration(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """The service refuses weak secrets, other origins and unused methods, and shows no internals in errors."""
    for secret in ("", "short", "x" * 31):
        with pytest.raises(SettingsError):
            JwtSettings.from_environment({"JWT_SECRET": secret})
    for method in ("OPTIONS", "TRACE", "CONNECT", "PROPFIND"):
        assert service.client.open(url(), method=method, headers={"Origin": "https://evil.example"}).status_code == 405
    monkeypatch.setattr(service.app.extensions["memberships"], "find", lambda *_: dict[str, str]()["hunter2"])
    broken = service.client.get(url(), headers=bearer() | {"Origin": "https://evil.example"})
    problem(broken, 500, "internal-error")
    assert not any(word in broken.text for word in ("hunter2", "KeyError", "Traceback", ".py"))
    assert not [name for name, _ in broken.headers if name.startswith("Access-Control")]
    assert broken.headers["X-Content-Type-Options"] == "nosniff"


def test_api9_improper_inventory_management(service: Service) -> None:
    """What is served is what is documented, and nothing else."""
    documented = service.client.get("/openapi.json").get_json()
    paths = {(path, method.upper()) for path, item in documented["paths"].items() for method in item}
    operations = guarded_operations(service.app) + token_operations(service.app)
    assert len(paths) == len([each for each in operations if each.method != "HEAD"]) + 3
    assert documented["servers"] == [{"url": "/"}, {"url": "/api"}]
    for path in INVENTORY:
        for base in ("", "/api"):
            problem(service.client.get(base + path), 404, "not-found")


@pytest.mark.parametrize("answer", issuer.BAD_ANSWERS, ids=lambda answer: answer.__name__)
def test_api10_unsafe_consumption_of_apis(
    service: Service, answer: issuer.Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the issuer's response is bad in any way, no token is accepted, and the service answers 503 in time."""
    monkeypatch.setattr("customer_service.auth.jwks.FETCH_TIMEOUT_SECONDS", 0.3)
    source = issuer.JwksServer(jwk("P-256", kid="one"))
    try:
        source.answer = answer
        app = create_app(support.settings(jwks_url=source.url), service.database)
        token = issue("ES256", headers={"kid": "one"})
        problem(
            app.test_client().get(url(), headers={"Authorization": f"Bearer {token}"}), 503, "signing-keys-unavailable"
        )
    finally:
        source.close()


def _with_rate_limit(service: Service, allowed: int) -> Service:
    """Return the same service with a rate limit for each caller, of a minute that does not end in between."""
    settings = replace(support.settings(), server=ServerSettings(rate_limit_per_minute=allowed))
    app = create_app(settings, service.database)
    app.extensions["rate_limits"]._clock = lambda: 40_000_000 * 60.0
    return Service(app, service.database, app.test_client())
