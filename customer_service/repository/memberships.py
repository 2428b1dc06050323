"""The memberships: which user belongs to which organization, and in which role."""

from __future__ import annotations

import secrets
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, NewType, TypeVar, cast

from pymongo import ASCENDING, IndexModel
from pymongo.errors import DuplicateKeyError

from customer_service.errors import LastAdmin
from customer_service.repository.driver_errors import translates_errors
from customer_service.roles import ROLES

if TYPE_CHECKING:
    from collections.abc import Callable

    from pymongo.database import Database

    from customer_service.repository.database import Document
    from customer_service.repository.expiring_cache import Cache
    from customer_service.roles import Role

OrganizationScope = NewType("OrganizationScope", str)
"""The id of an organization whose member the caller is; only MembershipRepository creates it.

For a command that serves all organizations, erasures.py creates it from the customers that it finds.
"""

MAXIMUM_ORGANIZATION_ID_LENGTH = 128
MAXIMUM_USER_ID_LENGTH = 256
LEAVING_MARK_SECONDS = 10

Write = TypeVar("Write", bound="Callable[..., Any]")


@dataclass(frozen=True, slots=True)
class Membership:
    """A user's membership of an organization, with the role."""

    user_id: str
    scope: OrganizationScope
    role: Role


def _clears_cache(write: Write) -> Write:
    """Clear this worker's cache of memberships after a write, also if the write failed: it may be stored."""

    @wraps(write)
    def clearing(self: MembershipRepository, *args: Any, **kwargs: Any) -> Any:
        try:
            return write(self, *args, **kwargs)
        finally:
            if self._cache is not None:
                self._cache.clear()

    return cast("Write", clearing)


class MembershipRepository:
    """The memberships of all organizations."""

    COLLECTION = "memberships"
    INDEXES = (IndexModel([("organizationId", ASCENDING), ("userId", ASCENDING)], unique=True),)

    def __init__(self, database: Database[Document], cache: Cache[Membership] | None = None) -> None:
        """Work on the collection `memberships` of the database; `find` reads the cache first if there is one."""
        self._collection = database[self.COLLECTION]
        self._cache = cache

    def find(self, user_id: str, organization_id: str) -> Membership | None:
        """Return the user's membership of the organization, or None if there is none with one of ROLES."""
        if self._cache is None:
            return self._read(user_id, organization_id)
        key = (organization_id, user_id)
        return self._cache.get(key) or self._cache.load(key, partial(self._read, user_id, organization_id))

    @translates_errors
    def _read(self, user_id: str, organization_id: str) -> Membership | None:
        if len(organization_id) > MAXIMUM_ORGANIZATION_ID_LENGTH:
            return None
        document = self._collection.find_one(_key(user_id, organization_id))
        return _membership(document) if document else None

    @translates_errors
    def exists(self, user_id: str, organization_id: str) -> bool:
        """Return whether a membership of the user is stored, in any role; it does not read the cache."""
        return self._collection.find_one(_key(user_id, organization_id)) is not None

    @translates_errors
    def all_of(self, organization_id: str) -> list[Membership]:
        """Return the members of the organization in the order of their user ids."""
        documents = self._collection.find({"organizationId": organization_id}).sort("userId", ASCENDING)
        return [membership for membership in map(_membership, documents) if membership]

    @_clears_cache
    @translates_errors
    def set_role(self, user_id: str, organization_id: str, role: Role) -> bool:
        """Make the user a member with this role; return whether the user is a new member."""
        result = self._collection.update_one(_key(user_id, organization_id), {"$set": {"role": role}}, upsert=True)
        return result.upserted_id is not None

    @_clears_cache
    @translates_errors
    def set_role_keeping_admin(self, user_id: str, organization_id: str, role: Role) -> bool:
        """Set the role as `set_role` does; raises LastAdmin if no admin would be left."""
        if role == "admin":
            return self.set_role(user_id, organization_id, role)
        others = {**_key(user_id, organization_id), "role": {"$ne": "admin"}}
        while True:
            if self._demote(user_id, organization_id, role):
                return False
            with suppress(DuplicateKeyError):  # another request made the member an admin after `_demote`
                change = self._collection.update_one(others, {"$set": {"role": role}}, upsert=True)
                return change.upserted_id is not None

    @_clears_cache
    @translates_errors
    def remove_keeping_admin(self, user_id: str, organization_id: str) -> bool:
        """End the membership as `remove` does; raises LastAdmin if no admin would be left."""
        key = _key(user_id, organization_id)
        while self._collection.find_one(key):
            if self._demote(user_id, organization_id, None):
                return True
            if self._collection.delete_one({**key, "role": {"$ne": "admin"}}).deleted_count:
                return True
        return False

    def _demote(self, user_id: str, organization_id: str, role: Role | None) -> bool:
        """Give an admin a lower role, or end the membership if it is None; return whether this call changed an admin.

        It returns False if the user is no admin, or if another request removed this call's mark. The caller then
        changes a member who is no admin, or tries again.

        Raises LastAdmin if no other admin would be left. Without transactions, the order of the writes keeps an admin:
        first mark this admin as leaving, then count the admins without a mark. If two admins remove each other at
        the same time, at least one request sees the other's mark. A request that crashes leaves its mark behind, and a
        later one removes it. The change itself requires that its own mark is still there.
        """
        self._remove_old_marks(organization_id)
        key = {**_key(user_id, organization_id), "role": "admin"}
        own = secrets.token_hex(8)
        mark = {"by": own, "at": datetime.now(UTC)}
        if self._collection.update_one(key, {"$push": {"leaving": mark}}).matched_count == 0:
            return False
        marked = {**key, "leaving.by": own}
        if not self._has_remaining_admin(organization_id):
            self._collection.update_one(marked, {"$pull": {"leaving": {"by": own}}})
            raise LastAdmin
        if role is None:
            return self._collection.delete_one(marked).deleted_count == 1
        change = {"$set": {"role": role}, "$unset": {"leaving": ""}}
        return self._collection.update_one(marked, change).matched_count == 1

    def _remove_old_marks(self, organization_id: str) -> None:
        """Remove the marks that requests left behind, and what another program stored in their place."""
        admins = {"organizationId": organization_id, "role": "admin"}
        abandoned = {"$lt": datetime.now(UTC) - timedelta(seconds=LEAVING_MARK_SECONDS)}
        no_marks = {"$exists": True, "$not": {"$type": "array"}}
        self._collection.update_many({**admins, "leaving": no_marks}, {"$unset": {"leaving": ""}})
        self._collection.update_many({**admins, "leaving.at": abandoned}, {"$pull": {"leaving": {"at": abandoned}}})

    def _has_remaining_admin(self, organization_id: str) -> bool:
        unmarked = {"organizationId": organization_id, "role": "admin", "leaving.0": {"$exists": False}}
        return any(map(_membership, self._collection.find(unmarked)))

    @_clears_cache
    @translates_errors
    def remove(self, user_id: str, organization_id: str) -> bool:
        """End the user's membership; return whether there was one."""
        return self._collection.delete_one(_key(user_id, organization_id)).deleted_count == 1


def _key(user_id: str, organization_id: str) -> Document:
    """Return the filter for the user's membership of the organization."""
    return {"organizationId": organization_id, "userId": user_id}


def _membership(document: Document) -> Membership | None:
    user_id, organization_id = document.get("userId"), document.get("organizationId")
    if document.get("role") not in ROLES or not isinstance(user_id, str) or not isinstance(organization_id, str):
        return None  # another program stored it: an array, for one, is found by each of its elements
    return Membership(user_id, OrganizationScope(organization_id), document["role"])
