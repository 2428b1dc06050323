"""The change feed of an organization's customers, in order, from MongoDB's change stream (docs/decisions/0013)."""

from __future__ import annotations

import math
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, NamedTuple

from bson import ObjectId, Timestamp
from pymongo import ASCENDING
from pymongo.errors import OperationFailure

from customer_service.errors import ChangesUnsupported, CursorExpired
from customer_service.repository import customer_lists
from customer_service.repository.change_position import ChangePosition, EventReader
from customer_service.repository.customers import MAJORITY, NOT_DELETED, CustomerRepository
from customer_service.repository.database import Document, deadline_seconds, stream_await_ms
from customer_service.repository.driver_errors import translates_errors
from customer_service.repository.driver_internals import has_next
from customer_service.repository.search import ACTIVE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pymongo.change_stream import ChangeStream
    from pymongo.client_session import ClientSession
    from pymongo.database import Database

    from customer_service.repository.memberships import OrganizationScope

MAXIMUM_CHANGES = 100
EVENTS_PER_BATCH = MAXIMUM_CHANGES // 2
"""Half a page. A batch is read only if the page has room for all of it: no event is read again for the next page."""

MARKER_INTERVAL = 100
"""The stream returns one of this many operations of the whole database, and the first of each second.

These markers move the position forward if an organization has no changes of its own.
"""

READ_SECONDS = 0.25
"""The time to read ready batches; the next request continues from there.

It begins with the first event that no earlier request has read. To skip the others of a long transaction may take
longer.
"""

SKIPPED_EVENTS_PER_SECOND = 10_000
"""The most events of one transaction to skip, for each second of the deadline: they take up to 0.6 of it.

If a consumer has read more of a transaction than that, and not all, it must begin again.
"""

OTHERS_PAUSE_SECONDS = 0.25
"""The pause after another organization's change has ended a wait."""

VERSION = "$updateDescription.updatedFields.version"
WHOLE_DOCUMENT_EVENTS = ("insert", "replace")
DOCUMENT_EVENTS = {*WHOLE_DOCUMENT_EVENTS, "update", "delete"}
DATABASE_EVENTS = {"dropDatabase", "invalidate"}
HISTORY_LOST_CODES = (136, 260, 280, 286)
"""The server's error codes if the oplog does not reach back far enough, or if the database was dropped."""


_CHANGED_NAMES = {
    "$concatArrays": [
        {"$map": {"input": {"$objectToArray": "$updateDescription.updatedFields"}, "in": "$$this.k"}},
        {"$ifNull": ["$updateDescription.removedFields", []]},
        {"$map": {"input": {"$ifNull": ["$updateDescription.truncatedArrays", []]}, "in": "$$this.field"}},
    ]
}
_OF_RETENTION = {"$eq": [{"$arrayElemAt": [{"$split": ["$$this", "."]}, 0]}, "retention"]}


def _has(path: str) -> Document:
    return {"$ne": [{"$type": path}, "missing"]}


IS_NO_CHANGE: Document = {
    "$switch": {
        "branches": [
            {
                "case": {"$eq": ["$operationType", "replace"]},
                "then": {"$or": [{"$gt": [f"$fullDocument.{name}", None]} for name in ("blockedAt", "erasedAt")]},
            },
            {
                "case": {"$and": [{"$eq": ["$operationType", "update"]}, {"$not": [_has(VERSION)]}]},
                "then": {"$allElementsTrue": [{"$map": {"input": _CHANGED_NAMES, "in": _OF_RETENTION}}]},
            },
        ],
        "default": False,
    }
}
"""Whether a consumer must not see the event: it writes only the retention, or blocks or erases a deleted customer.

An update with a new version is always a change, so most updates are decided by that alone.
"""


class CustomerChange(NamedTuple):
    """The kind of a change, and the customer as it is now; None if it is deleted."""

    kind: Literal["created", "changed", "deleted"]
    customer_id: str
    document: Document | None


class FeedPage(NamedTuple):
    """Up to MAXIMUM_CHANGES changes, the position after them, and whether more are ready."""

    changes: list[CustomerChange]
    position: ChangePosition
    has_more: bool


class CustomerFeed:
    """The change feed of one organization's customers."""

    def __init__(self, database: Database[Document], scope: OrganizationScope) -> None:
        """Read the changes of the customers that belong to the scope."""
        self._database = database
        self._collection = database[CustomerRepository.COLLECTION].with_options(read_concern=MAJORITY)
        self._scope = scope

    @translates_errors
    def read(self, position: ChangePosition | None, keep_waiting: Callable[[], bool]) -> FeedPage:
        """Return what follows the position, or the first page if it is None; wait while `keep_waiting` is true.

        Raises CursorExpired, and ChangesUnsupported on a standalone and in memory.
        """
        with self._session() as session:
            now = session.operation_time
            if now is None:
                raise ChangesUnsupported
            if position is None:
                position = ChangePosition(now.time, now.inc, "")
            if isinstance(position.place, str):
                return self._snapshot_page(session, position, position.place)
            return self._change_page(session, position, keep_waiting)

    @contextmanager
    def _session(self) -> Iterator[ClientSession]:
        """Yield a session that knows the cluster time."""
        try:
            session = self._database.client.start_session(causal_consistency=True)
        except NotImplementedError:  # mongomock has no sessions
            raise ChangesUnsupported from None
        with session:
            self._database.command("ping", session=session)
            yield session

    def _snapshot_page(self, session: ClientSession, position: ChangePosition, after_id: str) -> FeedPage:
        """Return a page of the active customers after an id, in a state that is not older than the position."""
        _require_reached(session, position)
        after = {"_id": {"$gt": ObjectId(after_id)}} if after_id else customer_lists.HAS_OBJECT_ID
        criteria = {"organizationId": self._scope, **ACTIVE, **after}
        found = self._collection.find(criteria, session=session).sort("_id", ASCENDING).limit(MAXIMUM_CHANGES)
        documents = list(found.hint(customer_lists.BY_TERM))
        changes = [CustomerChange("created", str(each["_id"]), each) for each in documents]
        if len(changes) == MAXIMUM_CHANGES:
            position = position._replace(place=changes[-1].customer_id)
        else:
            position = ChangePosition(position.seconds, position.increment + 1, 0)
        return FeedPage(changes, position, has_more=True)

    def _change_page(
        self, session: ClientSession, position: ChangePosition, keep_waiting: Callable[[], bool]
    ) -> FeedPage:
        """Return a page of the changes after the position; raises CursorExpired."""
        _require_reached(session, position)
        reader = EventReader(position)
        if reader.skipped > SKIPPED_EVENTS_PER_SECOND * deadline_seconds(self._database):
            raise CursorExpired
        try:
            with self._stream(session, position, keep_waiting) as stream:
                return self._read_stream(session, stream, reader, keep_waiting)
        except OperationFailure as error:
            if error.code in HISTORY_LOST_CODES:
                raise CursorExpired from error
            raise

    def _read_stream(
        self,
        session: ClientSession,
        stream: ChangeStream[Document],
        reader: EventReader,
        keep_waiting: Callable[[], bool],
    ) -> FeedPage:
        """Read batches until the page is full or no batch is ready; without a change, while `keep_waiting` is true."""
        ends, changes = math.inf, list[CustomerChange]()
        while True:
            batch = _batch(stream)
            unread = reader.unread(batch)
            if unread:
                ends = min(ends, time.monotonic() + READ_SECONDS)
            changes += self._changes_of(session, unread)
            is_full = len(batch) == EVENTS_PER_BATCH
            if not stream.alive:
                raise CursorExpired
            may_continue = (is_full and time.monotonic() < ends) or (not changes and keep_waiting())
            if not may_continue or len(changes) > MAXIMUM_CHANGES - EVENTS_PER_BATCH:
                return FeedPage(changes, reader.position(stream.resume_token), is_full)
            if batch and not is_full:
                time.sleep(OTHERS_PAUSE_SECONDS)

    def _stream(
        self, session: ClientSession, position: ChangePosition, keep_waiting: Callable[[], bool]
    ) -> ChangeStream[Document]:
        """Open the stream of the organization's inserts and replacements, of every update, and of the markers.

        An update event does not hold the organization's id. If the server looked up each updated document, a consumer
        would never catch up with the changes of a busy organization.
        """
        own = {"operationType": {"$in": WHOLE_DOCUMENT_EVENTS}, "fullDocument.organizationId": self._scope}
        others = {"operationType": {"$nin": [*WHOLE_DOCUMENT_EVENTS, "delete"]}}
        mark = {"$expr": {"$eq": [{"$mod": [{"$tsIncrement": "$clusterTime"}, MARKER_INTERVAL]}, 1]}}
        named = [{f"{place}.coll": self._collection.name} for place in ("ns", "to")]
        is_own = {"$eq": ["$fullDocument.organizationId", {"$literal": self._scope}]}
        fields = {"isOwn": is_own, "isNoChange": IS_NO_CHANGE}
        return self._database.watch(
            [
                {"$match": {"$or": [{"$and": [{"$or": named}, {"$or": [own, others]}]}, mark]}},
                {
                    "$project": {
                        **dict.fromkeys(("operationType", "ns", "to", "documentKey", "clusterTime"), 1),
                        **fields,
                    }
                },
            ],
            batch_size=EVENTS_PER_BATCH,
            max_await_time_ms=stream_await_ms(self._database) if keep_waiting() else 1,
            session=session,
            start_at_operation_time=Timestamp(position.seconds, position.increment),
        )

    def _changes_of(self, session: ClientSession, events: Sequence[Document]) -> list[CustomerChange]:
        """Return the organization's changes among the events, each with the customer as it is after the last event."""
        events = [event for event in events if self._is_of_one_document(event) and _is_of_customer(event)]
        if not events:
            return []
        ids = [event["documentKey"]["_id"] for event in events]
        criteria = {"organizationId": self._scope, "_id": {"$in": ids}}
        found = {each["_id"]: each for each in self._collection.find(criteria, session=session).hint("_id_")}
        return [
            _change(event["operationType"], customer_id, found.get(customer_id))
            for event, customer_id in zip(events, ids, strict=True)
            if event["isOwn"] or customer_id in found
        ]

    def _is_of_one_document(self, event: Document) -> bool:
        """Return whether an event is about one document of the collection.

        Raises CursorExpired if it is about all of them. An event of the whole database has no collection, and
        `invalidate` has no `ns`.
        """
        kind, names = event["operationType"], [event.get(place, {}).get("coll") for place in ("ns", "to")]
        if kind not in DATABASE_EVENTS and self._collection.name not in names:
            return False
        if kind not in DOCUMENT_EVENTS or "_id" not in event.get("documentKey", {}):
            raise CursorExpired
        return True


def _batch(stream: ChangeStream[Document]) -> list[Document]:
    """Return the events of one response of MongoDB."""
    batch = []
    event = stream.try_next()
    while event is not None:
        batch.append(event)
        event = stream.try_next() if has_next(stream) else None
    return batch


def _is_of_customer(event: Document) -> bool:
    """Return whether an event is a change of a customer; a document with an `_id` of another type is none."""
    return isinstance(event["documentKey"]["_id"], ObjectId) and not event["isNoChange"]


def _change(operation: str, customer_id: object, document: Document | None) -> CustomerChange:
    if document is None or any(document.get(name) is not None for name in NOT_DELETED):
        return CustomerChange("deleted", str(customer_id), None)
    return CustomerChange("created" if operation == "insert" else "changed", str(customer_id), document)


def _require_reached(session: ClientSession, position: ChangePosition) -> None:
    """Raise CursorExpired for a position after the cluster time: the database was restored, or never issued it."""
    clock = session.cluster_time
    if clock is None or position[:2] > (clock["clusterTime"].time, clock["clusterTime"].inc + 1):
        raise CursorExpired
