"""The indexes: which are missing, which are no longer used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from customer_service.repository.customer_lists import INDEX_PREFIX
from customer_service.repository.customers import CustomerRepository
from customer_service.repository.driver_errors import translates_errors
from customer_service.repository.idempotency import IdempotencyRepository
from customer_service.repository.memberships import MembershipRepository
from customer_service.repository.rate_limits import RateLimitRepository
from customer_service.repository.versions import VersionRepository

if TYPE_CHECKING:
    from pymongo import IndexModel
    from pymongo.collection import Collection
    from pymongo.database import Database

    from customer_service.repository.database import Document

REPOSITORIES = (
    MembershipRepository,
    CustomerRepository,
    VersionRepository,
    IdempotencyRepository,
    RateLimitRepository,
)


@translates_errors
def ensure_indexes(database: Database[Document]) -> list[tuple[str, bool]]:
    """Create the missing indexes; return each one's name as `collection.index`, and whether it was created.

    A TTL index with another time than this release's is dropped and created again.
    """
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


def _ensure(collection: Collection[Document], index: IndexModel) -> tuple[str, bool]:
    options = {name: value for name, value in index.document.items() if name != "key"}
    present = collection.index_information().get(options["name"])
    existed = present is not None and present.get("expireAfterSeconds") == options.get("expireAfterSeconds")
    if present is not None and not existed:
        collection.drop_index(options["name"])  # to change it in place, the user would need the role dbAdmin
    collection.create_index(list(index.document["key"].items()), **options)
    return f"{collection.name}.{options['name']}", not existed
