"""State of the driver that has no public name. Each function has a default for a driver without the private name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from pymongo.change_stream import ChangeStream
    from pymongo.database import Database

    from customer_service.repository.database import Document


class Connections(NamedTuple):
    """The number of open connections to MongoDB, and how many of them are in use."""

    open: int
    in_use: int


def connections(database: Database[Document]) -> Connections:
    """Count the connections in the driver's pools; a database in memory has none.

    The driver's pool events could count them too, but add 5 % to the time of a find.
    """
    client: Any = database.client
    try:
        pools = [server.pool for server in list(client._topology._servers.values())]  # noqa: SLF001 - this module's purpose
        in_use = sum(pool.active_sockets for pool in pools)
        return Connections(in_use + sum(len(pool.conns) for pool in pools), in_use)
    except (AttributeError, TypeError):  # mongomock returns a database for any attribute
        return Connections(0, 0)


def has_next(stream: ChangeStream[Document]) -> bool:
    """Return whether the stream has an event that needs no further request to MongoDB.

    If the driver lacks the private name, it returns False: then each event takes a request of its own.
    """
    cursor: Any = getattr(stream, "_cursor", None)
    return bool(getattr(cursor, "_has_next", bool)())
