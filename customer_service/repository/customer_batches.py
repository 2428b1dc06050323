"""Bulk operations on an organization's customers: one round trip to find many by key, one to store many."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pymongo.errors import BulkWriteError

from customer_service.repository.customer_lists import BY_TERM
from customer_service.repository.customers import CustomerRepository
from customer_service.repository.database import Document, translates_errors
from customer_service.repository.search import key_terms

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

DUPLICATE_KEY = 11000


class CustomerBatchRepository(CustomerRepository):
    """The customers of one organization, with bulk operations."""

    @translates_errors
    def find_by_keys(self, name: str, values: Iterable[str]) -> dict[str, Document]:
        """Return the active customers whose unique key of this name is one of the values, by that value."""
        keys = list(values)
        criteria = {"organizationId": self._scope, f"unique.{name}": {"$in": keys}}
        found = self._collection.find(criteria) if keys else ()
        return {document["unique"][name]: document for document in found}

    @translates_errors
    def find_by_tax_ids(self, tax_ids: Iterable[str]) -> dict[str, list[Document]]:
        """Return the active customers that have one of these tax ids, by the tax id in capitals."""
        terms = [term for tax_id in tax_ids for term in key_terms({"taxId": tax_id})]
        criteria = {"organizationId": self._scope, "search": {"$in": terms}}
        found: dict[str, list[Document]] = {}
        for document in self._collection.find(criteria).hint(BY_TERM):
            found.setdefault(document["taxId"].upper(), []).append(document)
        return found

    @translates_errors
    def add_many(self, customers: Sequence[Mapping[str, Any]]) -> list[Document | None]:
        """Store the customers; return each stored document, or None if another customer has one of its keys."""
        documents = [self._new(customer) for customer in customers]
        refused: set[int] = set()
        if documents:
            try:
                self._collection.insert_many(documents, ordered=False)
            except BulkWriteError as error:
                refused = _refused(error)
        return [None if index in refused else document for index, document in enumerate(documents)]


def _refused(error: BulkWriteError) -> set[int]:
    """Return the indexes of the documents with a duplicate key; raises the error if there is any other failure."""
    failures = error.details["writeErrors"]
    if error.details.get("writeConcernErrors") or any(failure["code"] != DUPLICATE_KEY for failure in failures):
        raise error
    return {failure["index"] for failure in failures}
