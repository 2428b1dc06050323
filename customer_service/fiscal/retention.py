"""How long the tax law keeps a customer's data (Código Fiscal de la Federación, article 30)."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

TAX_LAW = "Código Fiscal de la Federación, art. 30"
YEARS_AFTER_RETURN = 5
"""The years for which the records of a tax year are kept, after its return was due."""

RETURN_DUE = (4, 30)
"""The month and the day by which the return of a tax year is due, in the year after it.

Persons file by this day, companies by 31 March: the later one is safe for both.
"""

WESTERNMOST = timezone(timedelta(hours=-8))
"""The time zone of Mexico in which a day ends last."""


def retain_until(last_invoiced_on: date) -> date:
    """Return the last day on which the data of a customer must be retained, given the date of its last invoice."""
    return date(last_invoiced_on.year + 1 + YEARS_AFTER_RETURN, *RETURN_DUE)


def is_retained(last_invoiced_on: date, now: datetime) -> bool:
    """Return whether the data must still be retained at this time, wherever in Mexico the issuer is."""
    return now.astimezone(WESTERNMOST).date() <= retain_until(last_invoiced_on)


def last_unretained(now: datetime) -> date:
    """Return the latest date of a last invoice for which the data need no longer be retained at this time."""
    today = now.astimezone(WESTERNMOST).date()
    is_over = (today.month, today.day) > RETURN_DUE
    return date(today.year - 1 - YEARS_AFTER_RETURN - (not is_over), 12, 31)


def is_future(day: date, now: datetime) -> bool:
    """Return whether the day has not begun in UTC, where it begins before it does in Mexico."""
    return day > now.astimezone(UTC).date()
