"""A blocked or an erased customer is found by no read, no write, no list and no retried creation."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from bson import ObjectId

from customer_service.errors import VersionMismatch
from customer_service.repository import (
    CustomerRepository,
    OrganizationScope,
    backfill_search_fields,
    backfill_unique_keys,
)
from customer_service.repository.idempotency import TAKEOVER_SECONDS
from tests.support import EXAMPLE, NEW_CUSTOMER, ORGANIZATION, WRITER, Service, customers_url, problem, url

if TYPE_CHECKING:
    from flask.testing import FlaskClient

    from customer_service.repository.database import Document

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TOMBSTONE = {"organizationId": ORGANIZATION, "createdAt": NOW, "erasedAt": NOW, "erasedBy": "an-admin"}
BLOCKED = {
    "organizationId": ORGANIZATION,
    **{name: EXAMPLE[name] for name in ("legalName", "taxId", "taxSystem", "defaultInvoiceUse")},
    "externalId": "crm-1",
    "address": {"zip": "86500", "state": "Sonora", "country": "MEX"},
    **dict.fromkeys(("createdAt", "updatedAt", "deletedAt", "blockedAt"), NOW),
    "version": 3,
}


@pytest.fixture(params=[TOMBSTONE, BLOCKED], ids=["erased", "blocked"])
def document(request: pytest.FixtureRequest, service: Service) -> Document:
    """A customer that is stored so."""
    document: Document = {"_id": ObjectId(), **request.param}
    service.database.customers.insert_one(document)
    found: Document = service.database.customers.find_one({"_id": document["_id"]}) or {}
    return found


REQUESTS: list[tuple[str, str, Any]] = [
    ("GET", "", None),
    ("HEAD", "", None),
    ("PATCH", "", {"phone": None}),
    ("DELETE", "", None),
    ("POST", "/restore", None),
    ("GET", "/tax-info-validation", None),
    ("PUT", "/sat-validation", {"status": "matched", "checkedAt": "2025-01-26T10:00:00Z", "source": "pac"}),
    ("DELETE", "/sat-validation", None),
    ("GET", "/versions", None),
    ("GET", "/versions/1", None),
    ("GET", "?asOf=2026-02-01T00:00:00Z", None),
    ("GET", "?asOf=2999-01-01T00:00:00Z", None),
]


@pytest.mark.parametrize("request_of_one", REQUESTS, ids=lambda each: f"{each[0]}{each[1]}")
def test_every_request_by_id_is_404(
    service: Service, admin: FlaskClient, document: Document, request_of_one: tuple[str, str, Any]
) -> None:
    method, suffix, body = request_of_one
    for headers in ({}, {"If-Match": "*"}):
        path = url(customer=str(document["_id"])) + suffix
        answer = admin.open(path, method=method, json=body, headers=headers)
        assert answer.status_code == 404
        assert method == "HEAD" or problem(answer, 404, "customer-not-found")
    assert service.database.customers.find_one({"_id": document["_id"]}) == document


def test_lists_and_batches_leave_it_out(admin: FlaskClient, document: Document) -> None:
    customer_id = str(document["_id"])
    batch = admin.post(customers_url("/batch-get"), json={"ids": [customer_id]})
    assert batch.get_json() == {"data": [], "notFound": [customer_id]}
    for query in ("", "?q=dunder", "?taxId=DUM901231AB3", "?externalId=crm-1", "?updatedAt[gte]=2000-01-01T00:00:00Z"):
        assert customer_id not in admin.get(customers_url(query)).text
    problem(admin.get(customers_url("/by-external-id/crm-1")), 404, "customer-not-found")


def test_its_external_id_is_free(service: Service, admin: FlaskClient, document: Document) -> None:
    created = admin.put(customers_url("/by-external-id/crm-1"), json=NEW_CUSTOMER)
    assert created.status_code == 201
    assert created.get_json()["id"] != str(document["_id"])
    assert service.database.customers.find_one({"_id": document["_id"]}) == document


def test_a_backfill_leaves_it_as_it_is(service: Service, document: Document) -> None:
    seen: list[int] = []
    backfill_search_fields(service.database, lambda _, total: seen.append(total))
    backfill_unique_keys(service.database)
    assert set(seen) <= {2}  # the examples of both organizations
    assert service.database.customers.find_one({"_id": document["_id"]}) == document


def test_a_creation_that_is_repeated_after_it_is_404(service: Service, admin: FlaskClient, document: Document) -> None:
    """The first request did not store its answer, and another took its claim over."""
    headers = {"Idempotency-Key": "once"}
    admin.post(customers_url(), json=NEW_CUSTOMER, headers=headers)
    service.database.customers.delete_one({"taxId": NEW_CUSTOMER["taxId"]})
    claimed_at = datetime.now(UTC) - timedelta(seconds=TAKEOVER_SECONDS + 1)
    abandoned = {"customerId": document["_id"], "claimedAt": claimed_at}
    service.database.idempotencyKeys.update_one({}, {"$set": abandoned, "$unset": {"body": "", "etag": ""}})
    response = admin.post(customers_url(), json=NEW_CUSTOMER, headers=headers)
    problem(response, 404, "customer-not-found")
    assert service.database.customers.find_one({"_id": document["_id"]}) == document


def test_a_late_write_does_not_change_a_tombstone(service: Service) -> None:
    """The customer was another program's, without a version and a time, which a tombstone has not either."""
    customers = CustomerRepository(service.database, OrganizationScope(ORGANIZATION), WRITER)
    bare = {"_id": ObjectId(), "organizationId": ORGANIZATION, **NEW_CUSTOMER}
    service.database.customers.insert_one(bare)
    tombstone = {"_id": bare["_id"], **TOMBSTONE}
    service.database.customers.replace_one({"_id": bare["_id"]}, tombstone)
    before = service.database.customers.find_one({"_id": bare["_id"]})
    for write in (customers.remove, lambda document: customers.update(document, NEW_CUSTOMER)):
        with pytest.raises(VersionMismatch):
            write(bare)
    assert service.database.customers.find_one({"_id": bare["_id"]}) == before
