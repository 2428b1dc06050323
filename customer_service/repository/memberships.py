"""Who belongs to which organization, and as what."""

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
from customer_service.repository.database import Document, translates_errors
from customer_service.roles import ROLES

if TYPE_CHECKING:
    from collections.abc import Callable

    from pymongo.database import Database

    from customer_service.repository.caches import Cache
    from customer_service.roles import Role

OrganizationScope = NewType("OrganizationScope", str)
"""An organization that a caller was found to be a member of; only MembershipRepository hands it out."""

MAXIMUM_ORGANIZATION_ID_LENGTH = 128
LEAVING_MARK_SECONDS = 10

Write = TypeVar("Write", bound="Callable[..., Any]")


@dataclass(frozen=True, slots=True)
class Membership:
    """That a user belongs to an organization, and as what."""

    user_id: str
    scope: OrganizationScope
    role: Role


def _clears_cache(write: Write) -> Write:
    """Make a write forget the memberships that this worker keeps, even where its outcome is not known."""

    @wraps(write)
    def clearing(self: MembershipRepository, *args: Any) -> Any:
        try:
            return write(self, *args)
        finally:
            if self._cache is not None:
                self._cache.clear()

    return cast("Write", clearing)


class MembershipRepository:
    """Who belongs to which organization."""

    COLLECTION = "memberships"
    INDEXES = (IndexModel([("organizationId", ASCENDING), ("userId", ASCENDING)], unique=True),)

    def __init__(self, database: Database[Document], cache: Cache[Membership] | None = None) -> None:
        """Work on the collection `memberships` of the database, and answer `find` from what is kept."""
        self._collection = database[self.COLLECTION]
        self._cache = cache

    def find(self, user_id: str, organization_id: str) -> Membership | None:
        """Return the user's membership of the organization, or None; a role that is none of ROLES is none."""
        if self._cache is None:
            return self._read(user_id, organization_id)
        key = (organization_id, user_id)
        return self._cache.get(key) or self._cache.load(key, partial(self._read, user_id, organization_id))

    @translates_errors
    def _read(self, user_id: str, organization_id: str) -> Membership | None:
        if len(organization_id) > MAXIMUM_ORGANIZATION_ID_LENGTH:
            return None
        document = self._collection.find_one({"organizationId": organization_id, "userId": user_id})
        return _membership(document) if document else None

    @translates_errors
    def page(self, organization_id: str) -> list[Membership]:
        """Return the members of the organization in the order of their user ids."""
        documents = self._collection.find({"organizationId": organization_id}).sort("userId", ASCENDING)
        return [membership for membership in map(_membership, documents) if membership]

    @_clears_cache
    @translates_errors
    def set_role(self, user_id: str, organization_id: str, role: Role) -> bool:
        """Make the user a member in this role; return whether the user was none before."""
        result = self._collection.update_one(
            {"organizationId": organization_id, "userId": user_id}, {"$set": {"role": role}}, upsert=True
        )
        return result.upserted_id is not None

    @_clears_cache
    @translates_errors
    def set_role_keeping_admin(self, user_id: str, organization_id: str, role: Role) -> bool:
        """Do as `set_role`, but never take the organization's last admin; raises LastAdmin."""
        if role == "admin":
            return self.set_role(user_id, organization_id, role)
        others = {"organizationId": organization_id, "userId": user_id, "role": {"$ne": "admin"}}
        while True:
            if self.demote(user_id, organization_id, role):
                return False
            with suppress(DuplicateKeyError):  # the member became an admin in between
                change = self._collection.update_one(others, {"$set": {"role": role}}, upsert=True)
                return change.upserted_id is not None

    @_clears_cache
    @translates_errors
    def remove_keeping_admin(self, user_id: str, organization_id: str) -> bool:
        """Do as `remove`, but never take the organization's last admin; raises LastAdmin."""
        key = {"organizationId": organization_id, "userId": user_id}
        while self._collection.find_one(key):
            if self.demote(user_id, organization_id, None):
                return True
            if self._collection.delete_one({**key, "role": {"$ne": "admin"}}).deleted_count:
                return True
        return False

    @_clears_cache
    @translates_errors
    def demote(self, user_id: str, organization_id: str, role: Role | None) -> bool:
        """Give an admin a lesser role, or with None end the membership; return whether the user was an admin.

        Raises LastAdmin where no other admin would be left. There is no transaction to lean on, so the admin is
        first marked as leaving, and only then are the others counted that are not: of two who remove each other at
        once, at least one sees the other's mark. A mark that was left behind is wiped by the next who counts, and
        the change itself asks for its own mark to stand.
        """
        key = {"organizationId": organization_id, "userId": user_id, "role": "admin"}
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

    def _has_remaining_admin(self, organization_id: str) -> bool:
        admins = {"organizationId": organization_id, "role": "admin"}
        abandoned = {"$lt": datetime.now(UTC) - timedelta(seconds=LEAVING_MARK_SECONDS)}
        self._collection.update_many({**admins, "leaving.at": abandoned}, {"$pull": {"leaving": {"at": abandoned}}})
        return self._collection.count_documents({**admins, "leaving.0": {"$exists": False}}, limit=1) == 1

    @_clears_cache
    @translates_errors
    def remove(self, user_id: str, organization_id: str) -> bool:
        """End the user's membership; return whether there was one."""
        key = {"organizationId": organization_id, "userId": user_id}
        return self._collection.delete_one(key).deleted_count == 1


def _membership(document: Document) -> Membership | None:
    if document.get("role") not in ROLES:
        return None
    return Membership(document["userId"], OrganizationScope(document["organizationId"]), document["role"])
