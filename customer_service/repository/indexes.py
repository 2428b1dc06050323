"""What a deployment prepares for every organization: the indexes, and the customers of other programs."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from bson import ObjectId
from pymongo.errors import DuplicateKeyError

from customer_service.repository.customer_lists import INDEX_PREFIX
from customer_service.repository.customers import CustomerRepository, search_and_unique_fields
from customer_service.repository.database import Document, translates_errors
from customer_service.repository.idempotency import IdempotencyRepository
from customer_service.repository.memberships import MembershipRepository
from customer_service.repository.quotas import QuotaRepository
from customer_service.repository.search import SAT_TERMS

if TYPE_CHECKING:
    from collections.abc import Callable

    from pymongo import IndexModel
    from pymongo.collection import Collection
    from pymongo.database import Database

REPOSITORIES = (MembershipRepository, CustomerRepository, IdempotencyRepository, QuotaRepository)
INCOMPLETE = {"search": {"$nin": list(SAT_TERMS.values())}, "deletedAt": None}
"""The condition that active customers meet which another program stored, or a release without all search terms."""


@translates_errors
def ensure_indexes(database: Database[Document]) -> list[tuple[str, bool]]:
    """Create the indexes that are missing; return each as (collection.index, whether it was created)."""
    return [_ensure(database[each.COLLECTION], index) for each in REPOSITORIES for index in each.INDEXES]


def missing_indexes(database: Database[Document]) -> list[str]:
    """Return the names of the indexes that `ensure_indexes` would create; raises PyMongoError."""
    return [
        f"{each.COLLECTION}.{index.document['name']}"
        for each in REPOSITORIES
        for present in [database[each.COLLECTION].index_information()]
        for index in each.INDEXES
        if index.document["name"] not in present
    ]


@translates_errors
def drop_unused_indexes(database: Database[Document]) -> list[str]:
    """Drop the indexes on customers that `ensure_indexes` made once and makes no more; return their names."""
    customers = database[CustomerRepository.COLLECTION]
    used = {index.document["name"] for index in CustomerRepository.INDEXES}
    unused = [name for name in customers.index_information() if name.startswith(INDEX_PREFIX) and name not in used]
    for name in unused:
        customers.drop_index(name)
    return [f"{customers.name}.{name}" for name in unused]


@translates_errors
def backfill_search_fields(
    database: Database[Document], on_progress: Callable[[int, int], object] = lambda *_: None
) -> tuple[int, int]:
    """Give the customers of other programs and of earlier releases the fields that they are found and unique by.

    `on_progress` is called with the number of each, from 1, and with how many there are. Returns how many were changed,
    and how many of those share a key with another customer and so are not unique.
    """
    customers = database[CustomerRepository.COLLECTION]
    outcomes, total = Counter[bool | None](), customers.count_documents(INCOMPLETE)
    for number, document in enumerate(customers.find(INCOMPLETE), 1):
        outcomes[_backfill(customers, document) if _is_listable(document) else None] += 1
        on_progress(number, total)
    return outcomes[True] + outcomes[False], outcomes[False]


def _backfill(customers: Collection[Document], document: Document) -> bool | None:
    """Return whether the customer is unique now, or None if it was changed meanwhile."""
    unchanged = {name: document.get(name) for name in ("_id", "organizationId", "updatedAt", *INCOMPLETE)}
    fields = search_and_unique_fields(document)
    try:
        return True if customers.update_one(unchanged, {"$set": fields}).matched_count else None
    except DuplicateKeyError:
        return False if customers.update_one(unchanged, {"$set": {**fields, "unique": {}}}).matched_count else None


def _is_listable(document: Document) -> bool:
    """Whether a list can be sorted by the document's id, and search for it."""
    texts = (document.get(name) for name in ("organizationId", "legalName", "taxId", "email"))
    return isinstance(document["_id"], ObjectId) and all(isinstance(text, str) for text in texts)


def _ensure(collection: Collection[Document], index: IndexModel) -> tuple[str, bool]:
    options = {name: value for name, value in index.document.items() if name != "key"}
    existed = options["name"] in collection.index_information()
    collection.create_index(list(index.document["key"].items()), **options)
    return f"{collection.name}.{options['name']}", not existed
