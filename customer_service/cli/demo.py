"""The service on a laptop: in memory, with the specification's example, and curls to paste."""

from __future__ import annotations

import secrets
import socket
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NoReturn

import click
from bson import ObjectId

from customer_service.auth.tokens import mint
from customer_service.cli import serve
from customer_service.errors import SettingsError
from customer_service.repository import MembershipRepository, backfill_search_fields, ensure_indexes
from customer_service.repository.database import connect
from customer_service.services import validation
from customer_service.settings import IN_MEMORY_URI, ServerSettings, Settings
from customer_service.web import examples

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flask import Flask
    from pymongo.database import Database

    from customer_service.repository.database import Document

HOST = "127.0.0.1"
MEMBER = "demo-user"
ORGANIZATION_ID = "550e8400-e29b-41d4-a716-446655440000"
CUSTOMER_ID = "590ce6c56d04f840aa8438af"
TOKEN_SECONDS = 24 * 3600
EXAMPLE_CUSTOMER: Document = {
    "_id": ObjectId(CUSTOMER_ID),
    "organizationId": ORGANIZATION_ID,
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
    "createdAt": datetime(2025, 1, 26, 10, tzinfo=UTC),
    "updatedAt": datetime(2025, 1, 26, 10, tzinfo=UTC),
    "version": 1,
}
"""The customer of the specification's example, as it is stored."""


def run(environ: Mapping[str, str], port: int | None = None) -> NoReturn:
    """Replace this process by gunicorn with one worker, whose memory holds everything; raises SettingsError.

    It takes the PORT of the environment if `port` is None.
    """
    chosen = demo_environment(environ, port)
    address = f"{HOST}:{ServerSettings.from_environment(chosen).port}"
    serve.run(chosen, "--bind", address, application="customer_service.cli.demo:app()")


def demo_environment(environ: Mapping[str, str], port: int | None) -> dict[str, str]:
    """Return this environment with a database in memory and a fresh secret; raises SettingsError for an unusable port.

    No other way of verifying tokens is left in it.
    """
    chosen = {
        "LOG_LEVEL": "warning",
        **{name: value for name, value in environ.items() if not name.startswith(("JWT_", "MONGODB_"))},
        "MONGODB_URI": IN_MEMORY_URI,
        "JWT_SECRET": secrets.token_urlsafe(32),
        "WEB_CONCURRENCY": "1",
        "DRAIN_SECONDS": "0",
    }
    if port is not None:
        chosen |= {"PORT": str(port), "PORT_FILE": ""}
    _require_free(ServerSettings.from_environment(chosen).port)
    return chosen


def app() -> Flask:
    """Return the application over a database that holds the example and its member, and print how to try it."""
    from customer_service.app import create_app  # noqa: PLC0415 - its import would take a third of each command's start

    settings = Settings.from_environment()
    database = connect(settings.mongodb)
    fill(database)
    application = create_app(settings, database)
    application.config["ABSOLUTE_SERVERS"] = True
    click.echo(announcement(settings))
    return application


def fill(database: Database[Document]) -> None:
    """Store what the documentation page's examples name: two customers and two members of their organization."""
    ensure_indexes(database)
    MembershipRepository(database).set_role(MEMBER, ORGANIZATION_ID, "admin")
    MembershipRepository(database).set_role(examples.USER_ID, ORGANIZATION_ID, "viewer")
    own = validation.validate({**examples.OWN_CUSTOMER, "externalId": examples.EXTERNAL_ID})
    database.customers.insert_many([dict(EXAMPLE_CUSTOMER), {**EXAMPLE_CUSTOMER, **own, "_id": ObjectId()}])
    backfill_search_fields(database)


def announcement(settings: Settings) -> str:
    """Return what the demo prints: a curl for each outcome that the specification documents."""
    base = f"http://localhost:{settings.server.port}/api/organizations"
    token = mint(settings.jwt, MEMBER, TOKEN_SECONDS)
    header = f' \\\n    -H "Authorization: Bearer {token}"'
    own = f"{base}/{ORGANIZATION_ID}/customers"
    outcomes = (
        ("200, the customer of the documented example", f"{own}/{CUSTOMER_ID}", header),
        ("401, no token", f"{own}/{CUSTOMER_ID}", ""),
        ("403, an organization that the caller is not a member of", f"{base}/another/customers/{CUSTOMER_ID}", header),
        ("404, no such customer", f"{own}/000000000000000000000000", header),
    )
    curls = "\n\n".join(f"# {title}\n  curl -i {url}{header}" for title, url, header in outcomes)
    return (
        f"The customer service answers on http://localhost:{settings.server.port}. Try it in a browser:\n\n"
        f"  http://localhost:{settings.server.port}/docs\n\n"
        f"press Authorize, and paste this token:\n\n  {token}\n\n"
        "Its data lives in memory only and is gone when you stop it with Ctrl-C. Or paste one of these:\n\n"
        f"{curls}\n"
    )


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            reason = f"{port} cannot be used on this machine ({error.strerror})"
            raise SettingsError(f"PORT: {reason}; choose another, as in PORT=3002") from None
