"""The lists of an organization's customers: each is one `find` by one index."""

from __future__ import annotations

from functools import cached_property
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from bson import ObjectId
from pymongo import ASCENDING, IndexModel

from customer_service.repository.search import EMPTY_NGRAM

if TYPE_CHECKING:
    from pymongo.collection import Collection

    from customer_service.repository.database import Document
    from customer_service.repository.memberships import OrganizationScope
    from customer_service.repository.search import CustomerQuery

MAXIMUM_COUNTED_CUSTOMERS = 1000
"""The number of customers up to which a search term is counted, and so the most that MongoDB sorts in memory."""

MAXIMUM_COUNTED_TERMS = 8
"""The number of search terms of a list that are counted, each by one command; a text may have 128 words."""

ListPosition = tuple[Any, str]
"""The sort value and the id of a page's last customer (keyset pagination)."""


def _index(name: str, *fields: str) -> IndexModel:
    keys = [(each, ASCENDING) for each in ("organizationId", *fields)]
    return IndexModel(keys, name=name, partialFilterExpression={"search": {"$exists": True}})


INDEX_PREFIX = "customer-service."
"""The prefix of the names of this service's indexes on customers; `drop_unused_indexes` finds them by it."""

BY_TERM = f"{INDEX_PREFIX}search"
BY_TIME = {name: f"{INDEX_PREFIX}{name}" for name in ("createdAt", "updatedAt")}
INDEXES = (_index(BY_TERM, "search", "_id"), *(_index(name, field, "_id") for field, name in BY_TIME.items()))


HAS_OBJECT_ID = {"_id": {"$gte": ObjectId(bytes(12))}}
"""The condition that `_id` is an ObjectId: a cursor cannot hold an `_id` of another type."""


class CustomerList:
    """The active customers of one organization that match a query."""

    def __init__(self, collection: Collection[Document], scope: OrganizationScope, query: CustomerQuery) -> None:
        """List the customers of the collection that belong to the scope."""
        self._collection = collection
        self._scope = scope
        self._query = query

    def page(self, limit: int, after: ListPosition | None = None) -> list[Document]:
        """Return up to `limit` customers after the position, in the list's order."""
        order = self._query.order
        found = self._collection.find(self._criteria(*_after(order, after))).limit(limit).hint(self._plan[1])
        return list(found.sort([(name, ASCENDING) for name in dict.fromkeys((order, "_id"))]))

    def count(self) -> int:
        """Return the number of customers in the whole list."""
        return self._collection.count_documents(self._criteria(), hint=self._plan[1])

    def _criteria(self, *more: Document) -> Document:
        """Return the filter.

        Only the first search term bounds the index scan. MongoDB compares the others in each document.
        """
        terms = [{"search": term} for term in self._plan[0]]
        return {"organizationId": self._scope, "$and": [*terms, *self._query.conditions(), HAS_OBJECT_ID, *more]}

    @cached_property
    def _plan(self) -> tuple[list[Any], str]:
        """Return the search terms, the rarest first, and the index to read by."""
        terms = self._query.terms()
        counts = sorted(((self._count(term), term) for term in terms[:MAXIMUM_COUNTED_TERMS]), key=itemgetter(0))
        index = BY_TERM if counts[0][0] < MAXIMUM_COUNTED_CUSTOMERS else BY_TIME.get(self._query.order, BY_TERM)
        return [*(term for _, term in counts), *terms[MAXIMUM_COUNTED_TERMS:]], index

    def _count(self, term: object) -> int:
        """Return how many customers have the term, at most MAXIMUM_COUNTED_CUSTOMERS.

        It returns that maximum without counting if the count cannot change the plan.
        """
        if term == EMPTY_NGRAM or (self._query.order == "_id" and len(self._query.terms()) == 1):
            return MAXIMUM_COUNTED_CUSTOMERS
        criteria = {"organizationId": self._scope, "search": term}
        return self._collection.count_documents(criteria, hint=BY_TERM, limit=MAXIMUM_COUNTED_CUSTOMERS)


def _after(order: str, after: ListPosition | None) -> list[dict[str, Any]]:
    """Return the conditions of the customers after a position (keyset pagination)."""
    if after is None:
        return []
    value, after_id = after[0], {"_id": {"$gt": ObjectId(after[1])}}
    if order == "_id":
        return [after_id]
    return [{order: {"$gte": value}}, {"$or": [{order: value, **after_id}, {order: {"$gt": value}}]}]
