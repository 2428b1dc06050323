"""A write is tried again if the customer that it conflicts with is deleted before the response names it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from customer_service.errors import VersionMismatch
from customer_service.repository import CustomerRepository, OrganizationScope, backfill_search_fields
from customer_service.services import validation
from tests.support import CUSTOMER_ID, ORGANIZATION, WRITER, Service

if TYPE_CHECKING:
    from customer_service.repository.database import Document


@pytest.fixture
def customers(service: Service, monkeypatch: pytest.MonkeyPatch) -> CustomerRepository:
    backfill_search_fields(service.database)
    monkeypatch.setattr(CustomerRepository, "_raise_duplicate", lambda *_: None)
    return CustomerRepository(service.database, OrganizationScope(ORGANIZATION), WRITER)


def other(customers: CustomerRepository, document: Document) -> Document:
    return customers.add(validation.to_input(document) | {"taxId": "ABC101010111"})[0]


def test_an_update_is_retried(customers: CustomerRepository) -> None:
    document = customers.get(CUSTOMER_ID)
    taken = other(customers, document)["taxId"]
    with pytest.raises(VersionMismatch):
        customers.update(document, validation.to_input(document) | {"taxId": taken})


def test_a_restoration_is_retried(customers: CustomerRepository) -> None:
    document = customers.get(CUSTOMER_ID)
    retired = customers.remove(document)
    customers.add(validation.to_input(document))
    with pytest.raises(VersionMismatch):
        customers.restore(retired, validation.to_input(retired))
