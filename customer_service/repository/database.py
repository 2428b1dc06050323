"""The connection to MongoDB: its options, and the deadline of a request."""

from __future__ import annotations

import math
from contextvars import Context
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar, cast

import mongomock
import pymongo
from pymongo import ReadPreference, WriteConcern
from pymongo.errors import ConfigurationError, InvalidURI
from pymongo.read_concern import ReadConcern

from customer_service.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from pymongo.database import Database
    from pymongo.monitoring import CommandListener

    from customer_service.settings import MongoSettings

Document = dict[str, Any]
STREAM_AWAIT_SECONDS = 1.0  # the longest that one read of a change stream waits for an event
DRIVER_TIME_SHARE = 0.95
MINIMUM_DEADLINE_SECONDS = 0.001  # 0 would mean no deadline to the driver
RESOLVING_SECONDS = 5
"""How long a query for the name of a `mongodb+srv` URI may take, as dnspython has it by default.

The driver has one option for this and for the connections that watch the servers, for which less would be short.
"""

PRIMARY = "RSPrimary"
LAST_TIME = datetime.max - timedelta(milliseconds=1)  # noqa: DTZ901 - as BSON has it
MINIMUM_CONNECTIONS = 2  # one follows the changes, the others serve requests

R = TypeVar("R")


def connect(
    settings: MongoSettings,
    listeners: Sequence[CommandListener] = (),
    minimum_connections: int = MINIMUM_CONNECTIONS,
) -> Database[Document]:
    """Return the database of the settings, without connecting yet.

    Raises SettingsError, also if the connection string limits the pool to fewer connections than the minimum. The
    listeners receive each command that goes to a server. mongomock has no pool and no listeners.

    Reads and writes use the majority concern, and no option of the connection string weakens it. A failover can
    lose a write that only the primary has. If a retry read such a write, it would report a success that the failover
    takes back.

    Times are naive. One outside the years of Python's datetime is a DatetimeMS, and bytes that are not UTF-8 become
    U+FFFD: else a single document of another program would make each read fail that finds it among others.

    The driver resolves the name of a `mongodb+srv` URI at its first operation, without the deadline. Each of
    two queries may take RESOLVING_SECONDS, or the URI's own `connectTimeoutMS`.

    Call this after the server has forked: a client's threads and sockets do not survive a fork.
    """
    if settings.in_memory:
        return cast("Database[Document]", mongomock.MongoClient()[settings.database])
    resolving: dict[str, Any] = {}
    if settings.uri.startswith("mongodb+srv:") and "connecttimeoutms=" not in settings.uri.lower():
        resolving["connectTimeoutMS"] = 1000 * RESOLVING_SECONDS
    try:
        client: pymongo.MongoClient[Document] = pymongo.MongoClient(
            settings.uri,
            timeoutMS=settings.timeout_ms,
            connect=False,
            tz_aware=False,
            datetime_conversion="DATETIME_AUTO",
            unicode_decode_error_handler="replace",
            appname="customer-service",
            event_listeners=listeners,
            **resolving,
        )
    except (ConfigurationError, InvalidURI, ValueError, TypeError, OSError) as error:  # OSError: a file of TLS
        raise SettingsError(f"MONGODB_URI: is not a usable connection string ({type(error).__name__})") from None
    if 0 < client.options.pool_options.max_pool_size < minimum_connections:  # 0 means any number
        raise SettingsError(
            f"MONGODB_URI: maxPoolSize must be at least {minimum_connections}: so many may be needed at once"
        )
    return client.get_database(
        settings.database, None, ReadPreference.PRIMARY, WriteConcern("majority"), ReadConcern("majority")
    )


def deadline(seconds: float) -> AbstractContextManager[None]:
    """Set a deadline for the driver's operations within this context.

    The driver gets a little less time: without a server it checks its deadline only every half second, and a request
    with 2.0 seconds took 2.5.
    """
    return pymongo.timeout(max(seconds * DRIVER_TIME_SHARE, MINIMUM_DEADLINE_SECONDS))


def primary_of(database: Database[Document]) -> tuple[object, object] | None:
    """Return the replica set's primary and its election; None if the database shows neither, as through mongos."""
    client: object = database.client
    if not isinstance(client, pymongo.MongoClient):  # mongomock's
        return None
    servers = client.topology_description.server_descriptions().values()
    return next(((each.address, each.election_id) for each in servers if each.server_type_name == PRIMARY), None)


def deadline_seconds(database: Database[Document]) -> float:
    """Return the deadline of an operation in seconds; infinity if the client has none."""
    timeout = database.client.options.timeout
    return math.inf if timeout is None else timeout


def stream_await_ms(database: Database[Document]) -> int:
    """Return the milliseconds that one read of a change stream may wait: fewer than the deadline."""
    return round(1000 * min(STREAM_AWAIT_SECONDS, deadline_seconds(database) / 2))


def outside_deadline(operation: Callable[[], R]) -> R:
    """Return the operation's result, without the request's deadline or any other context of the request.

    Use it for long polling, which sets a deadline for each of its reads.
    """
    return Context().run(operation)


def as_stored(moment: datetime) -> datetime:
    """Return a UTC time as MongoDB returns it: naive, in whole milliseconds."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000, tzinfo=None)


def time_of_write(value: object) -> datetime | None:
    """Return the stored time of a write; None if another program stored no time, or the last one that BSON has."""
    time = as_stored(value) if isinstance(value, datetime) else None
    return time if time is not None and time < LAST_TIME else None


def is_mongomock(collection: object) -> bool:
    """Return whether the collection is in the memory of this process."""
    return isinstance(collection, mongomock.Collection)


def now_as_stored() -> datetime:
    """Return the present time as MongoDB returns it."""
    return as_stored(datetime.now(UTC))
