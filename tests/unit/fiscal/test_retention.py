"""fiscal.retention: the data of a customer is kept until 30 April of the sixth year after its last invoice."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from customer_service.fiscal.retention import is_future, is_retained, last_unretained, retain_until


@pytest.mark.parametrize(
    ("last_invoiced_on", "expected"),
    [
        ("2026-05-20", "2032-04-30"),
        ("2025-12-31", "2031-04-30"),
        ("2026-01-01", "2032-04-30"),
        ("2026-12-31", "2032-04-30"),
        ("2024-02-29", "2030-04-30"),
        ("2023-02-28", "2029-04-30"),
        ("2026-04-30", "2032-04-30"),
        ("2026-05-01", "2032-04-30"),
        ("0001-01-01", "0007-04-30"),
    ],
)
def test_retain_until(last_invoiced_on: str, expected: str) -> None:
    assert retain_until(date.fromisoformat(last_invoiced_on)).isoformat() == expected


IN_FORCE = [
    ("2026-05-20", "2026-05-20T12:00:00", True),
    ("2026-05-20", "2032-04-30T00:00:00", True),
    ("2026-05-20", "2032-04-30T23:59:59", True),
    ("2026-05-20", "2032-05-01T00:00:00", True),  # 30 April in Tijuana
    ("2026-05-20", "2032-05-01T07:59:59", True),
    ("2026-05-20", "2032-05-01T08:00:00", False),
    ("2026-12-31", "2032-05-01T08:00:00", False),
    ("2027-01-01", "2032-05-01T08:00:00", True),
    ("2025-12-31", "2031-12-31T12:00:00", False),
    ("2026-01-01", "2032-01-01T00:00:00", True),
    ("2024-02-29", "2028-02-29T12:00:00", True),
    ("2024-02-29", "2030-05-01T07:59:59", True),
    ("2024-02-29", "2030-05-01T08:00:00", False),
]
"""The date of the last invoice, a time in UTC, and whether the data must be retained then."""


@pytest.mark.parametrize(("last_invoiced_on", "now", "expected"), IN_FORCE)
def test_retention_is_in_force_through_its_last_day_in_all_of_mexico(
    last_invoiced_on: str, now: str, expected: bool
) -> None:
    moment, day = datetime.fromisoformat(now).replace(tzinfo=UTC), date.fromisoformat(last_invoiced_on)
    assert is_retained(day, moment) is expected
    assert (day > last_unretained(moment)) is expected


@pytest.mark.parametrize(
    ("day", "expected"), [("2024-02-28", False), ("2024-02-29", False), ("2024-03-01", True), ("9999-12-31", True)]
)
def test_a_day_is_in_the_future_if_it_has_not_begun_in_utc(day: str, expected: bool) -> None:
    assert is_future(date.fromisoformat(day), datetime(2024, 2, 29, 0, 0, tzinfo=UTC)) is expected
