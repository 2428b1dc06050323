"""The exceptions of the client: a class for each problem that a program acts on, the others by their status."""

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
    """The base class of every exception of the client; its message holds no data of a customer."""


class Unreachable(ClientError):
    """The service did not answer within the deadline; a write may have succeeded or not."""


class UnexpectedAnswer(ClientError):
    """The answer is not one of the contract: another server may have sent it, or a proxy between."""


@dataclass(eq=False)
class ProblemError(ClientError):
    """The service refused: `status`, `slug` and `detail`, and the `request_id` that its log has too (RFC 9457).

    `errors` are the findings about the values, `existing` is the path of the customer that conflicts, and `retry_after`
    the seconds to wait. All but `status` may be empty if a proxy answered.
    """

    status: int
    slug: str = ""
    detail: str = ""
    request_id: str = ""
    errors: tuple[Finding, ...] = ()
    existing: str | None = None
    retry_after: float | None = None

    def __str__(self) -> str:
        """Return one line to search the log for."""
        codes = ", ".join(f"{each.path} {each.code}" for each in self.errors)
        parts = (f"{self.status} {self.slug}".rstrip(), self.detail, codes, self.request_id and f"id {self.request_id}")
        line = " · ".join(part for part in parts if part)
        return " ".join("".join(each if each.isprintable() else " " for each in line).split())


class BadRequest(ProblemError):
    """400: the request cannot be read."""


class Unauthorized(ProblemError):
    """401: the token is missing, or the service does not accept it."""


class Forbidden(ProblemError):
    """403: the caller has no permission."""


class NotAMember(Forbidden):
    """The caller is no member of the organization."""


class InsufficientRole(Forbidden):
    """The caller's role in the organization does not allow this."""


class NotFound(ProblemError):
    """404: the resource does not exist."""


class CustomerNotFound(NotFound):
    """The organization has no such customer."""


class MemberNotFound(NotFound):
    """The organization has no such member."""


class ZipCodeNotFound(NotFound):
    """The SAT has no such zip code."""


class Conflict(ProblemError):
    """409: the request conflicts with stored data."""


class DuplicateTaxId(Conflict):
    """Another customer has this taxId; `existing` is its path."""


class DuplicateExternalId(Conflict):
    """Another customer has this externalId; `existing` is its path."""


class LastAdmin(Conflict):
    """The organization would be left without an admin."""


class RequestInProgress(Conflict):
    """The first request with this idempotency key was still in progress at the deadline."""


class CursorExpired(ProblemError):
    """410: the changes since the cursor are no longer available; begin again without a cursor."""


class VersionMismatch(ProblemError):
    """412: the customer has changed since the ETag of `if_match`.

    After a lost answer the change may be the caller's own: get the customer, and compare.
    """


class Unprocessable(ProblemError):
    """422: the request can be parsed, but not processed."""


class ValidationFailed(Unprocessable):
    """Some values are invalid; `errors` has a finding for each, with what to do."""


class KeyReused(Unprocessable):
    """The idempotency key was used for another body."""


class RateLimited(ProblemError):
    """429: the caller sent too many requests, and `retry_after` seconds are beyond the deadline."""


class ServerError(ProblemError):
    """500 and above: the service failed, or a proxy in front of it."""


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
    """Return the exception for an answer of 400 or above; `now` is in seconds since 1970."""
    retry_after = _seconds(headers.get("Retry-After"), now)
    return problem_of(status, _object(body), headers.get("X-Request-ID", ""), retry_after)


def problem_of(
    status: int, body: Mapping[str, Any], request_id: str = "", retry_after: float | None = None
) -> ProblemError:
    """Return the exception for a problem, whose body may have none of its members."""
    slug = _text(body, "type").removeprefix(TYPE_PREFIX)
    of_status = ServerError if status >= HTTPStatus.INTERNAL_SERVER_ERROR else ProblemError
    return BY_SLUG.get(slug, BY_STATUS.get(status, of_status))(
        status,
        slug,
        _text(body, "detail"),
        _text(body, "requestId") or request_id,
        _findings(body),
        _text(body, "existing") or None,
        retry_after,
    )


def _object(body: bytes) -> Mapping[str, Any]:
    """Return the JSON object of the body, or an empty one: a proxy answers HTML."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _text(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name)
    return value if isinstance(value, str) else ""


def _findings(body: Mapping[str, Any]) -> tuple[Finding, ...]:
    try:
        return findings_of(body.get("errors", []))
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
    except (ValueError, OverflowError):
        return None
