"""Who may go on: from the bearer header to the organization that the caller is a member of."""

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

BEARER = re.compile(r"bearer(?: +(?P<token>.*))?", re.IGNORECASE | re.DOTALL)


def init_app(app: Flask, verifier: TokenVerifier, memberships: MembershipRepository) -> None:
    """Give the application what `authorize` asks."""
    app.extensions["verifier"] = verifier
    app.extensions["memberships"] = memberships


def authorize(organization_id: str, role: Role) -> None:
    """Let the request go on if its caller is a member of the organization in this role or a higher one.

    Raises AuthenticationRequired, InvalidToken, ExpiredToken, SigningKeysUnavailable, RateLimited, NotAMember,
    InsufficientRole or DatabaseUnavailable: a caller without a valid token makes no query, a stranger learns nothing of
    the organization.
    """
    membership = current_app.extensions["memberships"].find(authenticate(), organization_id)
    if membership is None:
        raise NotAMember
    if ROLES.index(membership.role) < ROLES.index(role):
        raise InsufficientRole
    g.membership = membership


def current_membership() -> Membership:
    """Return the caller's membership of the organization of this request."""
    return cast("Membership", g.membership)


def membership_check() -> Callable[[], None]:
    """Return what raises NotAMember once the caller's membership has ended; it may be called outside the request."""
    memberships: MembershipRepository = current_app.extensions["memberships"]
    membership = current_membership()

    def confirm() -> None:
        if memberships.find(membership.user_id, membership.scope) is None:
            raise NotAMember

    return confirm


def authenticate() -> str:
    """Return the caller of the request, which is counted; raises as `authorize`, before it looks at memberships."""
    subject: str = current_app.extensions["verifier"].verify(_bearer_token())
    rate_limits.consume(subject)
    return subject


def _bearer_token() -> str:
    """Return the token of the Authorization header (RFC 6750, section 2.1)."""
    credentials = BEARER.fullmatch(request.environ.get("HTTP_AUTHORIZATION", "").strip(" \t"))
    if credentials is None or not credentials["token"]:
        raise AuthenticationRequired
    return credentials["token"]
