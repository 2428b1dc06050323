"""Every problem type that a response can have (RFC 9457), and the problem type of each error."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import TYPE_CHECKING

from customer_service import errors
from customer_service.web.limits import (
    MAXIMUM_BODY_BYTES,
    MAXIMUM_BODY_SECONDS,
    MAXIMUM_HEAD_BYTES,
    MAXIMUM_HEADER_FIELD_BYTES,
    MAXIMUM_HEADER_FIELDS,
    MAXIMUM_REQUEST_LINE_BYTES,
)

if TYPE_CHECKING:
    from collections.abc import Mapping


PROBLEM_MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:problem-type:"
RETRY_AFTER = {"Retry-After": "1"}
EXISTING_EXAMPLE = {
    "existing": "/organizations/550e8400-e29b-41d4-a716-446655440000/customers/590ce6c56d04f840aa8438af"
}


@dataclass(frozen=True, slots=True)
class ProblemType:
    """A problem type: the slug at the end of its URN, its status, detail and headers, and an example of its members."""

    slug: str
    status: HTTPStatus
    detail: str
    headers: Mapping[str, str] = field(default_factory=dict)
    example: Mapping[str, object] = field(default_factory=dict)

    def body(self, **members: object) -> dict[str, object]:
        """Return the members of a problem of this type, and those of one occurrence."""
        return {
            "type": TYPE_PREFIX + self.slug,
            "title": self.status.phrase,
            "status": self.status.value,
            "detail": self.detail,
            **members,
        }


BODY_TOO_LARGE = ProblemType(
    "request-entity-too-large",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    f"The body has more than {MAXIMUM_BODY_BYTES:,} bytes.",
)

OVERLOADED = ProblemType(
    "overloaded",
    HTTPStatus.SERVICE_UNAVAILABLE,
    "More requests wait than can be answered in time; nothing was done. Try again.",
    RETRY_AFTER,
)
REQUEST_TIMEOUT = ProblemType(
    "request-timeout",
    HTTPStatus.REQUEST_TIMEOUT,
    f"The body did not arrive completely within {MAXIMUM_BODY_SECONDS} seconds.",
)

INVALID_TOKEN = ProblemType(
    "invalid-token",
    HTTPStatus.UNAUTHORIZED,
    "Authentication required.",
    {"WWW-Authenticate": 'Bearer error="invalid_token"'},  # RFC 6750, section 3.1
)
DATABASE_ERROR = ProblemType("database-error", HTTPStatus.INTERNAL_SERVER_ERROR, "The database refused the operation.")
EXPIRED_TOKEN_HEADERS = {"WWW-Authenticate": 'Bearer error="invalid_token", error_description="The token expired."'}

PROBLEMS: dict[type[errors.CustomerServiceError], ProblemType] = {
    errors.AuthenticationRequired: ProblemType(
        "authentication-required",
        HTTPStatus.UNAUTHORIZED,
        "Authentication required.",
        {"WWW-Authenticate": "Bearer"},
    ),
    errors.InvalidToken: INVALID_TOKEN,
    errors.ExpiredToken: replace(INVALID_TOKEN, headers=EXPIRED_TOKEN_HEADERS),
    errors.RateLimited: ProblemType(
        "rate-limited",
        HTTPStatus.TOO_MANY_REQUESTS,
        "You made more requests in this minute than you may. Wait for the seconds of `Retry-After`.",
        RETRY_AFTER,
    ),
    errors.NotAMember: ProblemType("not-a-member", HTTPStatus.FORBIDDEN, "User is not a member of this organization."),
    errors.CustomerNotFound: ProblemType("customer-not-found", HTTPStatus.NOT_FOUND, "Customer not found."),
    errors.ZipCodeNotFound: ProblemType("zip-code-not-found", HTTPStatus.NOT_FOUND, "Zip code not found."),
    errors.InsufficientRole: ProblemType(
        "insufficient-role",
        HTTPStatus.FORBIDDEN,
        "The member's role does not allow this.",
        {"WWW-Authenticate": 'Bearer error="insufficient_scope"'},
    ),
    errors.MemberNotFound: ProblemType("member-not-found", HTTPStatus.NOT_FOUND, "Member not found."),
    errors.InvalidRequest: ProblemType(
        "validation-error",
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "Some values cannot be accepted; `errors` says which, and what to do.",
        example={"errors": [{"path": "/address/zip", "code": "invalid-zip", "message": "Give the five digits."}]},
    ),
    errors.VersionMismatch: ProblemType(
        "version-mismatch",
        HTTPStatus.PRECONDITION_FAILED,
        "If-Match or If-None-Match refuses the customer's current state. Get it again, and repeat your change on that.",
    ),
    errors.DuplicateTaxId: ProblemType(
        "duplicate-tax-id",
        HTTPStatus.CONFLICT,
        "Another customer of the organization has this taxId; `existing` is its path.",
        example=EXISTING_EXAMPLE,
    ),
    errors.DuplicateExternalId: ProblemType(
        "duplicate-external-id",
        HTTPStatus.CONFLICT,
        "Another customer of the organization has this externalId; `existing` is its path.",
        example=EXISTING_EXAMPLE,
    ),
    errors.LastAdmin: ProblemType(
        "last-admin", HTTPStatus.CONFLICT, "An organization keeps at least one admin. Appoint another first."
    ),
    errors.KeyReused: ProblemType(
        "idempotency-key-reused",
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "This Idempotency-Key was used for another body. Use a new one.",
    ),
    errors.RequestInProgress: ProblemType(
        "request-in-progress",
        HTTPStatus.CONFLICT,
        "The first request with this Idempotency-Key is still running. Try again.",
        RETRY_AFTER,
    ),
    errors.MalformedDocument: ProblemType(
        "malformed-document",
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "The stored customer does not have the documented shape; the log names the field.",
    ),
    errors.ChangesUnsupported: ProblemType(
        "changes-unsupported",
        HTTPStatus.NOT_IMPLEMENTED,
        "The change feed needs a MongoDB replica set, and this database is none. List the customers instead.",
    ),
    errors.CursorExpired: ProblemType(
        "cursor-expired",
        HTTPStatus.GONE,
        "The changes after this cursor are no longer stored. Begin again without a cursor.",
    ),
    errors.DatabaseUnavailable: ProblemType(
        "database-unavailable",
        HTTPStatus.SERVICE_UNAVAILABLE,
        "The database did not answer in time. Try again.",
        RETRY_AFTER,
    ),
    errors.DatabaseError: DATABASE_ERROR,
    errors.DocumentRefused: DATABASE_ERROR,
    errors.IndexesMissing: ProblemType(
        "indexes-missing",
        HTTPStatus.SERVICE_UNAVAILABLE,
        "The database lacks an index of the service: its operator must run `customer-service indexes`.",
        RETRY_AFTER,
    ),
    errors.SigningKeysUnavailable: ProblemType(
        "signing-keys-unavailable",
        HTTPStatus.SERVICE_UNAVAILABLE,
        "No key that verifies tokens is available. Try again.",
        RETRY_AFTER,
    ),
    errors.NotReady: ProblemType(
        "not-ready",
        HTTPStatus.SERVICE_UNAVAILABLE,
        "Send the service no requests now; `checks` says why.",
        RETRY_AFTER,
        {
            "checks": {
                "server": "ok",
                "mongodb": "unavailable",
                "rights": "ok",
                "indexes": "ok",
                "signingKeys": "ok",
            }
        },
    ),
    errors.Overloaded: OVERLOADED,
    errors.RequestTimeout: REQUEST_TIMEOUT,
}
"""The problem type of each of the service's errors; the details of 401, 403 and 404 are the specification's."""

UNREADABLE = ProblemType("bad-request", HTTPStatus.BAD_REQUEST, "The request cannot be read.")
FRAMEWORK_PROBLEMS: dict[HTTPStatus, ProblemType] = {
    problem.status: problem
    for problem in (
        UNREADABLE,
        ProblemType("not-found", HTTPStatus.NOT_FOUND, "There is nothing at this path."),
        ProblemType("method-not-allowed", HTTPStatus.METHOD_NOT_ALLOWED, "Use a method that `Allow` names."),
        BODY_TOO_LARGE,
        ProblemType("unsupported-media-type", HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Send a documented media type."),
    )
}
"""The problem types of the framework's errors by their status; any other status is a fault of the service."""

SERVER_PROBLEMS: dict[str, ProblemType] = {
    "LimitRequestLine": ProblemType(
        "uri-too-long",
        HTTPStatus.REQUEST_URI_TOO_LONG,
        f"The request line has more than {MAXIMUM_REQUEST_LINE_BYTES:,} bytes.",
    ),
    "LimitRequestHeaders": ProblemType(
        "request-header-fields-too-large",
        HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
        f"There are more than {MAXIMUM_HEADER_FIELDS} header fields, one has more than"
        f" {MAXIMUM_HEADER_FIELD_BYTES:,} bytes, or all have more than {MAXIMUM_HEAD_BYTES:,}.",
    ),
    "ExpectationFailed": ProblemType(
        "expectation-failed", HTTPStatus.EXPECTATION_FAILED, "Expect nothing but `100-continue`."
    ),
    "UnsupportedTransferCoding": ProblemType(
        "not-implemented", HTTPStatus.NOT_IMPLEMENTED, "Use no transfer coding but `chunked`."
    ),
}
"""The problem types of the errors of gunicorn's parser by their class names; any other one is UNREADABLE."""

INTERNAL_ERROR = ProblemType(
    "internal-error",
    HTTPStatus.INTERNAL_SERVER_ERROR,
    "The service failed. The operator finds the cause in the log by `requestId`.",
)

ALL_PROBLEMS = (*PROBLEMS.values(), *FRAMEWORK_PROBLEMS.values(), *SERVER_PROBLEMS.values(), INTERNAL_ERROR)
