"""Many customers of one organization in one turn each: looked up by their keys, and stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pymongo.errors import BulkWriteError

from customer_service.repository.customers import CustomerRepository
from customer_service.repository.database import Document, translates_errors

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

DUPLICATE_KEY = 11000


class CustomerBatchRepository(CustomerRepository):
    """The customers of one organization, for whoever has many of them at hand."""

    @translates_errors
    def find_by_keys(self, name: str, values: Iterable[str]) -> dict[str, Document]:
        """Return the living customers that have one of these values as their unique key of this name, by the value."""
        keys = list(values)
        criteria = {"organizationId": self._scope, f"unique.{name}": {"$in": keys}}
        found = self._collection.find(criteria) if keys else ()
        return {document["unique"][name]: document for document in found}

    @translates_errors
    def add_many(self, customers: Sequence[Mapping[str, Any]]) -> list[Document | None]:
        """Store the customers; return each as it is stored, or None where one of its keys is another's."""
        documents = [self._new(customer) for customer in customers]
        refused: set[int] = set()
        if documents:
            try:
                self._collection.insert_many(documents, ordered=False)
            except BulkWriteError as error:
                refused = _refused(error)
        return [None if index in refused else document for index, document in enumerate(documents)]


def _refused(error: BulkWriteError) -> set[int]:
    """Return the places of the documents whose key is another's; raises the error where it has any other reason."""
    failures = error.details["writeErrors"]
    if error.details.get("writeConcernErrors") or any(failure["code"] != DUPLICATE_KEY for failure in failures):
        raise error
    return {failure["index"] for failure in failures}
