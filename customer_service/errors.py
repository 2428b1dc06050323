"""The exceptions of the service, and the findings about a request's values; nothing here knows HTTP."""

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
"""The most bytes of one error's findings, so that the whole body fits into 65,536 bytes."""


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
    """The base class of every error that the service raises.

    Its message is for the log and holds no data. `members` are further members of the problem document.
    """

    members: Mapping[str, object] = MappingProxyType({})


class SettingsError(CustomerServiceError):
    """A setting is missing or wrong; the message names it and never holds its value."""


class AuthenticationRequired(CustomerServiceError):
    """The request carries no bearer token."""


class InvalidToken(CustomerServiceError):
    """The service does not accept the bearer token.

    The message is the reason. Of the token's content it holds at most a wrong issuer or audience.
    """


class ExpiredToken(InvalidToken):
    """The bearer token has expired, and is valid otherwise."""


class SigningKeysUnavailable(CustomerServiceError):
    """No signing key is available, so no token can be verified."""


class NotAMember(CustomerServiceError):
    """The caller is not a member of the organization."""


class InsufficientRole(CustomerServiceError):
    """The member's role does not allow this operation."""


class RateLimited(CustomerServiceError):
    """The caller has made more requests in this minute than the settings allow."""


class CustomerNotFound(CustomerServiceError):
    """The organization has no customer with this id."""


class ZipCodeNotFound(CustomerServiceError):
    """The SAT has no such postal code."""


class MalformedDocument(CustomerServiceError):
    """A stored document lacks a required field, or one of its fields has the wrong type."""

    def __init__(self, field: str) -> None:
        """Store the name of the `field`, never its value."""
        super().__init__(f"field {field}")


class MemberNotFound(CustomerServiceError):
    """The organization has no member with this user id."""


class LastAdmin(CustomerServiceError):
    """The change would leave the organization without an admin."""


class InvalidRequest(CustomerServiceError):
    """The request is well-formed, but some of its values are not valid."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        """Store the findings, one for each wrong value."""
        super().__init__(", ".join(sorted({finding.code for finding in findings})))
        self.findings = findings
        self.members = {"errors": serialize_findings(findings)}


class Duplicate(CustomerServiceError):
    """Another active customer of the organization has this unique key."""

    def __init__(self, organization_id: str, customer_id: str) -> None:
        """Store the organization and the id of the other customer."""
        super().__init__()
        self.organization_id = organization_id
        self.customer_id = customer_id


class DuplicateTaxId(Duplicate):
    """Another active customer of the organization has this tax id."""


class DuplicateExternalId(Duplicate):
    """Another active customer of the organization has this external id."""


class VersionMismatch(CustomerServiceError):
    """The customer has changed since the caller read it."""


class KeyReused(CustomerServiceError):
    """The idempotency key was used with another body."""


class RequestInProgress(CustomerServiceError):
    """The first request with this idempotency key is still running."""


class ChangesUnsupported(CustomerServiceError):
    """The database has no change streams: it is not a replica set."""


class CursorExpired(CustomerServiceError):
    """The changes after this cursor are no longer available."""


class DatabaseUnavailable(CustomerServiceError):
    """MongoDB did not answer within the deadline."""


class DatabaseError(CustomerServiceError):
    """MongoDB refused an operation, and a retry will not help."""


class IndexesMissing(CustomerServiceError):
    """The database lacks an index by which the operation reads."""


class Overloaded(CustomerServiceError):
    """The queue of waiting requests is full (admission control)."""


class RequestTimeout(CustomerServiceError):
    """The request did not arrive completely within its time limit."""


class NotReady(CustomerServiceError):
    """The service is not ready for requests at the moment."""

    def __init__(self, checks: Mapping[str, str]) -> None:
        """Store the state of each dependency."""
        super().__init__(", ".join(name for name, state in checks.items() if state != "ok"))
        self.members = {"checks": checks}
