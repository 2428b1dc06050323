"""What can go wrong, in the service's own words: one sentence each, and no HTTP."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


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
    """The bearer token is not one that this service accepts; the message is the reason, free of its content."""


class SigningKeysUnavailable(CustomerServiceError):
    """No signing keys could be fetched yet, so no token can be judged."""


class NotAMember(CustomerServiceError):
    """The caller is not a member of the organization."""


class CustomerNotFound(CustomerServiceError):
    """The organization has no customer with this id."""


class MalformedDocument(CustomerServiceError):
    """A stored document lacks a field of the contract or holds it in another type."""

    def __init__(self, field: str) -> None:
        """Keep the name of the offending `field`, never its value."""
        super().__init__(f"field {field}")


class DatabaseUnavailable(CustomerServiceError):
    """MongoDB did not answer within the deadline."""


class DatabaseError(CustomerServiceError):
    """MongoDB refused an operation for a reason that trying again will not mend."""


class NotReady(CustomerServiceError):
    """The service should not be sent requests at the moment."""

    def __init__(self, checks: Mapping[str, str]) -> None:
        """Keep what was found of each dependency."""
        super().__init__(", ".join(name for name, state in checks.items() if state != "ok"))
        self.members = {"checks": checks}
