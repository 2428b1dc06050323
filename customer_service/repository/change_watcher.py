"""A thread that reads MongoDB's change stream, so that a worker's caches drop what has changed."""

from __future__ import annotations

import logging
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

from pymongo.errors import PyMongoError

from customer_service.repository.database import stream_await_ms

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bson import Timestamp
    from pymongo.client_session import ClientSession
    from pymongo.command_cursor import CommandCursor
    from pymongo.database import Database

    from customer_service.repository.database import Document

RETRY_SECONDS = 1.0
MAXIMUM_LAG_SECONDS = 2
WRITES = {"insert", "update", "replace", "delete"}

logger = logging.getLogger(__name__)


class ChangeWatcher:
    """Calls a function with the `_id` of each document that changes, from its own thread.

    `valid_from` is the cluster time since which no change was missed. It is None while changes may be missed: there is
    no change stream (a standalone), it broke, it lags, or its server is no longer the primary. `on_gap` is called when
    such a gap begins and when it ends: what was cached before may be old. `lag_seconds` is the age of the last change
    when it arrived.
    """

    def __init__(
        self,
        database: Database[Document],
        collections: Mapping[str, Callable[[Any], object]],
        on_gap: Callable[[], object],
    ) -> None:
        """Prepare to call each collection's function with the `_id` of each changed document."""
        self.valid_from: Timestamp | None = None
        self.lag_seconds = 0
        self._database = database
        self._collections = collections
        self._on_gap = on_gap
        self._closed = Event()
        self._logged_state: str | None = None

    def start(self) -> None:
        """Start the thread; call this after the server has forked."""
        Thread(target=self._follow_for_ever, name="watcher", daemon=True).start()

    def close(self) -> None:
        """Stop the thread, which takes up to two seconds."""
        self._closed.set()

    def _follow_for_ever(self) -> None:
        while not self._closed.is_set():
            reason = "the watcher failed"
            try:
                reason = self._follow()
            except (PyMongoError, NotImplementedError) as error:
                reason = type(error).__name__
            finally:
                self.valid_from = None
                self._on_gap()
                if not self._closed.is_set():
                    self._log(logging.WARNING, f"changes are not followed: {reason}")
            self._closed.wait(RETRY_SECONDS)

    def _follow(self) -> str:
        """Follow the changes until one may be missed; return the reason."""
        with self._database.client.start_session(causal_consistency=True) as session:
            self._database.command("ping", session=session)
            since = session.operation_time
            if since is None:
                return "not a replica set"
            with self._open(session, since) as changes:
                self._on_gap()
                self.valid_from = since
                self._log(logging.INFO, "changes are followed")
                while not self._closed.is_set():
                    change = changes.try_next()
                    if (reason := self._stream_fault(changes, session, change)) is not None:
                        return reason
                    if change is not None:
                        self._collections[change["ns"]["coll"]](change["documentKey"]["_id"])
        return "closed"

    def _open(self, session: ClientSession, since: Timestamp) -> CommandCursor[Document]:
        """Open the stream as a plain cursor: the driver's ChangeStream would resume silently after an election."""
        pipeline: list[Document] = [
            {"$changeStream": {"startAtOperationTime": since}},
            {"$match": {"$or": [{f"{place}.coll": {"$in": list(self._collections)}} for place in ("ns", "to")]}},
            {"$project": dict.fromkeys(("operationType", "ns", "documentKey", "clusterTime"), 1)},
        ]
        return self._database.aggregate(pipeline, session=session, maxAwaitTimeMS=stream_await_ms(self._database))

    def _stream_fault(
        self, changes: CommandCursor[Document], session: ClientSession, change: Document | None
    ) -> str | None:
        """Return the reason why changes may be missed at this point, or None."""
        if not changes.alive or (change is not None and change["operationType"] not in WRITES):
            return "a collection was dropped or renamed"
        if change is not None and not self._is_of_one_document(change):
            return "a change names no document"
        topology = self._database.client.topology_description
        if topology.topology_type_name.startswith("ReplicaSet") and changes.address != self._database.client.primary:
            return "another primary"
        now = session.operation_time
        if change is not None and now is not None:
            self.lag_seconds = now.time - change["clusterTime"].time
            if self.lag_seconds > MAXIMUM_LAG_SECONDS:
                return "it lags"
        return None

    def _is_of_one_document(self, change: Document) -> bool:
        return change.get("ns", {}).get("coll") in self._collections and "_id" in change.get("documentKey", {})

    def _log(self, level: int, state: str) -> None:
        if state != self._logged_state:
            self._logged_state = state
            logger.log(level, state)
