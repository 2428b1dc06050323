"""Two organizations with a customer each, a member, a user without a membership, and the member's token."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import jwt
from bson import ObjectId

from customer_service.app import create_app
from customer_service.cli.demo import EXAMPLE_CUSTOMER
from customer_service.repository import CustomerRepository, Writer, ensure_indexes
from customer_service.settings import CacheSettings, JwtSettings, MongoSettings, ServerSettings, Settings

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Iterable

    from flask import Flask
    from flask.testing import FlaskClient
    from pymongo.database import Database
    from werkzeug.test import TestResponse

    from customer_service.observability.metrics import Metrics
    from customer_service.repository.database import Document

SECRET = "a secret for the tests, of 32 bytes or more"
ORGANIZATION = "550e8400-e29b-41d4-a716-446655440000"
OTHER_ORGANIZATION = "org-uuid"
MEMBER = "member-of-one"
STRANGER = "member-of-none"
CUSTOMER_ID = "590ce6c56d04f840aa8438af"
OTHER_CUSTOMER_ID = "590ce6c56d04f840aa8438b0"
MISSING_CUSTOMER_ID = "0123456789abcdef01234567"
WRITER = Writer("editor-of-one", "request-1")

EXAMPLE = {
    "id": CUSTOMER_ID,
    "organizationId": ORGANIZATION,
    "legalName": "Dunder Mifflin",
    "taxId": "DUM901231AB3",
    "taxSystem": "601",
    "email": "billing@dundermifflin.com",
    "phone": "6474010101",
    "defaultInvoiceUse": "G01",
    "address": {
        "street": "Blvd. Atardecer",
        "exterior": "142",
        "interior": None,
        "neighborhood": "Centro",
        "city": "Huatabampo",
        "municipality": "Huatabampo",
        "zip": "86500",
        "state": "Sonora",
        "country": "MEX",
    },
    "createdAt": "2025-01-26T10:00:00Z",
    "updatedAt": "2025-01-26T10:00:00Z",
}
"""The specification's example response, word for word."""

PLACE = {"state": "Tabasco", "municipality": "Cárdenas", "city": "Cárdenas"}
"""What the SAT has for the zip of the example, and a customer who gives only the zip is stored with."""

NEW_CUSTOMER = {
    name: EXAMPLE[name] for name in EXAMPLE if name not in {"id", "organizationId", "createdAt", "updatedAt"}
}
NEW_CUSTOMER |= {"legalName": "Sabre", "taxId": "SAB010203AB1"}
"""A customer to create beside the example."""


FIRST_EXAMPLE = {
    "legalName": "Dunder Mifflin",
    "taxId": "ABC101010111",
    "taxSystem": "601",
    "email": "email@example.com",
    "defaultInvoiceUse": "G01",
    "address": {
        "street": "Blvd. Atardecer",
        "exterior": "142",
        "neighborhood": "Centro",
        "city": "Huatabampo",
        "municipality": "Huatabampo",
        "zip": "86500",
        "state": "Sonora",
        "country": "MEX",
        "interior": "4",
    },
    "phone": "6474010101",
}
"""What a caller sends to create the customer of the specification's first example."""

READ_ONLY_FIELDS = ("id", "organizationId", "createdAt", "updatedAt")


INVOICED_ON = datetime.now(UTC).date() - timedelta(days=1)
"""The date of a last invoice for which the tax law retains a customer now."""

RETAIN_UNTIL = f"{INVOICED_ON.year + 6}-04-30"


def token(subject: str = MEMBER, secret: str = SECRET, **claims: Any) -> str:
    """Return a valid token of a caller, its claims changed as given."""
    return jwt.encode({"sub": subject, "exp": int(time.time()) + 3600, **claims}, secret, "HS256")


def bearer(subject: str = MEMBER, secret: str = SECRET, **claims: Any) -> dict[str, str]:
    """Return the header of a caller with a valid token, its claims changed as given."""
    return {"Authorization": f"Bearer {token(subject, secret, **claims)}"}


def wait_until(condition: Callable[[], object], seconds: float = 10, pause: float = 0.001) -> float:
    """Wait until the condition holds; return the seconds that it took."""
    began = time.perf_counter()
    while not condition():
        assert time.perf_counter() - began < seconds, "it never came"
        time.sleep(pause)
    return time.perf_counter() - began


def own_records(records: Iterable[logging.LogRecord]) -> list[logging.LogRecord]:
    """Return what the test's thread logged: a thread that an earlier test left behind may log too."""
    return [record for record in records if record.thread == threading.get_ident()]


def url(organization: str = ORGANIZATION, customer: str = CUSTOMER_ID, base: str = "/api") -> str:
    """Return the path of a customer."""
    return f"{base}/organizations/{organization}/customers/{customer}"


def customers_url(suffix: str = "", organization: str = ORGANIZATION, base: str = "") -> str:
    """Return the path of an organization's customers, and of what is below it."""
    return f"{base}/organizations/{organization}/customers{suffix}"


def new_customer(**changes: Any) -> dict[str, Any]:
    """Return the specification's example as a caller may send it, changed as given; the address key by key."""
    customer = {name: value for name, value in EXAMPLE.items() if name not in READ_ONLY_FIELDS}
    address = changes.pop("address", {})
    if isinstance(address, dict):
        address = {**EXAMPLE["address"], **address}  # type: ignore[dict-item]
    return {**customer, **changes, "address": address}


def findings(response: TestResponse) -> list[tuple[str, str]]:
    """Return the path and the code of each finding of a response."""
    return [(each["path"], each["code"]) for each in problem(response, 422, "validation-error")["errors"]]


def problem(response: TestResponse, status: int, slug: str) -> dict[str, Any]:
    """Return the body of an answer that is this problem."""
    assert (response.status_code, response.content_type) == (status, "application/problem+json"), response.text
    body: dict[str, Any] = response.get_json()
    assert body["status"] == status
    assert body["type"] == f"urn:problem-type:{slug}"
    return body


NOTHING_KEPT = CacheSettings(token_entries=0, membership_seconds=0, customer_entries=0)
"""For tests that change memberships behind the service's back."""


PATIENT_MS = 20_000
"""A deadline that a busy machine keeps, for tests of everything else."""


def settings(uri: str = "mongomock://", database: str = "tests", **jwt_settings: Any) -> Settings:
    """Return settings with the tests' secret, or with the keys given."""
    return Settings(
        MongoSettings(uri, database, PATIENT_MS),
        JwtSettings(**(jwt_settings or {"secret": SECRET})),
        ServerSettings(),
        NOTHING_KEPT,
    )


def empty(database: Database[Document]) -> None:
    """Delete every document; the collections and their indexes stay, since dropping them is slow."""
    for name in database.list_collection_names():
        database[name].delete_many({})


def fill(database: Database[Document]) -> None:
    """Store a customer of each organization, and the member of one of them."""
    _index(database)
    database.memberships.insert_one({"userId": MEMBER, "organizationId": ORGANIZATION, "role": "viewer"})
    database.customers.insert_many(
        [
            dict(EXAMPLE_CUSTOMER),
            EXAMPLE_CUSTOMER | {"_id": ObjectId(OTHER_CUSTOMER_ID), "organizationId": OTHER_ORGANIZATION},
        ]
    )


def _index(database: Database[Document]) -> None:
    """Make the indexes, unless the customers have theirs: to ask for all takes longer than most tests.

    A test that drops those of another collection makes them again.
    """
    names = {index.document["name"] for index in CustomerRepository.INDEXES}
    if not database.customers.index_information().keys() >= names:
        ensure_indexes(database)


@dataclass(frozen=True, slots=True)
class Service:
    """The application over a filled database, and a client of it."""

    app: Flask
    database: Database[Document]
    client: FlaskClient


def caller(service: Service, role: str, user_id: str | None = None) -> FlaskClient:
    """Return a client whose every request is a new member's of the first organization."""
    user_id = user_id or f"{role}-of-one"
    service.database.memberships.insert_one({"userId": user_id, "organizationId": ORGANIZATION, "role": role})
    return client_of(service, user_id)


def client_of(service: Service, user_id: str) -> FlaskClient:
    """Return a client whose every request is this user's."""
    client = service.app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = bearer(user_id)["Authorization"]
    return client


def stored(service: Service) -> list[Document]:
    """Return every customer of every organization as it is stored."""
    return list(service.database.customers.find().sort("_id"))


def serve(database: Database[Document], configuration: Settings | None = None) -> Service:
    """Return the service over this database, filled."""
    fill(database)
    app = create_app(configuration or settings(), database)
    return Service(app, database, app.test_client())


def metric_values(metrics: Metrics) -> dict[str, float]:
    """Return the value of every sample of these metrics, by its name and labels as they are written."""
    return samples(metrics.render().decode())


def samples(text: str) -> dict[str, float]:
    """Return the value of every sample of a text in Prometheus' format, by its name and labels as they are written."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}
