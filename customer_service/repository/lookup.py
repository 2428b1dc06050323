"""One document by its key: the driver's own round trip, without what a single read does not need (decision 16)."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

import pymongo
from pymongo import ReadPreference, _csot
from pymongo.errors import PyMongoError
from pymongo.message import _op_msg

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pymongo.collection import Collection

    from customer_service.database import Document

SLICE_SECONDS = 0.5
"""How long the driver listens at a time. A socket that has this limit before it is asked keeps it."""


def find_first(collection: Collection[Document], criteria: Mapping[str, Any]) -> Document | None:
    """Return what the driver's `find_one` does, for five ninths of its time.

    That borrows a session, is ready to try again, and sets the socket's time limit five times, and with each of these
    system calls another thread may take the interpreter. Here a connection of the driver's pool is asked once. Where
    anything is unusual, or goes wrong, `find_one` decides, within the same deadline; so it does where somebody listens
    to the commands.
    """
    left = _csot.remaining()
    if left is not None and _is_plain(collection.database.client):
        with suppress(PyMongoError):
            found = _ask(collection, criteria, left)
            if found is not None:
                return found[0] if found else None
    return collection.find_one(criteria)


def _ask(collection: Collection[Document], criteria: Mapping[str, Any], left: float) -> list[Document] | None:
    """Return what MongoDB finds in the seconds that are left; None where it answers anything else."""
    client: Any = collection.database.client
    command = {
        "find": collection.name,
        "filter": criteria,
        "limit": 1,
        "singleBatch": True,
        "readConcern": collection.read_concern.document,
        "maxTimeMS": max(int(left * 1000), 1),
    }
    request_id, asked, _, _ = _op_msg(0, command, collection.database.name, None, collection.codec_options)
    with client._conn_for_reads(ReadPreference.PRIMARY, None, "find") as (connection, _):  # noqa: SLF001 - decision 16
        connection.set_conn_timeout(SLICE_SECONDS)
        connection.send_message(asked, 0)
        answer = connection.receive_message(request_id)
    reply = answer.unpack_response(codec_options=collection.codec_options)[0]
    return reply["cursor"]["firstBatch"] if "cursor" in reply else None


def _is_plain(client: Any) -> bool:
    """Whether it is the driver's, and nobody is to be told of its commands."""
    return isinstance(client, pymongo.MongoClient) and not cast("Any", client)._event_listeners.enabled_for_commands  # noqa: SLF001 - decision 16
