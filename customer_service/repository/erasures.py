"""The retention, blocking and erasure of an organization's customers (docs/decisions/0030)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from pymongo import ReturnDocument
from pymongo.errors import OperationFailure

from customer_service.errors import CustomerNotFound
from customer_service.repository.customers import ACCESSIBLE, CustomerRepository, equal_fields, object_id
from customer_service.repository.database import Document, now_as_stored
from customer_service.repository.driver_errors import translates_errors
from customer_service.repository.idempotency import remove_claims
from customer_service.repository.memberships import OrganizationScope
from customer_service.repository.redaction import redacted

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date, datetime

    from pymongo.database import Database

AFTER = ReturnDocument.AFTER
PATH_NOT_VIABLE = 28
DATE_PATTERN = "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"


class RetentionChange(NamedTuple):
    """A change of a customer's retention: the date of an invoice; a hold with its reason, or the end of a hold.

    What is None stays as it is.
    """

    last_invoiced_on: date | None = None
    hold: bool | None = None
    reason: str | None = None

    def as_update(self) -> dict[str, dict[str, Any]]:
        """Return the update for MongoDB; of all dates, the latest stays."""
        day = self.last_invoiced_on
        update: dict[str, dict[str, Any]] = {"$max": {"retention.lastInvoicedOn": day.isoformat()}} if day else {}
        if self.hold:
            update["$set"] = {"retention.hold": True, "retention.reason": self.reason}
        elif self.hold is False:
            update["$unset"] = {"retention.hold": "", "retention.reason": ""}
        return update


class CustomerKey(NamedTuple):
    """The organization and the id of a customer that a command has found, among those of all organizations."""

    scope: OrganizationScope
    customer_id: str


@translates_errors
def find_due(database: Database[Document], latest: date) -> list[CustomerKey]:
    """Return the blocked customers whose retention is over: not held, and without an invoice after `latest`.

    A customer whose date cannot be read is returned too, so that its failed erasure is reported.
    """
    date_of = "retention.lastInvoicedOn"
    is_over = [{date_of: {"$not": {"$regex": DATE_PATTERN}}}, {date_of: {"$lte": latest.isoformat()}}]
    is_blocked = {"blockedAt": {"$exists": True, "$ne": None}}  # its index has only documents in which it exists
    return _keys(database, {**is_blocked, "retention.hold": {"$in": [None, False]}, "$or": is_over})


@translates_errors
def find_reduced_since(database: Database[Document], moment: datetime) -> list[CustomerKey]:
    """Return the customers that were blocked or erased at this time or later."""
    return _keys(database, {"$or": [{name: {"$gte": moment}} for name in ("blockedAt", "erasedAt")]})


def _keys(database: Database[Document], criteria: Mapping[str, Any]) -> list[CustomerKey]:
    criteria = {**criteria, "organizationId": {"$type": "string"}}
    found = database[CustomerRepository.COLLECTION].find(criteria, {"organizationId": 1})
    return [CustomerKey(OrganizationScope(each["organizationId"]), str(each["_id"])) for each in found]


class ErasureRepository(CustomerRepository):
    """The customers of one organization, also blocked and erased ones, which no other repository finds.

    A blocked customer has `blockedAt` and only the fields that are retained. An erased one is a tombstone: `_id`,
    `organizationId`, `createdAt`, `erasedAt` and `erasedBy`.
    """

    COMPARED: ClassVar = (*CustomerRepository.COMPARED, "blockedAt", "retention")

    @translates_errors
    def get_any(self, customer_id: str) -> Document:
        """Return the customer with this id, be it active, deleted, blocked or erased; raises CustomerNotFound."""
        return self._get({"_id": object_id(customer_id)})

    @translates_errors
    def get_retainable(self, customer_id: str, *, also_blocked: bool) -> Document:
        """Return the customer with this id unless it is erased, or blocked without `also_blocked`.

        Raises CustomerNotFound.
        """
        return self._get(_retainable(customer_id, also_blocked=also_blocked))

    @translates_errors
    def change_retention(
        self, customer_id: str, change: RetentionChange, *, also_blocked: bool, unchanged: Document | None = None
    ) -> Document:
        """Change the retention of a customer that `get_retainable` finds, and return it; raises CustomerNotFound.

        It is no new version of the customer. If `unchanged` is given, raise VersionMismatch if the customer has changed
        since that document was read.
        """
        own = {"organizationId": self._scope, **_retainable(customer_id, also_blocked=also_blocked)}
        if unchanged is not None:
            own |= equal_fields(unchanged, CustomerRepository.COMPARED)
        update = partial(self._collection.find_one_and_update, own, change.as_update(), return_document=AFTER)
        try:
            changed = update()
        except OperationFailure as error:
            if error.code != PATH_NOT_VIABLE:
                raise
            # another program stored a null, in which MongoDB sets no field
            self._collection.update_one({**own, "retention": None}, {"$unset": {"retention": ""}})
            changed = update()
        if changed is not None:
            return changed
        if unchanged is not None:
            self._raise_mismatch(unchanged)
        raise CustomerNotFound

    @translates_errors
    def block(self, document: Document) -> Document:
        """Replace the deleted customer by what is retained of it; return that.

        First archive a redacted copy. A late write of the same version then finds that copy and inserts no full one.
        Raises VersionMismatch if another write changed the customer, or its retention, since it was read.
        """
        self._versions().archive([redacted(document)])
        following = self._next_fields(document)
        blocked = {"blockedAt": following["updatedAt"], "retention": document["retention"]}
        return self._replace(document, {**redacted(document), **following, **blocked})

    @translates_errors
    def erase(self, document: Document) -> Document:
        """Replace the deleted customer by its tombstone, and return that; raises as `block` does."""
        kept: Document = {name: document[name] for name in ("_id", "organizationId", "createdAt") if name in document}
        return self._replace(document, {**kept, "erasedAt": now_as_stored(), "erasedBy": self._writer.user_id})

    @translates_errors
    def remove_traces(self, document: Document) -> None:
        """Remove what other collections hold of a blocked or an erased customer, beyond what is retained."""
        self._reduce_copies(document)
        remove_claims(self._collection.database, self._scope, document["_id"])

    def _replace(self, document: Document, replacement: Document) -> Document:
        try:
            replaced = self._collection.find_one_and_replace(
                self._if_unchanged(document), replacement, return_document=AFTER
            )
        finally:
            self._on_write(document["_id"])
        return self._raise_mismatch(document) if replaced is None else replaced


def _retainable(customer_id: str, *, also_blocked: bool) -> Document:
    """Return the filter for the customer with this id, unless it is erased, or blocked without `also_blocked`."""
    return {"_id": object_id(customer_id), **({"erasedAt": None} if also_blocked else ACCESSIBLE)}
