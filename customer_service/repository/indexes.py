"""What a deployment prepares for every organization: the indexes, and the customers that others stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bson import ObjectId
from pymongo.errors import DuplicateKeyError

from customer_service.database import Document, translates_errors
from customer_service.repository.customers import CustomerRepository, living_fields
from customer_service.repository.idempotency import IdempotencyRepository
from customer_service.repository.lists import REPLACED
from customer_service.repository.memberships import MembershipRepository
from customer_service.repository.quotas import QuotaRepository
from customer_service.repository.search import LIVING

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
def replaced_indexes(database: Database[Document], *, drop: bool = False) -> list[str]:
    """Return the indexes, as collection.index, that only an earlier release asks for; drop them where that is said.

    An index of the same name that is not this service's is none of them.
    """
    collection = database[CustomerRepository.COLLECTION]
    present = collection.index_information()
    ours = {"search.tokens": LIVING}
    names = [name for name in REPLACED if present.get(name, {}).get("partialFilterExpression") == ours]
    for name in names if drop else ():
        collection.drop_index(name)
    return [f"{CustomerRepository.COLLECTION}.{name}" for name in names]


@translates_errors
def complete(database: Database[Document]) -> tuple[int, int]:
    """Give the customers that another program, or an earlier release, stored what they are found and unique by.

    Returns how many were completed, and how many of those share a key with another and so are not unique by it.
    """
    collection = database[CustomerRepository.COLLECTION]
    completed = shared = 0
    for document in collection.find({"search.coarse": None, "deletedAt": None}):
        if not _is_listable(document):
            continue
        unchanged = {name: document.get(name) for name in ("_id", "organizationId", "deletedAt", "updatedAt")}
        unchanged["search.coarse"] = None
        living = living_fields(document)
        try:
            change = collection.update_one(unchanged, {"$set": living})
        except DuplicateKeyError:
            change = collection.update_one(unchanged, {"$set": {**living, "unique": {}}})
            shared += change.matched_count
        completed += change.matched_count
    return completed, shared


def _is_listable(document: Document) -> bool:
    """Whether a list can be sorted by the document's id, and search for it."""
    texts = (document.get(name) for name in ("organizationId", "legalName", "taxId", "email"))
    return isinstance(document["_id"], ObjectId) and all(isinstance(text, str) for text in texts)


def _ensure(collection: Collection[Document], index: IndexModel) -> bool:
    options = {name: value for name, value in index.document.items() if name != "key"}
    existed = options["name"] in collection.index_information()
    collection.create_index(list(index.document["key"].items()), **options)
    return not existed
