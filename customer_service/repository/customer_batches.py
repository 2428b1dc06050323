"""Bulk operations on an organization's customers: many are found, added or updated in one round trip."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pymongo import UpdateOne
from pymongo.errors import BulkWriteError

from customer_service.repository.customer_lists import BY_TERM
from customer_service.repository.customers import CustomerRepository, changes_of, search_fields_of
from customer_service.repository.database import Document, is_mongomock
from customer_service.repository.driver_errors import refused_of, translates_errors
from customer_service.repository.search import key_terms, tax_id_form

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


class CustomerBatchRepository(CustomerRepository):
    """The customers of one organization, with bulk operations."""

    @translates_errors
    def find_by_keys(self, name: str, values: Iterable[str]) -> dict[str, Document]:
        """Return the active customers whose unique key of this name is one of the values, by that value."""
        keys = list(values)
        criteria = {"organizationId": self._scope, f"unique.{name}": {"$in": keys}}
        found = self._collection.find(criteria) if keys else ()
        return {key: document for document in found for key in _keys_in(document["unique"], name)}

    @translates_errors
    def find_by_tax_ids(self, tax_ids: Iterable[str]) -> dict[str, list[Document]]:
        """Return the active customers that have one of these tax ids, by the tax id in capitals."""
        terms = [term for tax_id in tax_ids for term in key_terms({"taxId": tax_id})]
        criteria = {"organizationId": self._scope, "search": {"$in": terms}}
        found: dict[str, list[Document]] = {}
        for document in self._collection.find(criteria).hint(BY_TERM):
            if isinstance(tax_id := document.get("taxId"), str):  # else another program changed it, but not its term
                found.setdefault(tax_id_form(tax_id), []).append(document)
        return found

    @translates_errors
    def add_many(self, customers: Sequence[Mapping[str, Any]]) -> list[Document | None]:
        """Store the customers; return each stored document, or None for one that MongoDB refused.

        Another customer may have one of its keys; `add` finds the reason.
        """
        documents = [self._new(customer) for customer in customers]
        refused: set[int] = set()
        if documents:
            try:
                self._collection.insert_many(documents, ordered=False)
            except BulkWriteError as error:
                refused = refused_of(error)
        return [None if index in refused else document for index, document in enumerate(documents)]

    @translates_errors
    def update_many(self, changes: Sequence[tuple[Document, Mapping[str, Any]]]) -> list[Document | None]:
        """Replace the customer of each document, in one write; return each stored document.

        None stands for a customer that is not stored: MongoDB refused it, another write was first, or the database is
        mongomock, which does not take the driver's UpdateOne. `update` finds the reason, or succeeds.
        """
        if not changes or is_mongomock(self._collection):
            return [None] * len(changes)
        self._versions().archive([document for document, _ in changes])
        statements = [self._replacement(*each) for each in changes]
        written = [_updated(document, update) for (document, _), (_, update) in zip(changes, statements, strict=True)]
        try:
            refused, matched = self._update_all(statements)
        finally:
            for document, _ in changes:
                self._on_write(document["_id"])
        stored = [None if index in refused else document for index, document in enumerate(written)]
        return stored if matched == len(stored) - len(refused) else self._confirmed(stored)

    def _replacement(self, document: Document, customer: Mapping[str, Any]) -> tuple[Document, Document]:
        values, absent = changes_of(document, customer)
        return self._statement(document, {**values, **search_fields_of(document, customer, absent)}, absent)

    def _update_all(self, statements: Sequence[tuple[Document, Document]]) -> tuple[set[int], int]:
        """Run the statements; return the indexes of those that were refused, and how many found their document."""
        try:
            return set(), self._collection.bulk_write([UpdateOne(*each) for each in statements], False).matched_count
        except BulkWriteError as error:
            return refused_of(error), error.details["nMatched"]

    def _confirmed(self, documents: Sequence[Document | None]) -> list[Document | None]:
        """Return the documents that were stored exactly so, and None for each other one.

        A later write may have replaced one already: it archived the copy first, so read the copies last.
        """
        own = [each for each in documents if each is not None]
        found = self._collection.find({"organizationId": self._scope, "_id": {"$in": [each["_id"] for each in own]}})
        current = {each["_id"]: each for each in found}
        copies = self._versions().copies_of(own)
        return [
            each if each is not None and each in (current.get(each["_id"]), copies.get(each["_id"])) else None
            for each in documents
        ]


def _keys_in(unique: object, name: str) -> list[str]:
    """Return the unique keys of this name.

    If another program stored an array, each of its elements counts, as in MongoDB's queries.
    """
    parts = [each for each in _elements(unique) if isinstance(each, dict)]
    return [key for part in parts for key in _elements(part.get(name)) if isinstance(key, str)]


def _elements(value: object) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _updated(document: Document, update: Document) -> Document:
    """Return the document as the update leaves it; a name with a dot is set inside the address."""
    kept = {name: value for name, value in document.items() if name not in update.get("$unset", {})}
    address = {name.partition(".")[2]: value for name, value in update["$set"].items() if "." in name}
    values = {name: value for name, value in update["$set"].items() if "." not in name}
    return {**kept, **values, "address": {**kept["address"], **address}}
