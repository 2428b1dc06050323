"""The caches of a worker: memberships and customers, and when they are invalidated (docs/decisions/0010)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from customer_service.repository.change_watcher import ChangeWatcher
from customer_service.repository.customers import CustomerRepository
from customer_service.repository.expiring_cache import Cache
from customer_service.repository.memberships import Membership, MembershipRepository

if TYPE_CHECKING:
    from collections.abc import Callable

    from bson import Timestamp
    from pymongo.database import Database

    from customer_service.repository.database import Document

T = TypeVar("T")
MAXIMUM_MEMBERSHIPS = 50_000
CUSTOMER_SECONDS = 60.0
"""The maximum age of a cached customer. It bounds the effect of a missed change."""


class WorkerCaches(Generic[T]):
    """A worker's caches of memberships and of serialized customers; each is None if the settings disable it."""

    def __init__(self, database: Database[Document], membership_seconds: float, customer_entries: int) -> None:
        """Cache memberships for this many seconds, and up to this many customers; 0 disables a cache."""
        self.memberships = Cache[Membership](MAXIMUM_MEMBERSHIPS, membership_seconds) if membership_seconds else None
        self.customers = Cache[T](customer_entries, CUSTOMER_SECONDS) if customer_entries else None
        collections: dict[str, Callable[[Any], object]] = {}
        if (memberships := self.memberships) is not None:
            collections[MembershipRepository.COLLECTION] = lambda _: memberships.clear()
        if self.customers is not None:
            collections[CustomerRepository.COLLECTION] = self.invalidate_customer
        self._watcher = ChangeWatcher(database, collections, self._clear)

    @property
    def valid_from(self) -> Timestamp | None:
        """The cluster time that a read must include if its customer is to be cached; None if none may be cached."""
        return self._watcher.valid_from

    @property
    def lag_seconds(self) -> int:
        """The age of the last change when it arrived, in whole seconds."""
        return self._watcher.lag_seconds

    def start(self) -> None:
        """Start to watch for changes; call this after the server has forked."""
        if self.memberships or self.customers:
            self._watcher.start()

    def close(self) -> None:
        """Stop watching."""
        self._watcher.close()

    def invalidate_customer(self, customer_id: Any) -> None:
        """Drop the customer with this `_id` from the cache."""
        if self.customers:
            self.customers.invalidate(str(customer_id))

    def _clear(self) -> None:
        for cache in (self.memberships, self.customers):
            if cache:
                cache.clear()
