"""The connection to MongoDB: its options, the deadline of a request, and its errors in our words."""

from __future__ import annotations

import functools
from contextvars import Context
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

import mongomock
import pymongo
from pymongo import ReadPreference, WriteConcern
from pymongo.errors import ConfigurationError, ConnectionFailure, InvalidURI, PyMongoError
from pymongo.read_concern import ReadConcern

from customer_service.errors import DatabaseError, DatabaseUnavailable, IndexesMissing, SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime

    from pymongo.database import Database
    from pymongo.monitoring import CommandListener

    from customer_service.settings import MongoSettings

Document = dict[str, Any]
DRIVER_TIME_SHARE = 0.95
TRANSIENT_CODES = {6, 7, 64, 89, 91, 134, 189, 262, 9001, 10058, 10107, 11600, 11602, 13435, 13436}
"""The server's codes of what passes when a replica set has a primary again, in a write or in its write concern."""
MINIMUM_DEADLINE_SECONDS = 0.001  # the driver takes 0 for no deadline
BAD_VALUE = 2
BAD_HINT = "hint provided does not correspond to an existing index"
POOL_TOO_SMALL = "MONGODB_URI: maxPoolSize=1 leaves no connection for requests beside the one that follows the changes"

P = ParamSpec("P")
R = TypeVar("R")


def connect(settings: MongoSettings, listeners: Sequence[CommandListener] = ()) -> Database[Document]:
    """Return the database that the settings name, without waiting for it; raises SettingsError.

    The listeners are told of each command, but not of those to the memory of the process.

    It reads what a majority of a replica set has stored, and nothing else, as it acknowledges nothing else: a write
    that only the primary has can be lost with it, and whoever repeats the write must not be told that it is done.
    No option of the connection string weakens this.

    The client connects at its first operation. Call this after a server has forked all the same: a client's
    threads and sockets do not survive a fork.
    """
    if settings.in_memory:
        return cast("Database[Document]", mongomock.MongoClient()[settings.database])
    try:
        client: pymongo.MongoClient[Document] = pymongo.MongoClient(
            settings.uri,
            timeoutMS=settings.timeout_ms,
            connect=False,
            appname="customer-service",
            event_listeners=listeners,
        )
    except (ConfigurationError, InvalidURI, ValueError, TypeError) as error:
        raise SettingsError(f"MONGODB_URI: is not a usable connection string ({type(error).__name__})") from None
    if client.options.pool_options.max_pool_size == 1:
        raise SettingsError(POOL_TOO_SMALL)
    return client.get_database(
        settings.database, None, ReadPreference.PRIMARY, WriteConcern("majority"), ReadConcern("majority")
    )


def deadline(seconds: float) -> AbstractContextManager[None]:
    """Bound what the driver does within this context.

    It looks at its deadline every half second while it has no server, so it is given a little less: without, a
    request that found no database was measured to take 2.5 seconds of 2.0.
    """
    return pymongo.timeout(max(seconds * DRIVER_TIME_SHARE, MINIMUM_DEADLINE_SECONDS))


def translates_errors(operation: Callable[P, R]) -> Callable[P, R]:
    """Make the driver's errors into DatabaseUnavailable, IndexesMissing, or DatabaseError if a retry will not help."""

    @functools.wraps(operation)
    def translated(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return operation(*args, **kwargs)
        except PyMongoError as error:
            if error.timeout or isinstance(error, ConnectionFailure) or getattr(error, "code", None) in TRANSIENT_CODES:
                raise DatabaseUnavailable(type(error).__name__) from error
            if getattr(error, "code", None) == BAD_VALUE and BAD_HINT in str(error):
                raise IndexesMissing(_describe(error)) from error
            raise DatabaseError(_describe(error)) from error

    return translated


def outside_deadline(operation: Callable[[], R]) -> R:
    """Return what the operation returns, for which the request's deadline does not count; each of its turns has one.

    It knows nothing else of the request either.
    """
    return Context().run(operation)


def as_stored(moment: datetime) -> datetime:
    """Return a moment of UTC as MongoDB gives it back: naive, in whole milliseconds."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000, tzinfo=None)


def _describe(error: PyMongoError) -> str:
    """Name the error by its class and the server's code: its message may quote a document."""
    code = getattr(error, "code", None)
    return type(error).__name__ if code is None else f"{type(error).__name__} {code}"
