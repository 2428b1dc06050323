"""Retention and erasure: what the law retains of a customer and until when, and what goes at once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from customer_service.errors import InvalidRequest, MalformedDocument, VersionMismatch
from customer_service.errors.findings import Finding
from customer_service.fiscal import retention
from customer_service.repository.erasures import RetentionChange
from customer_service.repository.redaction import RETAINED_ADDRESS_FIELDS, RETAINED_FIELDS
from customer_service.schemas.inputs import RetentionInputSchema
from customer_service.services.validation import ADDRESS_FIELDS, CUSTOMER_INPUT

if TYPE_CHECKING:
    from collections.abc import Callable

    from customer_service.repository import ErasureRepository
    from customer_service.repository.database import Document

RETENTION_INPUT = RetentionInputSchema()
DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
HOLD = "hold"
NOTHING_GIVEN = "Give lastInvoicedOn, hold, or both."
REASON_WITHOUT_HOLD = "Give a reason only with a hold."
INVALID_DATE = "Give a date, such as 2026-05-20."
FUTURE_DATE = "Give the date of an invoice that was stamped: it is not in the future."

ERASED = (
    *(f"/{name}" for name in CUSTOMER_INPUT.fields if name not in {*RETAINED_FIELDS, "address"}),
    *(f"/address/{name}" for name in ADDRESS_FIELDS if name not in RETAINED_ADDRESS_FIELDS),
)
"""The JSON Pointers of the fields that no law retains: a blocked customer lost them."""


def to_retention_change(body: object) -> RetentionChange:
    """Return the change of a retention that a request's body describes; raises InvalidRequest with every finding."""
    given = RETENTION_INPUT.validated(body)
    if findings := [*_findings_of_hold(given), *_findings_of_date(given.get("lastInvoicedOn"))]:
        raise InvalidRequest(findings)
    day = given.get("lastInvoicedOn")
    return RetentionChange(day and date.fromisoformat(day), given.get("hold"), given.get("reason"))


def _findings_of_hold(given: Mapping[str, Any]) -> list[Finding]:
    if not given:
        return [Finding("", "required", NOTHING_GIVEN)]
    if given.get("hold") and "reason" not in given:
        return [Finding.of_shape("/reason", "required")]
    if "reason" in given and not given.get("hold"):
        return [Finding("/reason", "reason-not-allowed", REASON_WITHOUT_HOLD)]
    return []


def _findings_of_date(text: str | None) -> list[Finding]:
    if text is None:
        return []
    try:
        day = date.fromisoformat(text if DATE.fullmatch(text) else "")
    except ValueError:
        return [Finding("/lastInvoicedOn", "invalid-date", INVALID_DATE)]
    is_future = retention.is_future(day, datetime.now(UTC))
    return [Finding("/lastInvoicedOn", "future-date", FUTURE_DATE)] if is_future else []


def retention_body(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the customer's retention as JSON; what is not set is null. Raises MalformedDocument."""
    reason, day = _retention_of(document).get("reason"), _last_invoiced_on(document)
    if not isinstance(reason, str | None):
        raise MalformedDocument("retention")
    return {
        "lastInvoicedOn": day and day.isoformat(),
        "retainUntil": day and retention.retain_until(day).isoformat(),
        "hold": _is_held(document),
        "reason": reason,
    }


def erasure_body(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the state of the customer's erasure as JSON."""
    if is_erased(document):
        return {"state": "erased"}
    if document.get("blockedAt") is not None:
        return {"state": "blocked", **_basis_of(document), "erased": list(ERASED)}
    return {"state": "none"}


def is_erased(document: Mapping[str, Any]) -> bool:
    """Return whether the document is the tombstone of an erased customer."""
    return document.get("erasedAt") is not None


def is_active(document: Mapping[str, Any]) -> bool:
    """Return whether the document is of a customer that is neither deleted nor erased."""
    return document.get("deletedAt") is None and not is_erased(document)


def is_reduced(document: Mapping[str, Any]) -> bool:
    """Return whether the document is of a blocked or an erased customer."""
    return is_erased(document) or document.get("blockedAt") is not None


def _basis_of(document: Mapping[str, Any]) -> dict[str, str]:
    """Return why a blocked customer is retained, and until when; empty if it has neither a hold nor a date."""
    day = _last_invoiced_on(document)
    if _is_held(document):
        return {"basis": HOLD}
    return {"retainUntil": retention.retain_until(day).isoformat(), "basis": retention.TAX_LAW} if day else {}


def erase(
    customers: ErasureRepository, customer_id: str, require: Callable[[Document], object] = lambda _: None
) -> Document:
    """Erase the customer, or block it if it must be retained; return what is left of it.

    Each step can be repeated, so that the same call completes an erasure that a crash interrupted. `require` is
    called with the customer before the first write, and again after each conflict. If it raises, the erasure ends.

    Raises CustomerNotFound, and MalformedDocument if the stored retention cannot be read.
    """
    while True:
        document = customers.get_any(customer_id)
        require(document)
        with suppress(VersionMismatch):
            if is_active(document):
                document = _remove(customers, document)
            document = _reduce(customers, document)
            customers.remove_traces(document)
            return document


def _remove(customers: ErasureRepository, document: Document) -> Document:
    """Delete the customer, so that the change feed has exactly one event; raises as `erase`, and VersionMismatch."""
    _must_be_retained(document)  # raises MalformedDocument before anything is written
    return customers.remove(document)


def _reduce(customers: ErasureRepository, document: Document) -> Document:
    """Replace the deleted customer by what must be retained of it; raises VersionMismatch.

    The retention is judged again, because it may have changed since the customer was deleted.
    """
    if is_erased(document):
        return document
    if not _must_be_retained(document):
        return customers.erase(document)
    return document if document.get("blockedAt") is not None else customers.block(document)


def _must_be_retained(document: Mapping[str, Any]) -> bool:
    day = _last_invoiced_on(document)
    return _is_held(document) or (day is not None and retention.is_retained(day, datetime.now(UTC)))


def _is_held(document: Mapping[str, Any]) -> bool:
    hold = _retention_of(document).get("hold")
    return hold is not None and hold is not False


def _last_invoiced_on(document: Mapping[str, Any]) -> date | None:
    """Return the date of the customer's last invoice; raises MalformedDocument."""
    text = _retention_of(document).get("lastInvoicedOn")
    if text is None:
        return None
    try:
        day = date.fromisoformat(text if DATE.fullmatch(text) else "")  # MongoDB compares the dates as text
        retention.retain_until(day)
    except (TypeError, ValueError):  # another program may have stored a date whose retention ends after the year 9999
        raise MalformedDocument("retention") from None
    return day


def _retention_of(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the customer's retention; raises MalformedDocument."""
    stored = document.get("retention")
    if isinstance(stored, Mapping):
        return stored
    if stored is not None:
        raise MalformedDocument("retention")
    return {}
