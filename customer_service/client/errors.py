"""What can go wrong, as exceptions: a class for each problem that a program acts on, the rest by their status."""

from __future__ import annotations

import json
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from customer_service.client.models import Finding, findings_of

if TYPE_CHECKING:
    from collections.abc import Mapping

TYPE_PREFIX = "urn:problem-type:"


class ClientError(Exception):
    """The root of all that the client raises; its message holds no data of a customer."""


class Unreachable(ClientError):
    """The service did not answer within the deadline; whether it did what was asked is not known."""


class UnexpectedAnswer(ClientError):
    """What answered did not speak the contract: another server, perhaps, or a proxy between."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What an answer says of an error (RFC 9457); `slug` and what follows is empty where a proxy answered."""

    status: int
    slug: str = ""
    detail: str = ""
    request_id: str = ""
    errors: tuple[Finding, ...] = ()
    existing: str | None = None
    retry_after: float | None = None


class ProblemError(ClientError):
    """The service refused: its status, kind and detail, and the id by which its log knows the request.

    `errors` says what is wrong with each value, `existing` is the path of the customer in the way, and `retry_after`
    the seconds to wait.
    """

    def __init__(self, problem: Problem) -> None:
        """Keep what the answer says."""
        super().__init__(problem)
        self.status = problem.status
        self.slug = problem.slug
        self.detail = problem.detail
        self.request_id = problem.request_id
        self.errors = problem.errors
        self.existing = problem.existing
        self.retry_after = problem.retry_after

    def __str__(self) -> str:
        """Say what to look for, in one line."""
        codes = ", ".join(f"{each.path} {each.code}" for each in self.errors)
        parts = (f"{self.status} {self.slug}".rstrip(), self.detail, codes, self.request_id and f"id {self.request_id}")
        return " · ".join(part for part in parts if part)


class BadRequest(ProblemError):
    """400: the request cannot be read."""


class Unauthorized(ProblemError):
    """401: there is no token that the service accepts."""


class Forbidden(ProblemError):
    """403: the caller may not do this."""


class NotAMember(Forbidden):
    """The caller is no member of the organization."""


class InsufficientRole(Forbidden):
    """The caller's role in the organization does not allow this."""


class NotFound(ProblemError):
    """404: there is nothing of this name."""


class CustomerNotFound(NotFound):
    """The organization has no such customer."""


class MemberNotFound(NotFound):
    """The organization has no such member."""


class ZipCodeNotFound(NotFound):
    """The SAT has no such zip code."""


class Conflict(ProblemError):
    """409: it is at odds with what is stored."""


class DuplicateTaxId(Conflict):
    """Another customer has this taxId; `existing` is its path."""


class DuplicateExternalId(Conflict):
    """Another customer has this externalId; `existing` is its path."""


class LastAdmin(Conflict):
    """The organization would be left without an admin."""


class RequestInProgress(Conflict):
    """The first request with this idempotency key was still going on at the deadline."""


class CursorExpired(ProblemError):
    """410: what changed since the cursor is not known any more; begin again without one."""


class VersionMismatch(ProblemError):
    """412: the customer is not any more what `if_match` names.

    After a lost answer it may be the caller's own change that is in the way: get the customer, and look.
    """


class Unprocessable(ProblemError):
    """422: the request can be read, but not followed."""


class ValidationFailed(Unprocessable):
    """Some values cannot be accepted; `errors` says which, and what to do."""


class KeyReused(Unprocessable):
    """The idempotency key was used for another body."""


class RateLimited(ProblemError):
    """429: the caller asked too often, and would have to wait beyond the deadline: for `retry_after` seconds."""


class ServerError(ProblemError):
    """500 and above: the service, or a proxy before it, failed."""


class Unavailable(ServerError):
    """503: the service, or its database, could not answer until the deadline."""


BY_SLUG: Mapping[str, type[ProblemError]] = {
    "not-a-member": NotAMember,
    "insufficient-role": InsufficientRole,
    "customer-not-found": CustomerNotFound,
    "member-not-found": MemberNotFound,
    "zip-code-not-found": ZipCodeNotFound,
    "duplicate-tax-id": DuplicateTaxId,
    "duplicate-external-id": DuplicateExternalId,
    "last-admin": LastAdmin,
    "request-in-progress": RequestInProgress,
    "validation-error": ValidationFailed,
    "idempotency-key-reused": KeyReused,
}
BY_STATUS: Mapping[int, type[ProblemError]] = {
    HTTPStatus.BAD_REQUEST: BadRequest,
    HTTPStatus.UNAUTHORIZED: Unauthorized,
    HTTPStatus.FORBIDDEN: Forbidden,
    HTTPStatus.NOT_FOUND: NotFound,
    HTTPStatus.CONFLICT: Conflict,
    HTTPStatus.GONE: CursorExpired,
    HTTPStatus.PRECONDITION_FAILED: VersionMismatch,
    HTTPStatus.UNPROCESSABLE_ENTITY: Unprocessable,
    HTTPStatus.TOO_MANY_REQUESTS: RateLimited,
    HTTPStatus.SERVICE_UNAVAILABLE: Unavailable,
}


def error_of(status: int, headers: Mapping[str, str], body: bytes, now: float) -> ProblemError:
    """Return the exception that an answer of 400 or above is; `now` is in seconds since 1970."""
    told = _object(body)
    problem = Problem(
        status,
        _text(told, "type").removeprefix(TYPE_PREFIX),
        _text(told, "detail"),
        _text(told, "requestId") or headers.get("X-Request-ID", ""),
        _findings(told),
        _text(told, "existing") or None,
        _seconds(headers.get("Retry-After"), now),
    )
    of_status = ServerError if status >= HTTPStatus.INTERNAL_SERVER_ERROR else ProblemError
    return BY_SLUG.get(problem.slug, BY_STATUS.get(status, of_status))(problem)


def _object(body: bytes) -> Mapping[str, Any]:
    """Return the JSON object of the body, or an empty one: a proxy answers HTML."""
    try:
        told = json.loads(body)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _text(told: Mapping[str, Any], name: str) -> str:
    value = told.get(name)
    return value if isinstance(value, str) else ""


def _findings(told: Mapping[str, Any]) -> tuple[Finding, ...]:
    try:
        return findings_of(told.get("errors", []))
    except (TypeError, AttributeError):
        return ()


def _seconds(retry_after: str | None, now: float) -> float | None:
    """Return the seconds of a Retry-After, which may be a date (RFC 9110, section 10.2.3), or None."""
    if retry_after is None:
        return None
    if retry_after.isascii() and retry_after.isdigit():
        return float(retry_after)
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - now)
    except ValueError:
        return None
