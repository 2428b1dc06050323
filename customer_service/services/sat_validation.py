"""The SAT's answer about a customer, as the program that asked the SAT sends it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from customer_service.errors import InvalidRequest
from customer_service.errors.findings import Finding
from customer_service.fiscal import rules
from customer_service.schemas.inputs import SatValidationInputSchema
from customer_service.schemas.instants import INVALID_INSTANT, parse_instant

SAT_VALIDATION_INPUT = SatValidationInputSchema()
CHECKED_AT = "/checkedAt"


def validate(body: object) -> dict[str, Any]:
    """Return the SAT's answer in the form to store; raises InvalidRequest with every finding."""
    validation = SAT_VALIDATION_INPUT.validated(body)
    mismatches = validation.get("mismatches", [])
    if mismatches and validation["status"] != rules.MISMATCHED:
        raise InvalidRequest(
            [Finding("/mismatches", "mismatches-not-allowed", "Give mismatches only with the status `mismatched`.")]
        )
    return {
        "status": validation["status"],
        **({"mismatches": sorted(set(mismatches))} if mismatches else {}),
        "checkedAt": _past(validation["checkedAt"]),
        "source": validation["source"],
    }


def _past(text: str) -> datetime:
    """Return the time of a text; raises InvalidRequest if it is malformed or in the future."""
    try:
        moment = parse_instant(text)
    except ValueError:
        raise InvalidRequest([Finding(CHECKED_AT, "invalid-instant", INVALID_INSTANT)]) from None
    if moment > datetime.now(UTC).replace(tzinfo=None):
        raise InvalidRequest([Finding(CHECKED_AT, "future-instant", "Give the time at which the SAT answered.")])
    return moment
