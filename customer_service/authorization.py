"""Who may go on: from the bearer header to the organization that the caller is a member of."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast

from flask import Blueprint, current_app, g, request
from flask.globals import request_ctx
from werkzeug.exceptions import NotFound

from customer_service import rate_limits
from customer_service.errors import AuthenticationRequired, InsufficientRole, NotAMember
from customer_service.operations import role_of
from customer_service.roles import ROLES

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask

    from customer_service.repository import Membership, MembershipRepository
    from customer_service.roles import Role
    from customer_service.tokens import TokenVerifier

REPLACEMENT = "\ufffd"
BEARER = re.compile(r"bearer(?: +(?P<token>.*))?", re.IGNORECASE | re.DOTALL)


def init_app(app: Flask, verifier: TokenVerifier, memberships: MembershipRepository) -> None:
    """Give the application what `authorize` asks."""
    app.extensions["verifier"] = verifier
    app.extensions["memberships"] = memberships


def guarded_blueprint(name: str) -> Blueprint:
    """Return a blueprint of an organization's routes, which lets only members in whose role the route allows.

    It takes the organization out of the views' arguments: they have it from `current_membership`.
    """
    blueprint = Blueprint(name, __name__, url_prefix="/organizations/<organization_id>")
    blueprint.before_request(_guard)
    return blueprint


def token_blueprint(name: str, prefix: str) -> Blueprint:
    """Return a blueprint of routes of no organization, which any caller with a valid token may call."""
    blueprint = Blueprint(name, __name__, url_prefix=prefix)
    blueprint.before_request(_require_token)
    return blueprint


def authorize(organization_id: str, role: Role) -> None:
    """Let the request go on if its caller is a member of the organization in this role or a higher one.

    Raises AuthenticationRequired, InvalidToken, ExpiredToken, SigningKeysUnavailable, RateLimited, NotAMember,
    InsufficientRole or DatabaseUnavailable: a caller without a valid token makes no query, a stranger learns nothing of
    the organization.
    """
    membership = current_app.extensions["memberships"].find(_authenticate(), organization_id)
    if membership is None:
        raise NotAMember
    if ROLES.index(membership.role) < ROLES.index(role):
        raise InsufficientRole
    g.membership = membership


def current_membership() -> Membership:
    """Return the caller's membership of the organization of this request."""
    return cast("Membership", g.membership)


def still_a_member() -> Callable[[], None]:
    """Return what raises NotAMember once the caller's membership has ended; it may be called outside the request."""
    memberships: MembershipRepository = current_app.extensions["memberships"]
    membership = current_membership()

    def confirm() -> None:
        if memberships.find(membership.user_id, membership.scope) is None:
            raise NotAMember

    return confirm


def _authenticate() -> str:
    """Return the caller of the request, which is counted; raises as `authorize`, before it looks at memberships."""
    subject: str = current_app.extensions["verifier"].verify(_bearer_token())
    rate_limits.spend(subject)
    return subject


def _require_token() -> None:
    _authenticate()


def _guard() -> None:
    asked = request_ctx.request
    view = current_app.view_functions[asked.endpoint or ""]
    authorize((asked.view_args or {}).pop("organization_id"), role_of(view))
    if REPLACEMENT in asked.path and not _is_utf8(asked.environ["PATH_INFO"]):
        raise NotFound


def _is_utf8(path: str) -> bool:
    """Whether the bytes of a path, as WSGI passes them, are text: others become one and the same character."""
    try:
        path.encode("latin-1").decode()
    except UnicodeDecodeError:
        return False
    return True


def _bearer_token() -> str:
    """Return the token of the Authorization header (RFC 6750, section 2.1)."""
    credentials = BEARER.fullmatch(request.environ.get("HTTP_AUTHORIZATION", "").strip(" \t"))
    if credentials is None or not credentials["token"]:
        raise AuthenticationRequired
    return credentials["token"]
