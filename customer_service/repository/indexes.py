"""What a deployment prepares for every organization: the indexes, and the customers that other programs stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymongo.errors import DuplicateKeyError

from customer_service.database import Document, translates_errors
from customer_service.repository.customers import CustomerRepository, living_fields
from customer_service.repository.idempotency import IdempotencyRepository
from customer_service.repository.memberships import MembershipRepository
from customer_service.repository.quotas import QuotaRepository

if TYPE_CHECKING:
    from pymongo import IndexModel
    from pymongo.collection import Collection
    from pymongo.database import Database


@translates_errors
def ensure_indexes(database: Database[Document]) -> list[tuple[str, bool]]:
    """Create the indexes that are missing; return each as (collection.index, whether it was created)."""
    return [
        (f"{repository.COLLECTION}.{index.document['name']}", _ensure(database[repository.COLLECTION], index))
        for repository in (MembershipRepository, CustomerRepository, IdempotencyRepository, QuotaRepository)
        for index in repository.INDEXES
    ]


@translates_errors
def complete(database: Database[Document]) -> tuple[int, int]:
    """Give the customers that another program stored what they are found by, and the keys that they are unique by.

    Returns how many were completed, and how many of those share a key with another and so are not unique by it.
    """
    collection = database[CustomerRepository.COLLECTION]
    completed = shared = 0
    for document in collection.find({"search": None, "deletedAt": None}):
        if not all(isinstance(document.get(name), str) for name in ("organizationId", "legalName", "taxId", "email")):
            continue
        unchanged = {name: document.get(name) for name in ("_id", "organizationId", "search", "deletedAt", "updatedAt")}
        living = living_fields(document)
        try:
            change = collection.update_one(unchanged, {"$set": living})
        except DuplicateKeyError:
            change = collection.update_one(unchanged, {"$set": {**living, "unique": {}}})
            shared += change.matched_count
        completed += change.matched_count
    return completed, shared


def _ensure(collection: Collection[Document], index: IndexModel) -> bool:
    options = {name: value for name, value in index.document.items() if name != "key"}
    existed = options["name"] in collection.index_information()
    collection.create_index(list(index.document["key"].items()), **options)
    return not existed
