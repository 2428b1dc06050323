"""The indexes, and the backfill of the search fields of customers that another program stored."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from bson import ObjectId
from pymongo.errors import DuplicateKeyError

from customer_service.repository.customer_lists import INDEX_PREFIX
from customer_service.repository.customers import NOT_DELETED, CustomerRepository, search_and_unique_fields
from customer_service.repository.database import Document, translates_errors
from customer_service.repository.idempotency import IdempotencyRepository
from customer_service.repository.memberships import MembershipRepository
from customer_service.repository.rate_limits import RateLimitRepository
from customer_service.repository.search import SAT_TERMS
from customer_service.repository.versions import VersionRepository

if TYPE_CHECKING:
    from collections.abc import Callable

    from pymongo import IndexModel
    from pymongo.collection import Collection
    from pymongo.database import Database

REPOSITORIES = (
    MembershipRepository,
    CustomerRepository,
    VersionRepository,
    IdempotencyRepository,
    RateLimitRepository,
)
INCOMPLETE = {"search": {"$nin": list(SAT_TERMS.values())}, **NOT_DELETED}
"""The filter for active customers that lack a search term: another program or an earlier release stored them."""


@translates_errors
def ensure_indexes(database: Database[Document]) -> list[tuple[str, bool]]:
    """Create the missing indexes; return each one's name as `collection.index`, and whether it was created."""
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
    """Drop the indexes on customers that an earlier release created and no query uses; return their names."""
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
    """Backfill the search and unique fields of customers that another program or an earlier release stored.

    `on_progress` receives the number of each customer, from 1, and the total. Return how many customers were changed,
    and how many of those got no unique keys because another customer has one of them.
    """
    customers = database[CustomerRepository.COLLECTION]
    outcomes, total = Counter[bool | None](), customers.count_documents(INCOMPLETE)
    for number, document in enumerate(customers.find(INCOMPLETE), 1):
        outcomes[_backfill(customers, document) if _is_listable(document) else None] += 1
        on_progress(number, total)
    return outcomes[True] + outcomes[False], outcomes[False]


def _backfill(customers: Collection[Document], document: Document) -> bool | None:
    """Return whether the customer has unique keys now, or None if another write changed it first."""
    unchanged = {name: document.get(name) for name in ("_id", "organizationId", "updatedAt", *INCOMPLETE)}
    fields = search_and_unique_fields(document)
    try:
        return True if customers.update_one(unchanged, {"$set": fields}).matched_count else None
    except DuplicateKeyError:
        return False if customers.update_one(unchanged, {"$set": {**fields, "unique": {}}}).matched_count else None


def _is_listable(document: Document) -> bool:
    """Whether the document has the types that lists and searches need."""
    texts = (document.get(name) for name in ("organizationId", "legalName", "taxId", "email"))
    return isinstance(document["_id"], ObjectId) and all(isinstance(text, str) for text in texts)


def _ensure(collection: Collection[Document], index: IndexModel) -> tuple[str, bool]:
    options = {name: value for name, value in index.document.items() if name != "key"}
    existed = options["name"] in collection.index_information()
    collection.create_index(list(index.document["key"].items()), **options)
    return f"{collection.name}.{options['name']}", not existed
