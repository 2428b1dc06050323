"""The connection to MongoDB: its options, the deadline of a request, and its errors in our words."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

import mongomock
import pymongo
from pymongo.errors import ConfigurationError, ConnectionFailure, InvalidURI, PyMongoError

from customer_service.errors import DatabaseError, DatabaseUnavailable, SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from contextlib import AbstractContextManager
    from datetime import datetime
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from pymongo.collection import Collection
    from pymongo.database import Database

    from customer_service.settings import MongoSettings

Document = dict[str, Any]
PING_SECONDS = 0.5
DRIVER_SHARE = 0.95

P = ParamSpec("P")
R = TypeVar("R")


def connect(settings: MongoSettings) -> Database[Document]:
    """Return the database that the settings name, without waiting for it; raises SettingsError.

    Writes wait for a majority and reads ask the primary, whatever the connection string says.
    The client connects at its first operation. Call this after a server has forked all the same: a client's
    threads and sockets do not survive a fork.
    """
    if settings.in_memory:
        return cast("Database[Document]", mongomock.MongoClient()[settings.database])
    try:
        client: pymongo.MongoClient[Document] = pymongo.MongoClient(
            settings.uri,
            timeoutMS=settings.timeout_ms,
            w="majority",
            readPreference="primary",  # a secondary may not know yet who was dismissed, or what the caller wrote
            connect=False,
            appname="customer-service",
        )
    except (ConfigurationError, InvalidURI, ValueError, TypeError) as error:
        raise SettingsError(f"MONGODB_URI: is not a usable connection string ({type(error).__name__})") from None
    return client[settings.database]


def with_deadline(wsgi_app: WSGIApplication, seconds: float) -> WSGIApplication:
    """Return the application with all MongoDB operations of one request bounded by `seconds` together."""

    def bounded(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        with deadline(seconds):
            return wsgi_app(environ, start_response)

    return bounded


def deadline(seconds: float) -> AbstractContextManager[None]:
    """Bound what the driver does within this context.

    It looks at its deadline every half second while it has no server, so it is given a little less: without, a
    request that found no database was measured to take 2.5 seconds of 2.0.
    """
    return pymongo.timeout(seconds * DRIVER_SHARE)


def translates_errors(operation: Callable[P, R]) -> Callable[P, R]:
    """Make the driver's errors into DatabaseUnavailable, or DatabaseError where a retry will not help."""

    @functools.wraps(operation)
    def translated(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return operation(*args, **kwargs)
        except PyMongoError as error:
            if error.timeout or isinstance(error, ConnectionFailure):
                raise DatabaseUnavailable(type(error).__name__) from error
            raise DatabaseError(_describe(error)) from error

    return translated


def find_first(collection: Collection[Document], criteria: Mapping[str, Any]) -> Document | None:
    """Return what the driver's `find_one` does, for an eighth less of its time: a plain command needs no cursor.

    The driver does not try a command again, so where it fails `find_one` decides, within the same deadline.
    """
    command = {"find": collection.name, "filter": criteria, "limit": 1, "singleBatch": True}
    try:
        found: list[Document] = collection.database.command(command)["cursor"]["firstBatch"]
    except (PyMongoError, NotImplementedError):  # the latter is mongomock's
        return collection.find_one(criteria)
    return found[0] if found else None


@translates_errors
def ping(database: Database[Document]) -> None:
    """Return once MongoDB has answered; raises DatabaseUnavailable after 500 ms, or DatabaseError."""
    with deadline(PING_SECONDS):
        database.command("ping")


def as_stored(moment: datetime) -> datetime:
    """Return a moment of UTC as MongoDB gives it back: naive, in whole milliseconds."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000, tzinfo=None)


def _describe(error: PyMongoError) -> str:
    """Name the error by its class and the server's code: its message may quote a document."""
    code = getattr(error, "code", None)
    return type(error).__name__ if code is None else f"{type(error).__name__} {code}"
