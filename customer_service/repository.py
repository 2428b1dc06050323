"""The collections, and every query on them: customers only ever through their organization."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NewType, get_args

from bson import ObjectId
from pymongo import ASCENDING, IndexModel

from customer_service.database import Document, translates_errors
from customer_service.errors import CustomerNotFound

if TYPE_CHECKING:
    from pymongo.collection import Collection
    from pymongo.database import Database

OrganizationScope = NewType("OrganizationScope", str)
"""An organization that a caller was found to be a member of; only MembershipRepository hands it out."""

Role = Literal["viewer", "editor", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)
MAXIMUM_ORGANIZATION_ID_LENGTH = 128
OBJECT_ID = re.compile(r"[0-9a-fA-F]{24}")


@dataclass(frozen=True, slots=True)
class Membership:
    """That a user belongs to an organization, and as what."""

    user_id: str
    scope: OrganizationScope
    role: Role


class MembershipRepository:
    """Who belongs to which organization."""

    INDEXES = (IndexModel([("organizationId", ASCENDING), ("userId", ASCENDING)], unique=True),)

    def __init__(self, database: Database[Document]) -> None:
        """Work on the collection `memberships` of the database."""
        self._collection = database.memberships

    @translates_errors
    def find(self, user_id: str, organization_id: str) -> Membership | None:
        """Return the user's membership of the organization, or None; a role that is none of ROLES is none."""
        if len(organization_id) > MAXIMUM_ORGANIZATION_ID_LENGTH:
            return None
        document = self._collection.find_one({"organizationId": organization_id, "userId": user_id})
        return _membership(document) if document else None

    @translates_errors
    def page(self, organization_id: str) -> list[Membership]:
        """Return the members of the organization in the order of their user ids."""
        documents = self._collection.find({"organizationId": organization_id}).sort("userId", ASCENDING)
        return [membership for membership in map(_membership, documents) if membership]

    @translates_errors
    def put(self, user_id: str, organization_id: str, role: Role) -> bool:
        """Make the user a member in this role; return whether the user was none before."""
        result = self._collection.update_one(
            {"organizationId": organization_id, "userId": user_id}, {"$set": {"role": role}}, upsert=True
        )
        return result.upserted_id is not None

    @translates_errors
    def remove(self, user_id: str, organization_id: str) -> bool:
        """End the user's membership; return whether there was one."""
        key = {"organizationId": organization_id, "userId": user_id}
        return self._collection.delete_one(key).deleted_count == 1


class CustomerRepository:
    """The customers of one organization."""

    INDEXES = (IndexModel([("organizationId", ASCENDING), ("_id", ASCENDING)]),)

    def __init__(self, database: Database[Document], scope: OrganizationScope) -> None:
        """Work on the documents of the collection `customers` that belong to the scope."""
        self._collection = database.customers
        self._scope = scope

    @translates_errors
    def get(self, customer_id: str) -> Document:
        """Return the customer with this id, 24 hexadecimal digits; raises CustomerNotFound."""
        document = None
        if OBJECT_ID.fullmatch(customer_id):
            document = self._collection.find_one({"_id": ObjectId(customer_id), "organizationId": self._scope})
        if document is None:
            raise CustomerNotFound
        return document


@translates_errors
def ensure_indexes(database: Database[Document]) -> list[tuple[str, bool]]:
    """Create the indexes that are missing; return each as (collection.index, whether it was created)."""
    return [
        (f"{collection.name}.{index.document['name']}", _ensure_index(collection, index))
        for collection, indexes in (
            (database.memberships, MembershipRepository.INDEXES),
            (database.customers, CustomerRepository.INDEXES),
        )
        for index in indexes
    ]


def _ensure_index(collection: Collection[Document], index: IndexModel) -> bool:
    existed = index.document["name"] in collection.index_information()
    collection.create_indexes([index])
    return not existed


def _membership(document: Document) -> Membership | None:
    if document.get("role") not in ROLES:
        return None
    return Membership(document["userId"], OrganizationScope(document["organizationId"]), document["role"])
