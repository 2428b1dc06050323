"""Rows without an external id are matched by tax id and country, and never replace another customer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from customer_service.errors import CustomerServiceError, DuplicateTaxId, InvalidRequest
from customer_service.repository import CustomerBatchRepository, OrganizationScope
from customer_service.repository.customers import DUPLICATE_ERRORS
from customer_service.services.upserts import to_upsert, upsert_many, validate_many
from tests.support import ORGANIZATION, WRITER, fill, new_customer

if TYPE_CHECKING:
    from pymongo.database import Database

    from customer_service.repository.database import Document

ABROAD = {"taxId": "123456789", "taxSystem": "616", "defaultInvoiceUse": "S01", "phone": None}


@pytest.fixture
def customers(database: Database[Document]) -> CustomerBatchRepository:
    fill(database)
    return CustomerBatchRepository(database, OrganizationScope(ORGANIZATION), WRITER)


def store(customers: CustomerBatchRepository, country: str, **changes: Any) -> str:
    """Store one row as an import does; return what became of it, or the path and the code of what is wrong."""
    row = new_customer(**ABROAD | changes, address={"country": country})
    (outcome,) = upsert_many(customers, validate_many([row], lambda body: to_upsert(body, tuple(DUPLICATE_ERRORS))))
    if isinstance(outcome, InvalidRequest):
        return " ".join(f"{finding.path} {finding.code}" for finding in outcome.findings)
    return type(outcome).__name__ if isinstance(outcome, CustomerServiceError) else outcome.status


def test_one_number_of_two_countries(customers: CustomerBatchRepository) -> None:
    assert store(customers, "USA") == "created"
    assert store(customers, "CAN") == "created"
    assert store(customers, "USA", legalName="Sabre") == "changed"
    assert store(customers, "CAN") == "unchanged"


@pytest.mark.parametrize("tax_id", ["XEXX010101000", "XAXX010101000", "0", "N/A", "sin rfc", "EXTRANJERO"])
def test_a_key_of_many_needs_an_external_id(customers: CustomerBatchRepository, tax_id: str) -> None:
    assert store(customers, "USA", taxId=tax_id) == "/externalId required"
    for number in (1, 2):
        assert store(customers, "USA", taxId=tax_id, externalId=f"crm-{number}") == "created"
        assert store(customers, "USA", taxId=tax_id, externalId=f"crm-{number}") == "unchanged"


def test_one_that_another_program_moved_abroad_stays(
    customers: CustomerBatchRepository, database: Database[Document]
) -> None:
    assert store(customers, "USA") == "created"
    database.customers.update_one({"taxId": "123456789"}, {"$set": {"address.country": "CAN"}})
    before = database.customers.find_one({"taxId": "123456789"})
    assert store(customers, "USA", legalName="Sabre") == DuplicateTaxId.__name__
    assert database.customers.find_one({"taxId": "123456789"}) == before
