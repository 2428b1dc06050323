"""An erasure leaves no trace of the customer, in any order in which it and other requests reach the database."""

from __future__ import annotations

from dataclasses import replace as with_changes
from datetime import date
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import mongomock
import pytest
from bson import ObjectId, json_util

from customer_service.errors import CustomerNotFound, Duplicate, VersionMismatch
from customer_service.repository import (
    CustomerBatchRepository,
    CustomerRepository,
    ErasureRepository,
    IdempotencyRepository,
    RetentionChange,
    ensure_indexes,
)
from customer_service.repository.memberships import OrganizationScope
from customer_service.services import erasure, validation
from customer_service.services.merge_patch import apply_patch
from customer_service.services.upserts import replace, to_upsert, upsert_many, validate_many
from tests.support import CUSTOMER_ID, INVOICED_ON, MEMBER, ORGANIZATION, WRITER, new_customer
from tests.support.interleaving import interleavings

if TYPE_CHECKING:
    from collections.abc import Callable

    from pymongo.database import Database

    from customer_service.repository.database import Document

    Work = Callable[[Database[Document]], object]

SCOPE = OrganizationScope(ORGANIZATION)
KEY = {"_id": ObjectId(CUSTOMER_ID)}
CUSTOMER = new_customer(externalId="crm-1", email="gone-1@erased.example", metadata={"gone-2": "gone-3"})
BODY = b"the same bytes"
HOLD = RetentionChange(hold=True, reason="audit")
INVOICE = RetentionChange(last_invoiced_on=INVOICED_ON)
TOMBSTONE = {"_id", "organizationId", "createdAt", "erasedAt", "erasedBy"}


def new_database(*, deleted: bool = False, retention: RetentionChange | None = None) -> Database[Document]:
    """Return a database in memory with one customer."""
    database: Database[Document] = mongomock.MongoClient().customer_service
    ensure_indexes(database)
    return with_customer(database, deleted=deleted, retention=retention)


def with_customer(
    database: Database[Document], *, deleted: bool = False, retention: RetentionChange | None = None
) -> Database[Document]:
    """Store one customer that a POST with an idempotency key created, and that was changed once."""
    for name, documents in documents_of_customer(deleted, retention).items():
        database[name].insert_many(documents)
    return database


@cache
def documents_of_customer(deleted: bool, retention: RetentionChange | None) -> dict[str, list[Document]]:
    """Return what is stored of this customer, by the name of the collection."""
    database: Database[Document] = mongomock.MongoClient().customer_service
    keys, customers = IdempotencyRepository(database, SCOPE, MEMBER), ErasureRepository(database, SCOPE, WRITER)
    claim = keys.claim("key", BODY)
    database.idempotencyKeys.update_one({}, {"$set": {"customerId": KEY["_id"]}})
    document, _ = customers.add(validation.validate(CUSTOMER), KEY["_id"])
    keys.store_response(with_changes(claim, customer_id=KEY["_id"]), b"gone-4", "etag")
    document = customers.update(document, validation.validate(CUSTOMER | {"phone": "6475550142"}))
    if deleted:
        customers.remove(document)
    if retention:
        customers.change_retention(CUSTOMER_ID, retention, also_blocked=False)
    return {name: list(database[name].find()) for name in database.list_collection_names()}


def erase(database: Database[Document]) -> object:
    return erasure.erase(ErasureRepository(database, SCOPE, WRITER), CUSTOMER_ID)["_id"]


def patch(database: Database[Document]) -> object:
    """Do what a PATCH does."""
    customers = CustomerRepository(database, SCOPE, WRITER)
    while True:
        document = customers.get(CUSTOMER_ID)
        try:
            return replace(customers, document, apply_patch(document, {"email": "gone-5@erased.example"}))
        except VersionMismatch:
            continue


def delete(database: Database[Document]) -> object:
    customers = CustomerRepository(database, SCOPE, WRITER)
    return customers.remove(customers.get(CUSTOMER_ID))


def restore(database: Database[Document]) -> object:
    customers = CustomerRepository(database, SCOPE, WRITER)
    document = customers.get_including_deleted(CUSTOMER_ID)
    return customers.restore(document, validation.for_restore(document))


def import_it(database: Database[Document]) -> object:
    """Do what an import of a changed row does; it creates another customer if this one is gone."""
    customers = CustomerBatchRepository(database, SCOPE, WRITER)
    rows = [CUSTOMER | {"email": "gone-6@erased.example"}]
    return upsert_many(customers, validate_many(rows, lambda row: to_upsert(row, ("externalId", "taxId"))))


def create_again(database: Database[Document]) -> object:
    """Do what the repetition of the POST does; it creates another customer if this one is gone."""
    keys = IdempotencyRepository(database, SCOPE, MEMBER)
    claim = keys.claim("key", BODY)
    if claim.response:
        return claim.response
    try:
        document, _ = CustomerRepository(database, SCOPE, WRITER).add(validation.validate(CUSTOMER), claim.customer_id)
    except Duplicate:
        keys.release(claim)
        raise
    keys.store_response(claim, b"gone-7", "etag")
    return document


def retain(database: Database[Document]) -> object:
    return ErasureRepository(database, SCOPE, WRITER).change_retention(CUSTOMER_ID, INVOICE, also_blocked=False)


def traces(database: Database[Document]) -> str:
    """Return everything that the database holds about the customer, as text."""
    return json_util.dumps(
        [
            list(database.customers.find(KEY)),
            list(database.customer_versions.find({"_id.customer": KEY["_id"]})),
            [str(each) for each in database.idempotencyKeys.find({"customerId": KEY["_id"]})],
        ]
    )


OTHERS: list[Work] = [patch, import_it, restore, delete, create_again]
ERASURES = {1: 2, 2: 1}
"""The numbers of erasures that run beside another request, each with the switches between them."""


@pytest.mark.parametrize("deleted", [False, True])
@pytest.mark.parametrize("erasures", ERASURES)
@pytest.mark.parametrize("other", OTHERS)
def test_an_erased_customer_leaves_a_tombstone_alone(other: Work, erasures: int, deleted: bool) -> None:
    works, orders = [*[erase] * erasures, other], 0
    fresh = partial(new_database, deleted=deleted)
    for database, outcomes, order in interleavings(fresh, works, ERASURES[erasures]):
        assert set(outcomes[:-1]) == {KEY["_id"]}, order
        (tombstone,) = database.customers.find(KEY)
        assert tombstone.keys() == TOMBSTONE, (order, outcomes)
        assert database.customer_versions.count_documents({"_id.customer": KEY["_id"]}) == 0, order
        assert database.idempotencyKeys.count_documents({"customerId": KEY["_id"]}) == 0, order
        orders += 1
    assert orders > 3


@pytest.mark.parametrize("deleted", [False, True])
@pytest.mark.parametrize("erasures", ERASURES)
@pytest.mark.parametrize("other", OTHERS)
def test_a_blocked_customer_keeps_what_is_retained_alone(other: Work, erasures: int, deleted: bool) -> None:
    works, fresh = [*[erase] * erasures, other], partial(new_database, deleted=deleted, retention=HOLD)
    for database, outcomes, order in interleavings(fresh, works, ERASURES[erasures]):
        assert set(outcomes[:-1]) == {KEY["_id"]}, order
        (blocked,) = database.customers.find(KEY)
        assert {"blockedAt", "deletedAt", "legalName", "externalId"} <= blocked.keys(), order
        text = traces(database)
        assert "gone-" not in text, (order, outcomes)
        assert "6475550142" not in text, order


@pytest.mark.parametrize("deleted", [False, True])
def test_an_invoice_is_refused_or_counts(deleted: bool) -> None:
    """A date that was accepted retains the customer, even if the erasure has judged before."""
    seen = set()
    for database, (_, outcome), order in interleavings(lambda: new_database(deleted=deleted), [erase, retain], 3):
        (left,) = database.customers.find(KEY)
        is_refused = outcome is CustomerNotFound
        assert ("erasedAt" in left, "blockedAt" in left) == (is_refused, not is_refused), order
        assert is_refused or left["retention"] == {"lastInvoicedOn": INVOICED_ON.isoformat()}, order
        assert "gone-" not in traces(database), order
        seen.add(is_refused)
    assert seen == {True, False}


def test_the_latest_of_concurrent_dates_stays() -> None:
    def invoiced(day: int) -> Work:
        change = RetentionChange(last_invoiced_on=date(2020, 5, day))
        return lambda database: ErasureRepository(database, SCOPE, WRITER).change_retention(
            CUSTOMER_ID, change, also_blocked=False
        )

    for database, _, order in interleavings(new_database, [invoiced(day) for day in (20, 22, 21)], 3):
        document: Any = database.customers.find_one(KEY)
        assert document["retention"] == {"lastInvoicedOn": "2020-05-22"}, order
