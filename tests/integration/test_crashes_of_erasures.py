"""Wherever an erasure is killed, what is left is harmless, and the same request or `erase-due` completes it."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from bson import ObjectId, json_util

from customer_service.cli import erasure as command
from customer_service.cli.demo import EXAMPLE_CUSTOMER
from customer_service.repository import ErasureRepository, backfill_search_fields
from customer_service.repository.erasures import find_reduced_since
from customer_service.repository.memberships import OrganizationScope
from customer_service.services import erasure
from tests.support import CUSTOMER_ID, INVOICED_ON, ORGANIZATION, WRITER, Service, url
from tests.support.interleaving import Killed, killed_after

if TYPE_CHECKING:
    from flask.testing import FlaskClient

    from customer_service.repository.database import Document

KEY = {"_id": ObjectId(CUSTOMER_ID)}
PERSONAL = "gone@erased.example"
STEPS = 5
"""Deletion with its copy, replacement, copies and claims; a block has one more."""


def prepare(service: Service, admin: FlaskClient, retention: Any) -> None:
    """Store the example again, with two versions, a claim with an answer, and a retention."""
    database = service.database
    database.customers.replace_one(KEY, EXAMPLE_CUSTOMER)
    for name in ("customer_versions", "idempotencyKeys"):
        database[name].delete_many({})
    backfill_search_fields(database)
    assert admin.patch(url(), json={"email": PERSONAL, "metadata": {"a": PERSONAL}}).status_code == 200
    assert admin.patch(url(), json={"phone": "6475550142"}).status_code == 200
    claim = {"_id": "claim", "organizationId": ORGANIZATION, "customerId": KEY["_id"], "body": PERSONAL.encode()}
    database.idempotencyKeys.insert_one(claim | {"claimedAt": datetime.now(UTC)})
    assert not retention or admin.put(f"{url()}/retention", json=retention).status_code == 200


def kill(service: Service, operations: int) -> bool:
    """Erase the customer, and kill the process after so many operations; return whether it was done before."""
    customers = ErasureRepository(killed_after(service.database, operations), OrganizationScope(ORGANIZATION), WRITER)
    with suppress(Killed):
        erasure.erase(customers, CUSTOMER_ID)
        return True
    return False


def customer_of(service: Service) -> Document:
    return service.database.customers.find_one(KEY) or {}


def traces(service: Service) -> str:
    database = service.database
    texts = [json_util.dumps(list(database[name].find())) for name in database.list_collection_names()]
    claims = [bytes(each.get("body", b"")).decode() for each in database.idempotencyKeys.find()]
    return "".join([*texts, *claims])


def require_harmless(service: Service, admin: FlaskClient) -> None:
    """Require that the customer is as it was, or deleted and restorable, or that no request finds it."""
    document = customer_of(service)
    is_reduced = "blockedAt" in document or "erasedAt" in document
    assert is_reduced or (document["email"], document["phone"]) == (PERSONAL, "6475550142")
    expected = 404 if is_reduced or "deletedAt" in document else 200
    assert admin.get(url()).status_code == expected
    assert admin.get(f"{url()}/erasure").get_json()["state"] == (
        "erased" if "erasedAt" in document else "blocked" if "blockedAt" in document else "none"
    )
    if not is_reduced:
        assert admin.post(f"{url()}/restore").get_json()["email"] == PERSONAL


@pytest.mark.parametrize(
    "retention", [None, {"lastInvoicedOn": INVOICED_ON.isoformat()}, {"hold": True, "reason": "x"}]
)
def test_the_same_request_completes_it(service: Service, admin: FlaskClient, retention: Any) -> None:
    for operations in count():
        prepare(service, admin, retention)
        is_done = kill(service, operations)
        require_harmless(service, admin)
        state = admin.post(f"{url()}/erasure").get_json()["state"]
        assert state == ("blocked" if retention else "erased")
        assert PERSONAL not in traces(service), operations
        assert "6475550142" not in traces(service), operations
        if is_done:
            break
    assert operations > STEPS


@pytest.mark.parametrize("retention", [None, {"hold": True, "reason": "x"}])
def test_the_command_completes_it_from_the_replacement_on(service: Service, admin: FlaskClient, retention: Any) -> None:
    completed = 0
    for operations in count():
        prepare(service, admin, retention)
        is_done = kill(service, operations)
        if not {"blockedAt", "erasedAt"}.isdisjoint(customer_of(service)):
            reduced = find_reduced_since(service.database, datetime.now(UTC) - timedelta(days=2))
            command._remove_traces(service.database, reduced)
            assert PERSONAL not in traces(service), operations
            completed += 1
        if is_done:
            break
    assert completed > 2
