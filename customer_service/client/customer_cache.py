"""The customers that a client caches with their ETags: the service answers if one is still current."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from customer_service.client.models import Customer


CACHED_CUSTOMERS = 1000


class CustomerCache:
    """The CACHED_CUSTOMERS that were used last, by their paths; threads may share it.

    It stores and returns copies: a caller may change the metadata of a customer.
    """

    def __init__(self) -> None:
        """Begin empty."""
        self._customers: OrderedDict[str, Customer] = OrderedDict()
        self._lock = Lock()

    def get(self, path: str) -> Customer | None:
        """Return the customer of the path, or None."""
        with self._lock:
            if path in self._customers:
                self._customers.move_to_end(path)
                return _copy(self._customers[path])
            return None

    def remove(self, customer_id: str) -> None:
        """Remove the customer with this id under every path."""
        with self._lock:
            for path in [path for path, customer in self._customers.items() if customer.id == customer_id.lower()]:
                del self._customers[path]

    def put(self, path: str, customer: Customer) -> None:
        """Store the customer, and evict the least recently used one if there are too many."""
        with self._lock:
            self._customers[path] = _copy(customer)
            self._customers.move_to_end(path)
            if len(self._customers) > CACHED_CUSTOMERS:
                self._customers.popitem(last=False)


def _copy(customer: Customer) -> Customer:
    return replace(customer, metadata=dict(customer.metadata))
