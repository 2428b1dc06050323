"""The exceptions of the service; nothing here knows HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from customer_service.errors.findings import serialize_findings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from customer_service.errors.findings import Finding


class CustomerServiceError(Exception):
    """The base class of every error that the service raises; its message is for the log and holds no data."""

    @property
    def members(self) -> Mapping[str, object]:
        """Further members of the problem document."""
        return {}


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

    @property
    def members(self) -> Mapping[str, object]:
        """The findings."""
        return {"errors": serialize_findings(self.findings)}


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


class DocumentRefused(DatabaseError):
    """MongoDB refused a document for what is in it, such as a key that another program's unique index has already.

    It may accept other documents.
    """


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
        super().__init__("; ".join(f"{name}: {state}" for name, state in checks.items() if state != "ok"))
        self.checks = checks

    @property
    def members(self) -> Mapping[str, object]:
        """The state of each dependency."""
        return {"checks": self.checks}
