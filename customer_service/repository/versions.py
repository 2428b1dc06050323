"""The history of customers: copies of the documents that writes replaced (docs/decisions/0029).

A write inserts the copy first, and then updates the customer. After a crash between the two, the copy of the current
document exists already; readers leave it out.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from pymongo import ASCENDING, DESCENDING, IndexModel, WriteConcern
from pymongo.errors import BulkWriteError

from customer_service.errors import CustomerNotFound
from customer_service.repository.database import Document, now_as_stored, primary_of, time_of_write
from customer_service.repository.driver_errors import duplicates_of, translates_errors
from customer_service.repository.redaction import redacted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from bson import ObjectId
    from pymongo.collection import Collection
    from pymongo.database import Database

    from customer_service.repository.memberships import OrganizationScope

PRIMARY_ALONE = WriteConcern(w=1)
TTL_INDEX = "customer-service.replacedAt"
SECONDS_PER_DAY = 86_400
GRACE_SECONDS = 3600
"""Added to HISTORY_DAYS: a copy is inserted before its document is replaced, and the clocks of workers differ."""

NEWEST_FIRST = (("_id.updatedAt", DESCENDING),)


class VersionRepository:
    """The former versions of one organization's customers.

    A copy is `{_id: {customer, version, updatedAt}, organizationId, replacedAt, document}`. `updatedAt` grows with the
    version, so it is their order. A document of another program without an integer version is version 0.
    """

    COLLECTION = "customer_versions"
    INDEXES = (
        IndexModel(
            [("organizationId", ASCENDING), ("_id.customer", ASCENDING), *NEWEST_FIRST, ("_id.version", ASCENDING)],
            name="customer-service.history",
        ),
    )

    def __init__(self, database: Database[Document], scope: OrganizationScope) -> None:
        """Work on the documents of the collection `customer_versions` that belong to the scope."""
        self._collection = database[self.COLLECTION]
        self._scope = scope

    @translates_errors
    def archive(self, documents: Sequence[Document]) -> None:
        """Insert a copy of each document, before a write replaces it; ignore the copies that exist already."""
        if documents:
            self._insert(self._collection, documents)

    @translates_errors
    def copies_of(self, documents: Sequence[Document]) -> dict[ObjectId, Document]:
        """Return the copies of exactly these documents, of which each is another customer's, by the customer's id."""
        ids = [_copy_id(each) for each in documents]
        found = self._collection.find({"organizationId": self._scope, "_id": {"$in": ids}})
        return {each["_id"]["customer"]: each["document"] for each in found}

    @contextmanager
    def archiving(self, document: Document) -> Iterator[None]:
        """Archive the document, and then let the context's write replace it.

        On a replica set only the primary acknowledges the copy. That is enough: members replicate in order, so a
        majority that has the write also has the copy that the same primary stored before it. If the primary changed
        meanwhile, the copy may be lost: archive the document again.
        """
        primary = primary_of(self._collection.database)
        write_concern = self._collection.write_concern if primary is None else PRIMARY_ALONE
        self._insert(self._collection.with_options(write_concern=write_concern), [document])
        try:
            yield
        finally:
            if primary is not None and primary_of(self._collection.database) != primary:
                self._insert(self._collection, [document])

    @translates_errors
    def page(self, current: Document, limit: int, before: datetime | None = None) -> list[Document]:
        """Return up to `limit` of the customer's documents, the newest first, from those before a time.

        `current` is the customer's current document, which is one of them.
        """
        time = _time_of(current)
        if before is not None and (time is None or time >= before):
            criteria = [{"_id.updatedAt": {"$not": {"$gte": before}}}, _older_than(current)]
            return self._copies(current, {"$and": criteria}, limit)
        return [current, *self._copies(current, _older_than(current), limit)][:limit]

    @translates_errors
    def get(self, current: Document, version: int) -> Document:
        """Return the customer's document of a version; raises CustomerNotFound, also if it was deleted then."""
        if version_of(current) == version:
            return _existing([current])
        return _existing(self._copies(current, {**_older_than(current), "_id.version": version}, 1))

    @translates_errors
    def as_of(self, current: Document, moment: datetime) -> Document:
        """Return the customer's document at a moment; raises CustomerNotFound if there was none, or it was deleted."""
        time = _time_of(current)
        if time is None or time <= moment:
            return _existing([current])
        return _existing(self._copies(current, {"_id.updatedAt": {"$not": {"$gt": moment}}}, 1))

    @translates_errors
    def remove_all(self, customer_id: ObjectId) -> None:
        """Delete every copy of the customer's documents."""
        self._collection.delete_many(self._of(customer_id))

    @translates_errors
    def redact(self, customer_id: ObjectId) -> None:
        """Reduce every copy of the customer's documents to what is retained of a blocked customer.

        A repeated call skips what is done: if there are too many copies for one deadline, repeat the request.
        """
        for copy in self._collection.find(self._of(customer_id)):
            retained = redacted(copy["document"])
            if retained != copy["document"]:
                own = {"organizationId": self._scope, "_id": copy["_id"]}
                self._collection.update_one(own, {"$set": {"document": retained}})

    def _of(self, customer_id: ObjectId) -> Document:
        return {"organizationId": self._scope, "_id.customer": customer_id}

    def _copies(self, current: Document, criteria: Document, limit: int) -> list[Document]:
        """Return the documents of up to `limit` copies, the newest first."""
        found = self._collection.find({**self._of(current["_id"]), **criteria}).sort(NEWEST_FIRST).limit(limit)
        return [each["document"] for each in found]

    def _copy(self, document: Document) -> Document:
        return {
            "_id": _copy_id(document),
            "organizationId": self._scope,
            "replacedAt": now_as_stored(),
            "document": document,
        }

    def _insert(self, collection: Collection[Document], documents: Sequence[Document]) -> None:
        """Insert a copy of each document; for one that exists already, HISTORY_DAYS begin again."""
        copies = [self._copy(each) for each in documents]
        try:
            collection.insert_many(copies, ordered=False)
        except BulkWriteError as error:
            ids = [copies[index]["_id"] for index in duplicates_of(error)]
            criteria = {"organizationId": self._scope, "_id": {"$in": ids}}
            collection.update_many(criteria, {"$max": {"replacedAt": now_as_stored()}})


@translates_errors
def set_history_days(database: Database[Document], days: int | None) -> list[tuple[str, str]]:
    """Let MongoDB delete each copy this many days after its document was replaced, or never if it is None.

    Return what was done with the TTL index, and its name as `collection.index`. For other days it is dropped and
    created: to change it in place, the user would need the role dbAdmin.
    """
    collection = database[VersionRepository.COLLECTION]
    name, done = f"{collection.name}.{TTL_INDEX}", list[tuple[str, str]]()
    present = collection.index_information().get(TTL_INDEX, {}).get("expireAfterSeconds")
    wanted = None if days is None else days * SECONDS_PER_DAY + GRACE_SECONDS
    if present == wanted:
        return [] if wanted is None else [("present", name)]
    if present is not None:
        collection.drop_index(TTL_INDEX)
        done.append(("dropped", name))
    if wanted is not None:
        collection.create_index("replacedAt", name=TTL_INDEX, expireAfterSeconds=wanted)
        done.append(("created", name))
    return done


def version_of(document: Document) -> int:
    """Return the number of the document's version; 0 if another program stored none."""
    version = document.get("version")
    return int(version) if isinstance(version, int) else 0


def _copy_id(document: Document) -> Document:
    return {"customer": document["_id"], "version": version_of(document), "updatedAt": _time_of(document)}


def _time_of(document: Document) -> datetime | None:
    """Return the time of the document's last write; None, which sorts before each time, if another program has none."""
    return time_of_write(document.get("updatedAt"))


def _older_than(current: Document) -> Document:
    """Return the filter for the copies of documents before the current one, of which a copy may exist too."""
    time = _time_of(current)
    return {"_id.updatedAt": {"$ne": None} if time is None else {"$not": {"$gte": time}}}


def _existing(documents: Sequence[Document]) -> Document:
    """Return the first document; raises CustomerNotFound if there is none, or if it is of a deleted customer."""
    if not documents or documents[0].get("deletedAt") is not None:
        raise CustomerNotFound
    return documents[0]
