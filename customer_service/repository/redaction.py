"""Redaction: what stays of a customer that is blocked, because the tax law or a hold retains it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from customer_service.repository.database import Document

RETAINED_FIELDS = (
    *("_id", "organizationId", "legalName", "taxId", "taxSystem", "defaultInvoiceUse", "externalId", "satValidation"),
    *("createdAt", "updatedAt", "version", "updatedBy", "requestId", "deletedAt"),
)
"""The fields of a redacted customer, beside the address.

A list of what stays, not of what goes: another program may have stored fields that this service does not know.
"""

RETAINED_ADDRESS_FIELDS = ("zip", "state", "country")


def redacted(document: Mapping[str, object]) -> Document:
    """Return the document with only the fields that are retained."""
    kept = _only(document, RETAINED_FIELDS)
    address = document.get("address")
    return kept | ({"address": _only(address, RETAINED_ADDRESS_FIELDS)} if isinstance(address, Mapping) else {})


def _only(values: Mapping[str, object], names: tuple[str, ...]) -> Document:
    return {name: values[name] for name in names if name in values}
