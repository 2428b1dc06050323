"""The command `customer-service check`: every precondition of the service, with ok or what to do."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from customer_service.auth.tokens import key_source
from customer_service.cli.console import EXIT_FAILURE
from customer_service.errors import SettingsError, SigningKeysUnavailable
from customer_service.repository import readiness
from customer_service.repository.database import connect
from customer_service.repository.readiness import LOGIN_REFUSED, NOT_WRITABLE, OK, UNAVAILABLE
from customer_service.settings import Settings
from customer_service.settings.jwt import ANY_AUDIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pymongo.database import Database

    from customer_service.repository.database import Document
    from customer_service.settings import JwtSettings

MAXIMUM_CLOCK_SECONDS = 5
NOTE = "note: "
IN_MEMORY = f"{NOTE}it is the memory of the process that serves, and cannot be checked from here"
NOT_CHECKED = "not checked"
NO_ANSWER = "MongoDB does not answer at MONGODB_URI: is it running, and may this machine reach it?"
NO_MAJORITY = "no majority of the replica set acknowledges a write in time: start its other members"
NO_KEYS = "no usable key comes from JWT_JWKS_URL: is it the issuer's JWK set, and may this machine reach it?"

CONNECTION = {
    UNAVAILABLE: (NO_ANSWER, NOT_CHECKED, NOT_CHECKED),
    LOGIN_REFUSED: (OK, LOGIN_REFUSED, NOT_CHECKED),
    NOT_WRITABLE: (OK, OK, NOT_WRITABLE),
}
"""What each fault of the connection means for itself, for the login, and for the primary."""

Check = tuple[str, str]
"""What is checked, and "ok", a note, or what to do."""


@click.command("check")
def check() -> None:
    """Print every precondition of the service with ok or what to do; exit with 1 if one does not hold.

    \b
    Example:
      MONGODB_URI=mongodb://localhost:27017 JWT_SECRET=… customer-service check
    """
    holds = True
    for name, state in _checks():
        click.echo(f"{name:<11}  {state}")
        holds = holds and state.startswith((OK, NOTE))
    if not holds:
        sys.exit(EXIT_FAILURE)


def _checks() -> Iterator[Check]:
    try:
        settings = Settings.from_environment()
        database = connect(settings.mongodb)
    except SettingsError as error:
        yield "settings", str(error)
        return
    yield "settings", OK
    yield "keys", _keys(settings.jwt)
    yield "audience", _audience(settings.jwt)
    with database.client:
        yield from [("connection", IN_MEMORY)] if settings.mongodb.in_memory else _checks_of(database)


def _keys(settings: JwtSettings) -> str:
    try:
        key_source(settings).find(None, None)
    except SettingsError as error:
        return str(error)
    except SigningKeysUnavailable:
        return NO_KEYS
    return OK


def _audience(settings: JwtSettings) -> str:
    if settings.accepts_any_audience:
        return ANY_AUDIENCE
    named = {"JWT_ISSUER": settings.issuer, "JWT_AUDIENCE": settings.audience}
    missing = " and ".join(name for name, value in named.items() if value is None)
    return f"{NOTE}set {missing}, else every token that the key verifies is accepted" if missing else OK


def _checks_of(database: Database[Document]) -> Iterator[Check]:
    """Yield each check of the database; without an answer or a login nothing more can be asked."""
    states = CONNECTION.get(readiness.connection(database), (OK, OK, OK))
    yield from zip(("connection", "login", "primary"), states, strict=True)
    for name, ask in CHECKS.items():
        yield name, NOT_CHECKED if NOT_CHECKED in states else ask(database)


def _replica_set(database: Database[Document]) -> str:
    """Return ok for a replica set, or a sharded cluster, which is made of them."""
    hello = readiness.hello(database)
    return OK if "setName" in hello or hello.get("msg") == "isdbgrid" else f"{OK} (no change feed)"


def _majority(database: Database[Document]) -> str:
    state = readiness.majority(database)
    return NO_MAJORITY if state == UNAVAILABLE else state


def _clock(database: Database[Document]) -> str:
    server = readiness.hello(database)["localTime"].replace(tzinfo=UTC)
    seconds = round(abs((datetime.now(UTC) - server).total_seconds()))
    synchronize = f"it differs by {seconds} seconds from MongoDB's: synchronize both machines by NTP"
    return synchronize if seconds > MAXIMUM_CLOCK_SECONDS else OK


CHECKS: Mapping[str, Callable[[Database[Document]], str]] = {
    "rights": readiness.rights,
    "replica set": _replica_set,
    "majority": _majority,
    "indexes": readiness.indexes,
    "clock": _clock,
    "members": readiness.members,
}
