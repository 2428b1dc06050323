"""The customers of one organization."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, NoReturn

from bson import ObjectId, encode
from pymongo import ASCENDING, IndexModel, ReturnDocument
from pymongo.errors import DuplicateKeyError
from pymongo.read_concern import ReadConcern

from customer_service.errors import (
    CustomerNotFound,
    Duplicate,
    DuplicateExternalId,
    DuplicateTaxId,
    MalformedDocument,
    VersionMismatch,
)
from customer_service.fiscal import rules
from customer_service.fiscal.characters import comparable
from customer_service.repository import customer_lists
from customer_service.repository.customer_lists import CustomerList, ListPosition
from customer_service.repository.database import Document, now_as_stored, time_of_write
from customer_service.repository.driver_errors import translates_errors
from customer_service.repository.search import search_terms, with_sat_term
from customer_service.repository.versions import VersionRepository, version_of
from customer_service.schemas.inputs import OPTIONAL_FIELDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from bson import Timestamp
    from pymongo.client_session import ClientSession
    from pymongo.database import Database

    from customer_service.repository.memberships import OrganizationScope
    from customer_service.repository.search import CustomerQuery

OBJECT_ID = re.compile(r"[0-9a-fA-F]{24}")
MAJORITY = ReadConcern("majority")
LAST_VERSION = 2**63 - 1
MILLISECOND = timedelta(milliseconds=1)
DUPLICATE_ERRORS: dict[str, type[Duplicate]] = {"externalId": DuplicateExternalId, "taxId": DuplicateTaxId}
"""The unique keys, each with the error to raise if another customer has it."""

ACTIVE_ONLY_FIELDS = {"search": "", "unique": ""}

NOT_DELETED = {"deletedAt": None, "erasedAt": None}
"""The filter for active customers: those neither deleted nor erased. A blocked customer is always deleted too."""

ACCESSIBLE = {"blockedAt": None, "erasedAt": None}
"""The filter for active and deleted customers: those neither blocked nor erased."""


def _unique(name: str) -> IndexModel:
    keys = [("organizationId", ASCENDING), (f"unique.{name}", ASCENDING)]
    return IndexModel(
        keys,
        name=f"{customer_lists.INDEX_PREFIX}unique.{name}",
        unique=True,
        partialFilterExpression={f"unique.{name}": {"$exists": True}},
    )


def _marked(name: str) -> IndexModel:
    """Return the index of the few customers that have this time, of all organizations."""
    partial = {name: {"$exists": True}}
    return IndexModel([(name, ASCENDING)], name=f"{customer_lists.INDEX_PREFIX}{name}", partialFilterExpression=partial)


class Writer(NamedTuple):
    """The author of a write: a user, or a command such as `cli:import`; and the id of the request, if there is one."""

    user_id: str
    request_id: str | None

    def fields(self) -> Document:
        """Return the fields of a customer that name the author of its last write."""
        return {"updatedBy": self.user_id, "requestId": self.request_id}


class CustomerRepository:
    """The customers of one organization.

    An active customer has `search` (its search terms) and `unique` (the keys that no other active customer of the
    organization may have; unique indexes enforce it). A deleted customer has `deletedAt` in their place.
    """

    COLLECTION = "customers"
    COMPARED: ClassVar[tuple[str, ...]] = ("_id", "version", "updatedAt", "deletedAt", "erasedAt")
    """The fields that a customer still has if no write was made since it was read.

    A document of another program may have neither version nor time; a tombstone has neither.
    """

    INDEXES = (
        *customer_lists.INDEXES,
        *map(_unique, ("taxId", "externalId")),
        *map(_marked, ("blockedAt", "erasedAt")),
    )

    def __init__(
        self,
        database: Database[Document],
        scope: OrganizationScope,
        writer: Writer,
        on_write: Callable[[ObjectId], object] = lambda _: None,
    ) -> None:
        """Work on the documents of the collection `customers` that belong to the scope.

        Each customer that is written names the writer. `on_write` receives the id of each customer that was or may
        have been written.
        """
        self._writer = writer
        self._on_write = on_write
        self._collection = database[self.COLLECTION]
        self._scope = scope

    @translates_errors
    def get(self, customer_id: str) -> Document:
        """Return the active customer with this id, 24 hexadecimal digits; raises CustomerNotFound."""
        return self._get({"_id": object_id(customer_id), **NOT_DELETED})

    @translates_errors
    def get_committed(self, customer_id: str, since: Timestamp) -> Document:
        """Return the customer as `get` does, in a majority-committed state that includes this cluster time."""
        with self._collection.database.client.start_session(causal_consistency=True) as session:
            session.advance_operation_time(since)
            return self._get({"_id": object_id(customer_id), **NOT_DELETED}, session)

    @translates_errors
    def get_including_deleted(self, customer_id: str) -> Document:
        """Return the customer with this id, active or deleted; raises CustomerNotFound."""
        return self._get({"_id": object_id(customer_id), **ACCESSIBLE})

    @translates_errors
    def find_by_external_id(self, external_id: str) -> Document | None:
        """Return the active customer with this external id in its comparable form, or None."""
        return self._find({"unique.externalId": comparable(external_id)})

    @translates_errors
    def find_many(self, customer_ids: Sequence[str]) -> list[Document]:
        """Return the active customers with these ids, in no particular order."""
        ids = [ObjectId(each) for each in customer_ids if OBJECT_ID.fullmatch(each)]
        return list(self._collection.find({"organizationId": self._scope, "_id": {"$in": ids}, **NOT_DELETED}))

    @translates_errors
    def page(self, query: CustomerQuery, limit: int, after: ListPosition | None = None) -> list[Document]:
        """Return up to `limit` customers of the list after the position, in the list's order."""
        return [] if query.matches_nothing() else CustomerList(self._collection, self._scope, query).page(limit, after)

    @translates_errors
    def count(self, query: CustomerQuery) -> int:
        """Return the number of customers in the whole list."""
        return 0 if query.matches_nothing() else CustomerList(self._collection, self._scope, query).count()

    @translates_errors
    def add(self, customer: Mapping[str, Any], customer_id: ObjectId | None = None) -> tuple[Document, bool]:
        """Store a customer; return it with True, or the stored customer with False if this id exists already.

        Raises DuplicateTaxId or DuplicateExternalId, and CustomerNotFound if the customer of this id is blocked or
        erased.
        """
        document = self._new(customer, customer_id)
        while True:
            try:
                self._collection.insert_one(document)
            except DuplicateKeyError as error:
                earlier = self._find({"_id": document["_id"]})
                if earlier is not None:
                    return _accessible(earlier), False
                self._raise_duplicate(error, document["_id"], customer)
            else:
                return document, True

    @translates_errors
    def update(self, document: Document, customer: Mapping[str, Any]) -> Document:
        """Replace the document's customer, and return the stored document.

        Raises VersionMismatch if another write changed the document since it was read, DuplicateTaxId or
        DuplicateExternalId.
        """
        return self._write_active(document, customer, *changes_of(document, customer))

    @translates_errors
    def set_sat_validation(self, document: Document, validation: Mapping[str, Any] | None) -> Document:
        """Store the SAT's answer about the customer, or remove it if it is None; return the stored document.

        Raises VersionMismatch. It writes nothing if the document has this answer already.
        """
        if document.get("satValidation") == validation:
            return document
        terms = document.get("search")
        search = {"search": with_sat_term(terms, validation)} if isinstance(terms, list) else {}
        if validation is None:
            return self._write(document, search, {"satValidation": ""})
        return self._write(document, {**search, "satValidation": validation}, {})

    @translates_errors
    def remove(self, document: Document) -> Document:
        """Mark the customer as deleted, which frees its unique keys; return the stored document.

        Raises VersionMismatch.
        """
        return self._write(document, {"deletedAt": now_as_stored()}, ACTIVE_ONLY_FIELDS)

    @translates_errors
    def restore(self, document: Document, customer: Mapping[str, Any]) -> Document:
        """Make a deleted customer active again; raises as `update` does."""
        return self._write_active(document, customer, {}, {"deletedAt": ""})

    def _new(self, customer: Mapping[str, Any], customer_id: ObjectId | None = None) -> Document:
        now = now_as_stored()
        return {
            "_id": customer_id or ObjectId(),
            "organizationId": self._scope,
            **customer,
            "createdAt": now,
            "updatedAt": now,
            "version": 1,
            **self._writer.fields(),
            **search_and_unique_fields(customer),
        }

    def _get(self, criteria: Mapping[str, Any], session: ClientSession | None = None) -> Document:
        document = self._find(criteria, session)
        if document is None:
            raise CustomerNotFound
        return document

    def _find(self, criteria: Mapping[str, Any], session: ClientSession | None = None) -> Document | None:
        criteria = {"organizationId": self._scope, **criteria}
        if session is None:
            return self._collection.find_one(criteria)
        return self._collection.with_options(read_concern=MAJORITY).find_one(criteria, session=session)

    def _write_active(
        self, document: Document, customer: Mapping[str, Any], values: Mapping[str, Any], absent: Mapping[str, str]
    ) -> Document:
        """Write as `_write` does, with the search and unique fields of an active customer; raises as `update` does."""
        while True:
            try:
                return self._write(document, {**values, **search_fields_of(document, customer, absent)}, absent)
            except DuplicateKeyError as error:
                self._raise_duplicate(error, document["_id"], customer)

    def _write(self, document: Document, values: Mapping[str, Any], absent: Mapping[str, str]) -> Document:
        """Update the document if it is unchanged since it was read; raises as `_raise_mismatch`.

        Its copy for the history comes first: a crash between the two leaves a copy of what is still current, not a gap.
        """
        try:
            with self._versions().archiving(document):
                written = self._collection.find_one_and_update(
                    *self._statement(document, values, absent), return_document=ReturnDocument.AFTER
                )
        finally:
            self._on_write(document["_id"])
        return self._raise_mismatch(document) if written is None else written

    def _raise_mismatch(self, document: Document) -> NoReturn:
        """Raise VersionMismatch: another write changed one of the document's fields that are COMPARED.

        Raise MalformedDocument if the document is unchanged. One of the fields is then read differently from how it is
        stored, such as bytes that are not UTF-8, and each retry would fail too. This read sees the other write: MongoDB
        answers a statement that matched nothing only after a majority has all earlier writes.
        """
        current = self._find({"_id": document["_id"]}) or {}
        self._reduce_copies(current)
        if current and encode(current) == encode(document):  # a NaN does not equal itself
            raise MalformedDocument(", ".join(self.COMPARED))
        raise VersionMismatch

    def _if_unchanged(self, document: Document) -> Document:
        """Return the filter for the document if it is unchanged."""
        return {"organizationId": self._scope, **equal_fields(document, self.COMPARED)}

    def _reduce_copies(self, customer: Document) -> None:
        """Remove or redact the copies of a customer that was erased or blocked.

        A late write calls it too: its copy may have come after the erasure's clean-up.
        """
        if customer.get("erasedAt") is not None:
            self._versions().remove_all(customer["_id"])
        elif customer.get("blockedAt") is not None:
            self._versions().redact(customer["_id"])

    def _statement(
        self, document: Document, values: Mapping[str, Any], absent: Mapping[str, str]
    ) -> tuple[Document, Document]:
        """Return the filter and the update of a write; the version in the filter is the optimistic lock."""
        update = {"$set": {**values, **self._next_fields(document)}, **({"$unset": dict(absent)} if absent else {})}
        return self._if_unchanged(document), update

    def _next_fields(self, document: Document) -> Document:
        """Return the fields that each write on the document changes: its version and time, and who wrote it."""
        following = {"updatedAt": _now_after(document.get("updatedAt")), "version": _next(version_of(document))}
        return {**following, **self._writer.fields()}

    def _versions(self) -> VersionRepository:
        return VersionRepository(self._collection.database, self._scope)

    def _raise_duplicate(self, error: DuplicateKeyError, customer_id: ObjectId, customer: Mapping[str, Any]) -> None:
        """Raise the Duplicate error that names the active customer with the key.

        Return if there is none any more, so that the caller tries again. Raise the driver's error for another program's
        unique index: a retry cannot succeed.
        """
        for name, value in rules.unique_keys(customer).items():
            other = self._find({"_id": {"$ne": customer_id}, f"unique.{name}": value})
            if other is not None:
                raise DUPLICATE_ERRORS[name](self._scope, str(other["_id"])) from None
        pattern = (error.details or {}).get("keyPattern") or {"_id": 1}
        if not any(name == "_id" or name.startswith("unique.") for name in pattern):
            raise error


def equal_fields(document: Document, names: Iterable[str]) -> Document:
    """Return the filter for these fields as the document has them.

    `$eq` keeps a stored value such as `{"$gt": 1}` from being read as an operator.
    """
    return {name: {"$eq": document.get(name)} for name in names}


def search_and_unique_fields(customer: Mapping[str, Any]) -> Document:
    """Return the fields that only active customers have: search terms and unique keys."""
    return {"search": search_terms(customer), "unique": rules.unique_keys(customer)}


def changes_of(document: Document, customer: Mapping[str, Any]) -> tuple[Document, dict[str, str]]:
    """Return the fields to set so that the document has this customer, and those to unset.

    A value that is stored already is not set: to write it back would replace bytes that are not UTF-8 by U+FFFD.
    """
    absent = {name: "" for name in OPTIONAL_FIELDS if name not in customer}
    if "satValidation" in document and not rules.has_same_sat_values(document, customer):
        absent["satValidation"] = ""
    values = _differences(document, {name: value for name, value in customer.items() if name != "address"})
    address = _differences(document["address"], customer["address"])
    return {**values, **{f"address.{name}": value for name, value in address.items()}}, absent


def _differences(stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> Document:
    """Return the wanted values that are not stored."""
    return {name: value for name, value in wanted.items() if name not in stored or stored[name] != value}


def search_fields_of(document: Document, customer: Mapping[str, Any], absent: Mapping[str, str]) -> Document:
    """Return the search and unique fields of the document's new customer, after `absent` is unset."""
    validation = None if "satValidation" in absent else document.get("satValidation")
    return search_and_unique_fields({**customer, "satValidation": validation})


def _next(version: int) -> int:
    """Return the next version: 1 after the highest integer of BSON, which another program may have stored."""
    return version + 1 if version < LAST_VERSION else 1


def _accessible(document: Document) -> Document:
    """Return the document; raises CustomerNotFound if it is blocked or erased."""
    if any(document.get(name) is not None for name in ACCESSIBLE):
        raise CustomerNotFound
    return document


def object_id(customer_id: str) -> ObjectId:
    """Return the `_id` of a customer's id; raises CustomerNotFound if it is not 24 hexadecimal digits."""
    if not OBJECT_ID.fullmatch(customer_id):
        raise CustomerNotFound
    return ObjectId(customer_id)


def _now_after(previous: object) -> datetime:
    """Return the present time, but at least a millisecond after the previous write: its worker's clock may be ahead."""
    now, time = now_as_stored(), time_of_write(previous)
    return now if time is None else max(now, time + MILLISECOND)
