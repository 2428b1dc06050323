"""The rows of an export: the whole list, a page at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from customer_service.errors import MalformedDocument
from customer_service.repository.search import CustomerQuery
from customer_service.services import validation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from customer_service.repository import CustomerRepository
    from customer_service.repository.customer_lists import ListPosition
    from customer_service.repository.database import Document

EXPORT_PAGE_LENGTH = 500
ALL_CUSTOMERS = CustomerQuery()


def exported(customers: CustomerRepository, on_unreadable: Callable[[str], object]) -> Iterator[dict[str, Any]]:
    """Yield every listed customer as a caller may send it; notify of each that cannot be serialized."""
    for document in walk(customers, ALL_CUSTOMERS):
        try:
            yield validation.to_input(document)
        except MalformedDocument as error:
            on_unreadable(f"customer {document['_id']}: {error}")


def walk(customers: CustomerRepository, query: CustomerQuery) -> Iterator[Document]:
    """Yield the customers of a list, which has the order of their ids."""
    after: ListPosition | None = None
    while page := customers.page(query, EXPORT_PAGE_LENGTH, after):
        after = (None, str(page[-1]["_id"]))
        yield from page


def metadata_names(customers: CustomerRepository) -> list[str]:
    """Return every name that the metadata of a listed customer has."""
    names = {name for customer in exported(customers, lambda _: None) for name in customer.get("metadata", ())}
    return sorted(names)
