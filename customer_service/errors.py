"""What can go wrong, in the service's own words: one sentence each, and no HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import accumulate, takewhile
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Sequence

MAXIMUM_FINDINGS = 100
MAXIMUM_PATH_LENGTH = 200
MAXIMUM_FINDINGS_BYTES = 60_000
"""The longest findings of one error: the rest of its body fits into the other 5,536 of 65,536 bytes."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with one value: `path` is its JSON Pointer, `code` a stable slug, `message` the next step.

    `suggestion` is the value to send instead, if there is one. The message never holds a value: it may be logged.
    """

    path: str
    code: str
    message: str
    suggestion: str | None = None

    def as_json(self) -> dict[str, str]:
        """Return the finding as it is answered, without a suggestion if there is none, its path cut if it is long."""
        path = self.path
        if len(path) > MAXIMUM_PATH_LENGTH:
            path = f"{path[: MAXIMUM_PATH_LENGTH - 1]}…"
        return {name: value for name, value in {**asdict(self), "path": path}.items() if value is not None}


def serialize_findings(
    findings: Sequence[Finding], maximum_bytes: int = MAXIMUM_FINDINGS_BYTES
) -> list[dict[str, str]]:
    """Return the findings for an answer: at most 100 and so many bytes of JSON, the last of which counts the rest."""
    first = [finding.as_json() for finding in findings[:MAXIMUM_FINDINGS]]
    if len(first) == len(findings) and sum(map(_bytes_of, first)) <= maximum_bytes:
        return first
    room = maximum_bytes - _bytes_of(_count_of_rest(len(findings)))
    fitting = sum(1 for _ in takewhile(lambda length: length <= room, accumulate(map(_bytes_of, first[:-1]))))
    return [*first[:fitting], _count_of_rest(len(findings) - fitting)]


def _bytes_of(finding: Mapping[str, str]) -> int:
    """Return how many bytes the finding takes in a JSON array."""
    return len(orjson.dumps(finding)) + 1


def _count_of_rest(count: int) -> dict[str, str]:
    return Finding("", "more-findings", f"{count:,} more findings are left out: mend the others first.").as_json()


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


class CustomerServiceError(Exception):
    """The root of every error that the service raises on purpose.

    Its message is for the log and holds no data; `members` is what its caller may know beyond its kind.
    """

    members: Mapping[str, object] = MappingProxyType({})


class SettingsError(CustomerServiceError):
    """A setting is missing or wrong; the message names it and never holds its value."""


class AuthenticationRequired(CustomerServiceError):
    """The request carries no bearer token."""


class InvalidToken(CustomerServiceError):
    """The bearer token is not one that this service accepts.

    The message is the reason, free of the token's content but for an issuer or audience that is wrong.
    """


class ExpiredToken(InvalidToken):
    """The bearer token was valid until it expired."""


class SigningKeysUnavailable(CustomerServiceError):
    """No key that verifies tokens is available, so no token can be judged."""


class NotAMember(CustomerServiceError):
    """The caller is not a member of the organization."""


class InsufficientRole(CustomerServiceError):
    """The member's role does not allow this."""


class RateLimited(CustomerServiceError):
    """The caller made more requests in this minute than the settings allow."""


class CustomerNotFound(CustomerServiceError):
    """The organization has no customer with this id."""


class ZipCodeNotFound(CustomerServiceError):
    """The SAT has no such postal code."""


class MalformedDocument(CustomerServiceError):
    """A stored document lacks a field of the contract or holds it in another type."""

    def __init__(self, field: str) -> None:
        """Keep the name of the offending `field`, never its value."""
        super().__init__(f"field {field}")


class MemberNotFound(CustomerServiceError):
    """The organization has no member with this user id."""


class LastAdmin(CustomerServiceError):
    """The organization would be left without an admin."""


class InvalidRequest(CustomerServiceError):
    """The request can be read, but not followed."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        """Keep what is wrong, value by value."""
        super().__init__(", ".join(sorted({finding.code for finding in findings})))
        self.findings = findings
        self.members = {"errors": serialize_findings(findings)}


class Duplicate(CustomerServiceError):
    """Another living customer of the organization has this key."""

    def __init__(self, organization_id: str, customer_id: str) -> None:
        """Keep where the other customer is."""
        super().__init__()
        self.organization_id = organization_id
        self.customer_id = customer_id


class DuplicateTaxId(Duplicate):
    """Another living customer of the organization has this tax id."""


class DuplicateExternalId(Duplicate):
    """Another living customer of the organization has this external id."""


class VersionMismatch(CustomerServiceError):
    """The customer is not any more what the caller knows."""


class KeyReused(CustomerServiceError):
    """The idempotency key was used for another body."""


class RequestInProgress(CustomerServiceError):
    """The first request with this idempotency key is not done yet."""


class ChangesUnsupported(CustomerServiceError):
    """The database does not tell what changes: it is no replica set."""


class CursorExpired(CustomerServiceError):
    """What changed since this cursor is not known any more."""


class DatabaseUnavailable(CustomerServiceError):
    """MongoDB did not answer within the deadline."""


class DatabaseError(CustomerServiceError):
    """MongoDB refused an operation for a reason that trying again will not mend."""


class IndexesMissing(CustomerServiceError):
    """The database lacks an index by which the operation reads."""


class Overloaded(CustomerServiceError):
    """As many requests wait as can be answered in time."""


class RequestTimeout(CustomerServiceError):
    """The request did not arrive whole within its time."""


class NotReady(CustomerServiceError):
    """The service should not be sent requests at the moment."""

    def __init__(self, checks: Mapping[str, str]) -> None:
        """Keep what was found of each dependency."""
        super().__init__(", ".join(name for name, state in checks.items() if state != "ok"))
        self.members = {"checks": checks}
