"""What the SAT's validator compares with its register, and the customers that it knows nothing of."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, NamedTuple

from customer_service.fiscal import rules
from customer_service.services import validation

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from customer_service.repository.database import Document

VALIDATOR_COMPARES = (rules.TAX_ID, rules.LEGAL_NAME, rules.ZIP)


class Receiver(NamedTuple):
    """A receiver of invoices by the three values that the validator compares."""

    tax_id: str
    legal_name: str
    zip: str


def comparable_name(name: str) -> str:
    """Return a legal name in the one form in which two of them are compared; case and accents count."""
    return unicodedata.normalize("NFC", name.strip())


def registrable(document: Document) -> dict[str, Any] | None:
    """Return the normalized customer if the SAT may have it in its register, else None; raises MalformedDocument.

    It has no foreign customers, and a generic RFC names none.
    """
    customer = rules.normalized(validation.to_input(document))
    is_domestic = customer["address"]["country"] == rules.DOMESTIC
    return customer if is_domestic and customer["taxId"] not in rules.GENERIC_RFCS else None


def receiver_of(customer: Mapping[str, Any]) -> Receiver:
    """Return what the SAT compares of a normalized customer."""
    return Receiver(customer["taxId"], comparable_name(customer["legalName"]), customer["address"]["zip"] or "")


def faults(customer: Mapping[str, Any]) -> list[str]:
    """Return why the validator cannot be asked about a normalized customer."""
    found = (finding for finding in rules.errors(customer) if finding.path in VALIDATOR_COMPARES)
    return [f"{finding.path} {finding.code} {finding.message}" for finding in found]
