"""The backfill of unique keys: customers of an earlier release get theirs in today's form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from pymongo.errors import DuplicateKeyError

from customer_service.fiscal.rules import unique_keys
from customer_service.repository.customers import CustomerRepository
from customer_service.repository.database import Document, translates_errors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pymongo.collection import Collection
    from pymongo.database import Database

READ = dict.fromkeys(("organizationId", "externalId", "taxId", "address.country", "unique"), 1)


class KeyConflict(NamedTuple):
    """Two active customers of one organization with the same key; the unique index holds only the other's."""

    organization_id: str
    customer_id: str
    name: str
    other_id: str


@translates_errors
def backfill_unique_keys(database: Database[Document]) -> tuple[int, list[KeyConflict]]:
    """Store each active customer's unique keys; return how many customers were changed, and the conflicts.

    A key that another customer has is left out.
    """
    collection = database[CustomerRepository.COLLECTION]
    changed, conflicts = 0, list[KeyConflict]()
    for document in collection.find({"unique": {"$exists": True}, "deletedAt": None}, READ):
        wanted = unique_keys(document)
        if document["unique"] != wanted:
            found = _conflicts_of(collection, document, wanted)
            changed += _store(collection, document, wanted, found)
            conflicts += found
    return changed, conflicts


def _conflicts_of(collection: Collection[Document], document: Document, wanted: Mapping[str, str]) -> list[KeyConflict]:
    organization_id, customer_id = document.get("organizationId"), document["_id"]
    others: dict[str, Any] = {
        name: collection.find_one(
            {"organizationId": organization_id, f"unique.{name}": key, "_id": {"$ne": customer_id}}, {"_id": 1}
        )
        for name, key in wanted.items()
    }
    return [
        KeyConflict(str(organization_id), str(customer_id), name, str(other["_id"]))
        for name, other in others.items()
        if other
    ]


def _store(
    collection: Collection[Document], document: Document, wanted: Mapping[str, str], conflicts: list[KeyConflict]
) -> int:
    """Store the keys without a conflict; return 1, or 0 if nothing changed or another write was first."""
    taken = {each.name for each in conflicts}
    free = {name: key for name, key in wanted.items() if name not in taken}
    unchanged = {name: document.get(name) for name in ("_id", "organizationId", "unique")}
    try:
        return collection.update_one(unchanged, {"$set": {"unique": free}}).modified_count
    except DuplicateKeyError:  # the next run finds the conflict
        return 0
