"""The lists of an organization's customers: the indexes that they are read by, and what several criteria share.

A list of one token is one scan of the index that has its order. A list of several reads the keys of the first token
in that order, some hundred at a time, and has the index say which of them have the others too: the customers that it
reads are those that it returns.
"""

from __future__ import annotations

from contextlib import closing
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any

from bson import ObjectId
from pymongo import ASCENDING, IndexModel

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from pymongo.collection import Collection
    from pymongo.cursor import Cursor

    from customer_service.database import Document
    from customer_service.repository.memberships import OrganizationScope
    from customer_service.repository.search import CustomerQuery

BATCH = 250
"""How many keys, or customers, are asked for at a time where the page's length does not say it."""

COMMON = 1000
"""How many keys of a token are counted at most to tell whether it is rarer than another."""

Position = tuple[Any, str]
"""Where a page ended: the value that the list is sorted by, and the customer's id."""


def _index(*names: str) -> IndexModel:
    return IndexModel([(name, ASCENDING) for name in ("organizationId", *names, "_id")])


INDEXES = {
    "_id": _index("search.tokens"),
    "createdAt": _index("search.coarse", "createdAt"),
    "updatedAt": _index("search.coarse", "updatedAt"),
}
"""The index of each order."""

REPLACED = ("organizationId_1_createdAt_1__id_1", "organizationId_1_updatedAt_1__id_1")
"""The names of the indexes that lists were read by before; each holds the living customers alone."""


class CustomerList:
    """The living customers of one organization that a query asks for."""

    def __init__(self, collection: Collection[Document], scope: OrganizationScope, query: CustomerQuery) -> None:
        """List the customers of the collection that belong to the scope."""
        self._collection = collection
        self._scope = scope
        self._query = query
        self._order = query.order
        self._field = "search.tokens" if self._order == "_id" else "search.coarse"

    def page(self, limit: int, after: Position | None = None) -> list[Document]:
        """Return up to `limit` customers from behind the position, in the list's order."""
        found: list[Document] = []
        for rest in _rests(self._order, after):
            found += self._slice(rest, limit - len(found))
            if len(found) == limit:
                break
        return found

    def count(self) -> int:
        """Return how many customers the whole list has."""
        return self._collection.count_documents(self._criteria, hint=_name_of(self._order))

    @cached_property
    def _scanned(self) -> str:
        """The token whose keys are read: the rarest, as far as counting to COMMON tells."""
        tokens = self._query.tokens() if self._order == "_id" else self._query.coarse_tokens()
        counts: dict[str, int] = {}
        for token in tokens if len(tokens) > 1 else ():
            counts[token] = self._count_of(token)
            if counts[token] < BATCH:
                break
        return min(counts or tokens, key=lambda token: counts.get(token, 0))

    @cached_property
    def _others(self) -> list[str]:
        """The tokens that a customer with the scanned one need not have."""
        return [token for token in self._query.tokens() if token != self._scanned]

    @cached_property
    def _criteria(self) -> dict[str, Any]:
        return self._with_token(self._scanned, self._query.conditions(self._others))

    def _count_of(self, token: str) -> int:
        keys = self._with_token(token, self._query.bounds(self._order))
        return self._collection.count_documents(keys, hint=_name_of(self._order), limit=COMMON)

    def _with_token(self, token: str, conditions: list[dict[str, Any]]) -> dict[str, Any]:
        criteria = {"organizationId": self._scope, self._field: token}
        return {**criteria, "$and": conditions} if conditions else criteria

    def _slice(self, rest: Mapping[str, Any], limit: int) -> list[Document]:
        if not self._others:
            return list(self._scan({**self._criteria, **rest}).limit(limit))
        found: list[Document] = []
        size = limit
        with closing(self._in_common(rest)) as keys:
            while len(found) < limit and (some := list(islice(keys, size))):
                found += self._customers_of(some)
                size = BATCH
        return found[:limit]

    def _in_common(self, rest: Mapping[str, Any]) -> Generator[Document, None, None]:
        """Yield the id, and the value to sort by, of each customer that has every token, in the list's order."""
        scanned = self._with_token(self._scanned, self._query.bounds(self._order))
        with self._scan({**scanned, **rest}, {"_id": 1, self._order: 1}).batch_size(BATCH) as keys:
            while batch := list(islice(keys, BATCH)):
                ids = [key["_id"] for key in batch]
                for token in self._others:
                    ids = self._having(token, ids)
                kept = set(ids)
                yield from (key for key in batch if key["_id"] in kept)

    def _having(self, token: str, ids: Sequence[ObjectId]) -> list[ObjectId]:
        """Return those of the customers that have the token, as the index alone can tell."""
        if not ids:
            return []
        asked = {"organizationId": self._scope, "search.tokens": token, "_id": {"$in": ids}}
        found = self._collection.find(asked, {"_id": 1}).hint(_name_of("_id")).batch_size(len(ids) + 1)
        return [key["_id"] for key in found]

    def _customers_of(self, keys: Sequence[Document]) -> list[Document]:
        """Return the customers of the keys that are still in their places in the list."""
        asked = {**self._criteria, "_id": {"$in": [key["_id"] for key in keys]}}
        found = {each["_id"]: each for each in self._collection.find(asked).hint("_id_").batch_size(len(keys) + 1)}
        return [found[key["_id"]] for key in keys if found.get(key["_id"], {}).get(self._order) == key[self._order]]

    def _scan(self, criteria: Mapping[str, Any], projection: Mapping[str, Any] | None = None) -> Cursor[Document]:
        """Read in the list's order, by its index."""
        order = dict.fromkeys((self._order, "_id"))
        cursor = self._collection.find(criteria, projection).sort([(name, ASCENDING) for name in order])
        return cursor.hint(_name_of(self._order))


def _name_of(order: str) -> str:
    name: str = INDEXES[order].document["name"]
    return name


def _rests(order: str, after: Position | None) -> list[dict[str, Any]]:
    """Return the filters of what follows a position, one behind the other: the rest of its ties, then the rest."""
    if after is None:
        return [{}]
    value, customer_id = after
    behind = {"_id": {"$gt": ObjectId(customer_id)}}
    return [behind] if order == "_id" else [{order: value, **behind}, {order: {"$gt": value}}]
