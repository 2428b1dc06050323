"""Two organizations with as many customers each, a member of each, and a user without a membership."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from bson import ObjectId

from customer_service.cli.demo import EXAMPLE_CUSTOMER
from customer_service.repository import ensure_indexes

if TYPE_CHECKING:
    from pymongo.database import Database

    from customer_service.repository.database import Document

ORGANIZATIONS = ("organization-a", "organization-b")
MEMBERS = {"member-of-a": "organization-a", "member-of-b": "organization-b"}
CALLERS = (*MEMBERS, "stranger")


def fill(database: Database[Document], customers: int, seed: int) -> dict[str, list[str]]:
    """Store so many customers in each organization; return their ids, in an order that does not show whose they are."""
    chance = random.Random(seed)  # noqa: S311 - a run that can be repeated
    ensure_indexes(database)
    ids = [ObjectId(chance.randbytes(12)) for _ in range(customers * len(ORGANIZATIONS))]
    owned = {organization: ids[place :: len(ORGANIZATIONS)] for place, organization in enumerate(ORGANIZATIONS)}
    database.customers.insert_many(
        EXAMPLE_CUSTOMER | {"_id": each, "organizationId": organization, "legalName": f"Secret of {organization}"}
        for organization, own in owned.items()
        for each in own
    )
    database.memberships.insert_many(
        {"userId": member, "organizationId": organization, "role": "admin"} for member, organization in MEMBERS.items()
    )
    return {organization: [str(each) for each in own] for organization, own in owned.items()}
