"""The service on a laptop: in memory, with the specification's example, and curls to paste."""

from __future__ import annotations

import os
import secrets
import socket
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click
from bson import ObjectId
from gunicorn.app.base import BaseApplication

from customer_service import server
from customer_service.app import create_app
from customer_service.database import connect
from customer_service.errors import SettingsError
from customer_service.repository import MembershipRepository, backfill_search_fields, ensure_indexes
from customer_service.settings import (
    IN_MEMORY_URI,
    GatewaySettings,
    JwtSettings,
    MongoSettings,
    ServerSettings,
    Settings,
)
from customer_service.tokens import mint

if TYPE_CHECKING:
    from gunicorn.arbiter import Arbiter
    from pymongo.database import Database

    from customer_service.database import Document

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


class Demo(BaseApplication):
    """gunicorn with one worker, whose memory holds everything."""

    def __init__(self, settings: Settings) -> None:
        """Take the settings of `demo_settings`."""
        self.settings = settings
        super().__init__()

    def load_config(self) -> None:
        """Set gunicorn up as in production, but on this machine's own address."""
        overrides = {
            "bind": f"{HOST}:{self.settings.server.port}",
            "raw_env": [f"DRAIN_SECONDS={self.settings.server.drain_seconds}"],
            "when_ready": self.announce,
        }
        for name, value in {**server.options(self.settings), **overrides}.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        """Return the application over a database that holds the example and its member."""
        database = connect(self.settings.mongodb)
        fill(database)
        return create_app(self.settings, database)

    def announce(self, arbiter: Arbiter) -> None:
        """Say where the service is and how to try it."""
        server.prepare(arbiter)
        click.echo(announcement(self.settings))


def demo_settings(port: int | None = None) -> Settings:
    """Return settings with a fresh secret and a port that is free; raises SettingsError."""
    environ = {"LOG_LEVEL": "warning", **os.environ, "WEB_CONCURRENCY": "", "DRAIN_SECONDS": "0"}
    if port is not None:
        environ["PORT"] = str(port)
    settings = Settings(
        MongoSettings(IN_MEMORY_URI),
        JwtSettings(secret=secrets.token_urlsafe(32)),
        ServerSettings.from_environment(environ),
        gateway=GatewaySettings.from_environment(environ),
    )
    _require_free(settings.server.port)
    return settings


def fill(database: Database[Document]) -> None:
    """Store the example customer and a member of its organization."""
    ensure_indexes(database)
    MembershipRepository(database).put(MEMBER, ORGANIZATION_ID, "admin")
    database.customers.insert_one(dict(EXAMPLE_CUSTOMER))
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
        f"The customer service answers on http://localhost:{settings.server.port}. Try it in a browser at\n\n"
        f"  http://localhost:{settings.server.port}/docs\n\n"
        f"and paste this token where it says Authorize:\n\n  {token}\n\n"
        "Its data lives in memory only and is gone when you stop it with Ctrl-C. Or paste one of these:\n\n"
        f"{curls}\n"
    )


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            raise SettingsError(f"PORT: {port} is taken on this machine; choose another, as in PORT=3002") from None
