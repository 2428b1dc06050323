"""The SAT's answer about a customer, as the program that asked the SAT sends it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from customer_service.errors import InvalidRequest
from customer_service.errors.findings import Finding
from customer_service.fiscal import rules
from customer_service.schemas.inputs import SatValidationInputSchema
from customer_service.schemas.instants import INVALID_INSTANT, parse_instant

if TYPE_CHECKING:
    from collections.abc import Sequence

SAT_VALIDATION_INPUT = SatValidationInputSchema()
CHECKED_AT = "/checkedAt"
CLOCK_DIFFERENCE = timedelta(minutes=1)
"""How far the clock of the program that asked the SAT may be ahead."""


def validate(body: object) -> dict[str, Any]:
    """Return the SAT's answer in the form to store; raises InvalidRequest with every finding."""
    validation = SAT_VALIDATION_INPUT.validated(body)
    status, mismatches = validation["status"], validation.get("mismatches", [])
    if findings := [*_findings_of_mismatches(status, mismatches), *_findings_of_time(validation["checkedAt"])]:
        raise InvalidRequest(findings)
    return {
        "status": status,
        **({"mismatches": sorted(set(mismatches))} if mismatches else {}),
        "checkedAt": parse_instant(validation["checkedAt"]),
        "source": validation["source"],
    }


def _findings_of_mismatches(status: str, mismatches: Sequence[str]) -> list[Finding]:
    if not mismatches or status == rules.MISMATCHED:
        return []
    return [Finding("/mismatches", "mismatches-not-allowed", "Give mismatches only with the status `mismatched`.")]


def _findings_of_time(text: str) -> list[Finding]:
    try:
        is_future = parse_instant(text) > datetime.now(UTC).replace(tzinfo=None) + CLOCK_DIFFERENCE
    except ValueError:
        return [Finding(CHECKED_AT, "invalid-instant", INVALID_INSTANT)]
    return [Finding(CHECKED_AT, "future-instant", "Give the time at which the SAT answered.")] if is_future else []
