"""The backfill of the search fields and unique keys of customers that another program or an earlier release stored."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from bson import ObjectId
from pymongo.errors import DuplicateKeyError, OperationFailure

from customer_service.fiscal.rules import unique_keys
from customer_service.repository.customers import (
    NOT_DELETED,
    CustomerRepository,
    equal_fields,
    search_and_unique_fields,
)
from customer_service.repository.driver_errors import is_of_document, translates_errors
from customer_service.repository.search import PHONE_TERM, SAT_TERMS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pymongo.collection import Collection
    from pymongo.database import Database

    from customer_service.repository.database import Document

INCOMPLETE = {
    "$or": [
        {"search": {"$nin": list(SAT_TERMS.values())}},
        {"search": {"$not": {"$regex": f"^{PHONE_TERM}"}}, "phone": {"$regex": "[0-9]"}},
    ],
    **NOT_DELETED,
}
"""The filter for active customers that lack a search term: another program or an earlier release stored them."""

READ = dict.fromkeys(("organizationId", "externalId", "taxId", "address.country", "unique"), 1)


class KeyConflict(NamedTuple):
    """Two active customers of one organization with the same key; the unique index holds only the other's."""

    organization_id: str
    customer_id: str
    name: str
    other_id: str


@translates_errors
def backfill_search_fields(
    database: Database[Document],
    on_progress: Callable[[int, int], object] = lambda *_: None,
    on_refused: Callable[[str], object] = lambda _: None,
) -> tuple[int, int]:
    """Backfill the search and unique fields of customers that another program or an earlier release stored.

    `on_progress` receives the number of each customer, from 1, and the total. `on_refused` receives the id of each
    customer that MongoDB refuses to change, for example because it has nearly 16 MiB. Return how many customers were
    changed, and how many of those got no unique keys because another customer has one of them.
    """
    customers = database[CustomerRepository.COLLECTION]
    outcomes, total = Counter[bool | None](), customers.count_documents(INCOMPLETE)
    for number, document in enumerate(customers.find(INCOMPLETE), 1):
        try:
            outcomes[_backfill(customers, document) if _is_listable(document) else None] += 1
        except OperationFailure as error:
            if not is_of_document(error):
                raise
            on_refused(str(document["_id"]))
        on_progress(number, total)
    return outcomes[True] + outcomes[False], outcomes[False]


def _backfill(customers: Collection[Document], document: Document) -> bool | None:
    """Return whether the customer has unique keys now, or None if it was complete or another write changed it first."""
    names = ("_id", "organizationId", "updatedAt", "search", *NOT_DELETED)
    unchanged = equal_fields(document, names)
    fields = search_and_unique_fields(document)
    if fields["search"] == document.get("search"):
        return None
    try:
        return True if customers.update_one(unchanged, {"$set": fields}).matched_count else None
    except DuplicateKeyError:
        return False if customers.update_one(unchanged, {"$set": {**fields, "unique": {}}}).matched_count else None


def _is_listable(document: Document) -> bool:
    """Return whether the document has the types that lists and searches need."""
    texts = (document.get(name) for name in ("organizationId", "legalName", "taxId", "email"))
    return isinstance(document["_id"], ObjectId) and all(isinstance(text, str) for text in texts)


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
    unchanged = equal_fields(document, ("_id", "organizationId", "unique"))
    try:
        return collection.update_one(unchanged, {"$set": {"unique": free}}).modified_count
    except DuplicateKeyError:  # the next run finds the conflict
        return 0
