"""What a worker keeps of the database between requests, and until when (docs/decisions/0010)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from customer_service.repository.caches import Cache
from customer_service.repository.change_watcher import ChangeWatcher
from customer_service.repository.customers import CustomerRepository
from customer_service.repository.memberships import Membership, MembershipRepository

if TYPE_CHECKING:
    from collections.abc import Callable

    from bson import Timestamp
    from pymongo.database import Database

    from customer_service.repository.database import Document

T = TypeVar("T")
MAXIMUM_MEMBERSHIPS = 50_000
CUSTOMER_SECONDS = 60.0
"""The longest that a customer is kept, even if every change is told: nothing lasts for ever on one mistake."""


class WorkerCaches(Generic[T]):
    """The memberships that a worker keeps, and whatever it makes of single customers; None where it keeps none."""

    def __init__(self, database: Database[Document], membership_seconds: float, customer_entries: int) -> None:
        """Keep memberships for so many seconds, and so many customers; 0 is for none."""
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
        """The cluster time that a customer must be read at, at least, to be kept; None where it must not be."""
        return self._watcher.valid_from

    @property
    def lag_seconds(self) -> int:
        """How old the last change was when it was told, in whole seconds."""
        return self._watcher.lag_seconds

    def start(self) -> None:
        """Begin to follow what changes; call it after a server has forked."""
        if self.memberships or self.customers:
            self._watcher.start()

    def close(self) -> None:
        """Stop following."""
        self._watcher.close()

    def invalidate_customer(self, customer_id: Any) -> None:
        """Forget the customer with this `_id`."""
        if self.customers:
            self.customers.invalidate(str(customer_id))

    def _clear(self) -> None:
        for cache in (self.memberships, self.customers):
            if cache:
                cache.clear()
