"""Findings: what is wrong or doubtful about the values of a request, and the JSON Pointers to these values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import accumulate, takewhile
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Sequence

MAXIMUM_FINDINGS = 100
MAXIMUM_PATH_LENGTH = 200
MAXIMUM_FINDINGS_BYTES = 60_000
"""The most bytes of one error's findings, so that the whole body fits into 65,536 bytes."""

FINDING_MESSAGES = {
    "required": "Give a value.",
    "invalid-type": "Give a value of the documented type.",
    "invalid-length": "Keep within the documented length.",
    "invalid-character": "Remove control characters, and from a key `$` and `.` too.",
    "invalid-value": "Give one of the documented values.",
    "too-many": "Give fewer.",
    "repeated": "Give each customer once: an earlier one has the same key.",
    "unknown-field": "Remove it: there is no such field, or the service sets it.",
}
"""The messages of the findings about a value's shape, by their codes; fiscal.rules has those of its own findings."""


@dataclass(frozen=True, slots=True)
class Finding:
    """An error or a warning about one value of a request.

    `path` is the value's JSON Pointer, `code` a stable slug, `message` the next step, `suggestion` the value to send
    instead, if there is one. The message never holds the value, because it may be logged.
    """

    path: str
    code: str
    message: str
    suggestion: str | None = None

    @classmethod
    def of_shape(cls, path: str, code: str) -> Finding:
        """Return the finding about a value's shape that has this code; FINDING_MESSAGES has its message."""
        return cls(path, code, FINDING_MESSAGES[code])

    def as_json(self) -> dict[str, str]:
        """Return the finding as JSON; a long path is cut, and a missing suggestion is left out."""
        path = self.path
        if len(path) > MAXIMUM_PATH_LENGTH:
            path = f"{path[: MAXIMUM_PATH_LENGTH - 1]}…"
        return {name: value for name, value in {**asdict(self), "path": path}.items() if value is not None}


def serialize_findings(
    findings: Sequence[Finding], maximum_bytes: int = MAXIMUM_FINDINGS_BYTES
) -> list[dict[str, str]]:
    """Return the findings as JSON, within MAXIMUM_FINDINGS and this many bytes.

    If they do not all fit, the last one returned says how many are left out.
    """
    first = [finding.as_json() for finding in findings[:MAXIMUM_FINDINGS]]
    if len(first) == len(findings) and sum(map(_bytes_of, first)) <= maximum_bytes:
        return first
    room = maximum_bytes - _bytes_of(_count_of_rest(len(findings)))
    fitting = sum(1 for _ in takewhile(lambda length: length <= room, accumulate(map(_bytes_of, first[:-1]))))
    return [*first[:fitting], _count_of_rest(len(findings) - fitting)]


def _bytes_of(finding: Mapping[str, str]) -> int:
    """Return the size of the finding in a JSON array, in bytes."""
    return len(orjson.dumps(finding)) + 1


def _count_of_rest(count: int) -> dict[str, str]:
    return Finding("", "more-findings", f"{count:,} more findings are left out: fix the ones above first.").as_json()


def to_pointer(name: str) -> str:
    """Return the JSON Pointer to the member of this name (RFC 6901, section 3)."""
    return "/" + name.replace("~", "~0").replace("/", "~1")


def value_at(document: object, pointer: str) -> Any:
    """Return the value that the JSON Pointer refers to inside objects, or None if there is none."""
    value = document
    for name in _names_in(pointer):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


@lru_cache(128)
def _names_in(pointer: str) -> list[str]:
    return [name.replace("~1", "/").replace("~0", "~") for name in pointer.split("/")[1:]]
