"""The indexes of every collection, made together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from customer_service.database import Document, translates_errors
from customer_service.repository.customers import CustomerRepository
from customer_service.repository.idempotency import IdempotencyRepository
from customer_service.repository.memberships import MembershipRepository

if TYPE_CHECKING:
    from pymongo import IndexModel
    from pymongo.collection import Collection
    from pymongo.database import Database


@translates_errors
def ensure_indexes(database: Database[Document]) -> list[tuple[str, bool]]:
    """Create the indexes that are missing; return each as (collection.index, whether it was created)."""
    return [
        (f"{repository.COLLECTION}.{index.document['name']}", _ensure(database[repository.COLLECTION], index))
        for repository in (MembershipRepository, CustomerRepository, IdempotencyRepository)
        for index in repository.INDEXES
    ]


def _ensure(collection: Collection[Document], index: IndexModel) -> bool:
    options = {name: value for name, value in index.document.items() if name != "key"}
    existed = options["name"] in collection.index_information()
    collection.create_index(list(index.document["key"].items()), **options)
    return not existed
