"""A write is tried again if the customer that it conflicts with is deleted before the response names it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from customer_service.repository import CustomerRepository, OrganizationScope, backfill_search_fields
from customer_service.services import validation
from tests.support import CUSTOMER_ID, ORGANIZATION, WRITER, Service

if TYPE_CHECKING:
    from bson import ObjectId
    from pymongo.errors import DuplicateKeyError


@pytest.fixture
def customers(service: Service, monkeypatch: pytest.MonkeyPatch) -> CustomerRepository:
    """The customers of an organization, of which the one that a write conflicts with is deleted just then."""
    backfill_search_fields(service.database)
    name_other = CustomerRepository._raise_duplicate

    def delete_other(self: CustomerRepository, error: DuplicateKeyError, own: ObjectId, customer: Any) -> None:
        (other,) = service.database.customers.find({"organizationId": ORGANIZATION, "unique.taxId": customer["taxId"]})
        self.remove(other)
        name_other(self, error, own, customer)

    monkeypatch.setattr(CustomerRepository, "_raise_duplicate", delete_other)
    return CustomerRepository(service.database, OrganizationScope(ORGANIZATION), WRITER)


def test_an_update_is_retried(customers: CustomerRepository) -> None:
    document = customers.get(CUSTOMER_ID)
    other, _ = customers.add(validation.to_input(document) | {"taxId": "ABC101010111"})
    updated = customers.update(document, validation.to_input(document) | {"taxId": other["taxId"]})
    assert updated["taxId"] == other["taxId"]


def test_a_restoration_is_retried(customers: CustomerRepository) -> None:
    document = customers.get(CUSTOMER_ID)
    retired = customers.remove(document)
    customers.add(validation.to_input(document))
    assert customers.restore(retired, validation.to_input(retired))["_id"] == document["_id"]
