"""Who may go on: from the bearer header to the organization that the caller is a member of."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast

from flask import current_app, g, request

from customer_service.errors import AuthenticationRequired, NotAMember

if TYPE_CHECKING:
    from flask import Flask

    from customer_service.repository import Membership, MembershipRepository, OrganizationScope
    from customer_service.tokens import TokenVerifier

BEARER = re.compile(r"bearer(?: +(?P<token>.*))?", re.IGNORECASE | re.DOTALL)


def init_app(app: Flask, verifier: TokenVerifier, memberships: MembershipRepository) -> None:
    """Give the application what `authorize` asks."""
    app.extensions["verifier"] = verifier
    app.extensions["memberships"] = memberships


def authorize(organization_id: str) -> None:
    """Let the request go on if its caller is a member of the organization.

    Raises AuthenticationRequired, InvalidToken, SigningKeysUnavailable, NotAMember or DatabaseUnavailable, in
    this order: a caller without a valid token makes no query, and a stranger learns nothing of the organization.
    """
    subject = current_app.extensions["verifier"].verify(_bearer_token())
    membership = current_app.extensions["memberships"].find(subject, organization_id)
    if membership is None:
        raise NotAMember
    g.membership = membership


def current_scope() -> OrganizationScope:
    """Return the organization that the caller of this request was found to be a member of."""
    return cast("Membership", g.membership).scope


def _bearer_token() -> str:
    """Return the token of the Authorization header (RFC 6750, section 2.1)."""
    credentials = BEARER.fullmatch(request.headers.get("Authorization", "").strip(" \t"))
    if credentials is None or not credentials["token"]:
        raise AuthenticationRequired
    return credentials["token"]
