"""Authorization: from the bearer token to the caller's membership of the organization."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast

from flask import current_app, g, request

from customer_service.auth import rate_limits
from customer_service.errors import AuthenticationRequired, InsufficientRole, NotAMember
from customer_service.roles import ROLES

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask

    from customer_service.auth.tokens import TokenVerifier
    from customer_service.repository import Membership, MembershipRepository
    from customer_service.roles import Role

BEARER_CREDENTIALS = re.compile(r"bearer(?: +(?P<token>.*))?", re.IGNORECASE | re.DOTALL)


def init_app(app: Flask, verifier: TokenVerifier, memberships: MembershipRepository) -> None:
    """Add the token verifier and the memberships to the application."""
    app.extensions["verifier"] = verifier
    app.extensions["memberships"] = memberships


def authorize(organization_id: str, role: Role) -> None:
    """Require that the caller is a member of the organization with this role or a higher one.

    Raises AuthenticationRequired, InvalidToken, ExpiredToken, SigningKeysUnavailable, RateLimited, NotAMember,
    InsufficientRole or DatabaseUnavailable. A caller without a valid token causes no query. A caller without a
    membership gets the same error whether or not the organization exists.
    """
    membership = current_app.extensions["memberships"].find(authenticate(), organization_id)
    if membership is None:
        raise NotAMember
    g.membership = membership
    if not has_role(role):
        raise InsufficientRole


def has_role(role: Role) -> bool:
    """Return whether the caller has this role or a higher one in the request's organization."""
    return ROLES.index(current_membership().role) >= ROLES.index(role)


def current_membership() -> Membership:
    """Return the caller's membership of the request's organization."""
    return cast("Membership", g.membership)


def membership_check() -> Callable[[], None]:
    """Return a function that raises NotAMember if the caller's membership has ended; it works outside the request."""
    memberships: MembershipRepository = current_app.extensions["memberships"]
    membership = current_membership()

    def check() -> None:
        if memberships.find(membership.user_id, membership.scope) is None:
            raise NotAMember

    return check


def authenticate() -> str:
    """Return the caller's user id, and count the request; raises the errors of `authorize` about tokens and limits."""
    subject: str = current_app.extensions["verifier"].verify(_bearer_token())
    rate_limits.consume(subject)
    return subject


def _bearer_token() -> str:
    """Return the token of the Authorization header (RFC 6750, section 2.1)."""
    credentials = BEARER_CREDENTIALS.fullmatch(request.environ.get("HTTP_AUTHORIZATION", "").strip(" \t"))
    if credentials is None or not credentials["token"]:
        raise AuthenticationRequired
    return credentials["token"]
