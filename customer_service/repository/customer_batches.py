"""Bulk operations on an organization's customers: one round trip to find many by key, one to store many."""

from __future__ import annotations

from contextlib import nullcontext
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pymongo.errors import BulkWriteError

from customer_service.repository.customer_lists import BY_TERM
from customer_service.repository.customers import CustomerRepository
from customer_service.repository.database import Document, duplicates_of, translates_errors
from customer_service.repository.search import key_terms

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager


class CustomerBatchRepository(CustomerRepository):
    """The customers of one organization, with bulk operations."""

    _archived: Mapping[int, Document] = MappingProxyType({})
    """The documents of the last `archive_many`, each by its identity, which is unique while this has them."""

    @translates_errors
    def archive_many(self, documents: Iterable[Document]) -> None:
        """Archive the documents that writes will replace, in one command; those writes will not do it again."""
        self._archived = {id(each): each for each in documents}
        self._versions().archive(list(self._archived.values()))

    def _archiving(self, document: Document) -> AbstractContextManager[None]:
        return nullcontext() if id(document) in self._archived else super()._archiving(document)

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
                refused = duplicates_of(error)
        return [None if index in refused else document for index, document in enumerate(documents)]
