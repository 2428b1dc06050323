"""Times as RFC 3339 has them: parsed from requests, and formatted for responses."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

INSTANT = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,9})?(Z|[+-]\d\d:[0-5]\d)", re.ASCII)
MICROSECONDS_PER_MILLISECOND = 1_000
NANOSECONDS_PER_MILLISECOND = 1_000_000
INVALID_INSTANT = "Give a time as in RFC 3339, such as 2025-01-26T10:00:00Z."


def parse_instant(value: str, *, round_up: bool = False) -> datetime:
    """Return a time of RFC 3339 as MongoDB stores it; raises ValueError.

    It is naive UTC, in milliseconds, rounded down, or up with `round_up`.
    """
    match = INSTANT.fullmatch(value)
    if match is None:
        raise ValueError
    second, fraction, offset = match.groups()
    nanoseconds = int((fraction or ".")[1:].ljust(9, "0"))
    milliseconds = (
        -(-nanoseconds // NANOSECONDS_PER_MILLISECOND) if round_up else nanoseconds // NANOSECONDS_PER_MILLISECOND
    )
    try:
        moment = datetime.fromisoformat(second + offset).astimezone(UTC).replace(tzinfo=None)
        return moment + timedelta(milliseconds=milliseconds)
    except OverflowError:
        raise ValueError from None


def format_instant(moment: datetime) -> str:
    """Return the time in UTC with `Z`: in milliseconds, or in seconds if they are whole; a naive time is UTC."""
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC).replace(tzinfo=None)
    timespec = "milliseconds" if moment.microsecond >= MICROSECONDS_PER_MILLISECOND else "seconds"
    return f"{moment.isoformat(timespec=timespec)}Z"
