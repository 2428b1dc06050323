"""No log line, error or metric of any failure contains a token, or a customer's tax id, email, phone or name."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from tests import support
from tests.support import bearer, customers_url, new_customer
from tests.support.failpoints import SERVICE, failing
from tests.support.raw_http import send
from tests.support.tokens import claims, forge, issue, segment

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from pymongo.database import Database

    from customer_service.repository.database import Document
    from tests.support.server import Answer, Server

ADMIN = "ana.gonzalez@issuer.example"
CUSTOMER: dict[str, Any] = {
    "legalName": "ÑANDÚ SECRETO",
    "taxId": "ÑAN010203AB1",
    "email": "facturas@nandu-secreto.example",
    "phone": "6475559876",
    "externalId": "nandu/secreto-42",
    "metadata": {"contact": "Íñigo Montoya"},
    "address": {"street": "Calle del Secreto", "zip": "86500"},
}
WORDS = ("ñandú", "nandu", "secreto", "ñan010203", "6475559876", "montoya", "ana.gonzalez", "%c3%91an")
FAILURES: tuple[tuple[int, tuple[str, ...]], ...] = (
    (13, ("find", "update", "insert")),  # Unauthorized
    (50, ("find", "update", "insert")),  # MaxTimeMSExpired
    (121, ("update", "insert")),  # DocumentValidationFailure
    (8000, ("find", "update", "insert")),  # an error of a hosted MongoDB, which quotes what it was asked
)


@dataclass
class Run:
    """A run of requests by one admin: what was sent, and what was answered to what went wrong."""

    server: Server
    tokens: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    asked: int = 0

    def request(self, method: str, path: str, body: object = None, token: str | None = None, **headers: str) -> Answer:
        """Ask once, with a token of its own."""
        own = support.token(ADMIN) if token is None else token
        self.tokens.append(own)
        sent = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        known = {"Authorization": f"Bearer {own}", "Content-Type": "application/json", **headers}
        answer = self.server.request(method, path, known, sent)
        self.asked += 1
        if answer.status >= 400:
            self.errors.append(f"{answer.headers}{answer.body.decode()}")
        return answer

    def everything(self) -> int:
        """Do all that an admin does with a customer; return how many of the requests failed."""
        before = len(self.errors)
        created = self.request(
            "POST", customers_url(), new_customer(**CUSTOMER), **{"Idempotency-Key": "nandu-secreto"}
        )
        path = created.headers.get("Location", support.url(base=""))
        for query in (
            "q=%C3%91and%C3%BA",
            "email=facturas%40nandu-secreto.example",
            "taxId=%C3%91AN010203AB1",
            "unknown=secreto",
        ):
            self.request("GET", f"{customers_url()}?{query}")
        for method in ("GET", "PUT"):
            self.request(method, customers_url("/by-external-id/nandu/secreto-42"), new_customer(**CUSTOMER))
        self.request("GET", path)
        self.request("GET", f"{path}/tax-info-validation")
        self.request("PATCH", path, {"phone": "6475559876"}, **{"If-Match": '"secreto"'})
        self.request("PUT", customers_url().replace("/customers", f"/members/{ADMIN}"), {"role": "admin"})
        self.request("DELETE", path)
        self.request("POST", f"{path}/restore")
        for suffix in ("/versions", "/versions/1", "?asOf=2999-01-01T00:00:00Z"):
            self.request("GET", path + suffix)
        self.request("DELETE", path)
        self.erase()
        return len(self.errors) - before

    def erase(self) -> None:
        """Create a customer, hold it, block it, release it and erase it."""
        created = self.request("POST", customers_url(), new_customer(**CUSTOMER))
        path = created.headers.get("Location", support.url(customer=support.MISSING_CUSTOMER_ID, base=""))
        for hold in ({"hold": True, "reason": "secreto"}, {"hold": False}):
            self.request("PUT", f"{path}/retention", hold)
            self.request("POST", f"{path}/erasure")

    def mistakes(self) -> None:
        """Send what is refused, and quotes the customer or the token in the wrong places."""
        for changes in (
            {"taxSystem": "ÑANDÚ"},
            {"email": "secreto"},
            {"phone": "nandu"},
            {"nickname": "ñandú"},
            {"address": {"zip": "secreto"}},
            {"metadata": {"$x": "nandu"}},
        ):
            self.request("POST", customers_url(), new_customer(**{**CUSTOMER, **changes}))
        for retention in ({"reason": "nandu"}, {"lastInvoicedOn": "secreto"}, {"nickname": "nandu"}):
            self.request("PUT", support.url() + "/retention", retention)
        for suffix in ("/versions?cursor=secreto", "/versions/secreto", "?asOf=secreto"):
            self.request("GET", support.url() + suffix)
        for body in (
            b'{"legalName": "\xc3\x91AND\xc3\x9a SECRETO"',
            b"secreto",
            b'["secreto"]',
            b'{"ids": ["secreto"]}',
        ):
            self.request("POST", customers_url("/batch-get"), body)
        self.request("POST", customers_url(), new_customer(**CUSTOMER), **{"Content-Type": "text/secreto"})
        self.request("GET", "/nandu/secreto?email=facturas@nandu-secreto.example")
        self.request("GET", support.url("secreto", "nandu"))
        self.request("BREW", support.url("secreto", "nandu"))
        for token in (
            forge(payload=claims(sub=ADMIN, exp=1)),
            issue("ES256", sub=ADMIN),
            f"{segment({'alg': 'none'})}.e30.",
            "secreto",
        ):
            self.request("GET", support.url(), token=token)

    def broken_requests(self) -> None:
        """Send what gunicorn cannot read, with a token in it."""
        token = bearer(ADMIN)["Authorization"]
        self.tokens.append(token.removeprefix("Bearer "))
        head = f"GET {support.url()}?secreto={token.split()[1]} HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\n"
        for text in (
            f"{head}Nandu Secreto\r\n\r\n",
            head.replace("HTTP/1.1", "HTTP/7.7") + "\r\n",
            head + "X: y\r\n" * 200 + "\r\n",
        ):
            self.errors.append(send(self.server, text.encode()).body.decode())

    def leaks(self) -> list[str]:
        """Return what the log, an error or the metrics repeat of what was in play."""
        metrics = self.server.get("/metrics").body.decode()
        assert "customer_service_" in metrics
        output = "\n".join((self.server.log(), metrics, *self.errors)).casefold()
        output += output.encode().decode("unicode_escape", "replace").casefold()
        segments = {part for token in self.tokens for part in token.split(".") if len(part) > 20}
        return [each for each in (*WORDS, *segments) if each.casefold() in output]


def failing_customers(
    database: Database[Document], code: int, commands: tuple[str, ...]
) -> AbstractContextManager[None]:
    """Let the service's commands on customers fail with this code."""
    return failing(database, *commands, errorCode=code, appName=SERVICE, namespace=f"{database.name}.customers")


@pytest.fixture
def run(server: Server, mongodb_of_session: Database[Document]) -> Run:
    membership = {"userId": ADMIN, "organizationId": support.ORGANIZATION}
    mongodb_of_session.memberships.update_one(membership, {"$set": {"role": "admin"}}, upsert=True)
    return Run(server)


def test_no_output_of_a_whole_run_contains_a_secret(
    run: Run, mongodb_of_session: Database[Document], record_property: Callable[[str, object], None]
) -> None:
    """Everything that an admin does, once with a sound database and then with every failure of it, and every attack."""
    assert run.everything() <= 3  # the unknown parameter, the stale ETag and the last admin
    run.mistakes()
    run.broken_requests()
    for code, commands in FAILURES:
        with failing_customers(mongodb_of_session, code, commands):
            assert run.everything() > 5
    mongodb_of_session.customers.update_many({}, {"$set": {"email": ["secreto"], "legalName": {"ñandú": 1}}})
    assert json.loads(run.request("GET", support.url()).body)["type"] == "urn:problem-type:malformed-document"
    assert run.leaks() == []
    lines = run.server.log().splitlines()
    assert len(lines) > run.asked
    secrets = len(run.tokens) + len(WORDS)
    record_property(
        "figure", f"{run.asked} requests, {len(run.errors)} errors, {len(lines)} lines: 0 of {secrets} secrets"
    )


def test_the_search_finds_what_is_there(run: Run) -> None:
    run.request("GET", support.url(), **{"X-Request-ID": "nandu@secreto.example"})
    assert run.leaks() == ["nandu", "secreto"]
