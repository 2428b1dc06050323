"""What the routes of an organization share: the blueprint of its customers, and what each may answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from flask import Blueprint, current_app, request, url_for
from flask.globals import request_ctx
from werkzeug.exceptions import NotFound

from customer_service import errors
from customer_service.auth.authorization import authenticate, authorize, current_membership
from customer_service.repository import CustomerRepository
from customer_service.web.operations import Parameter, role_of
from customer_service.web.requests import has_if_match
from customer_service.web.responses import compact, serialize

if TYPE_CHECKING:
    from collections.abc import Callable

    from customer_service.repository import WorkerCaches
    from customer_service.web.responses import Representation

R = TypeVar("R")
Customers = TypeVar("Customers", bound=CustomerRepository)

REPLACEMENT = "\ufffd"
"""What a path has in place of bytes that are no UTF-8."""

TOKEN_ERRORS = (
    errors.AuthenticationRequired,
    errors.InvalidToken,
    errors.ExpiredToken,
    errors.RateLimited,
    errors.DatabaseError,
    errors.DatabaseUnavailable,
    errors.SigningKeysUnavailable,
)
"""What every route that needs a token may answer in place of its result."""

MEMBER_ERRORS = (*TOKEN_ERRORS, errors.NotAMember)
"""What every route of an organization may answer in place of its result."""

READ_ERRORS = (*MEMBER_ERRORS, errors.MalformedDocument)
WRITE_ERRORS = (*READ_ERRORS, errors.InsufficientRole)
BODY_ERRORS = (errors.InvalidRequest, errors.DuplicateTaxId, errors.DuplicateExternalId)
IF_NONE_MATCH = {"If-None-Match": Parameter("ETags of the answers at hand; 304 where one is still current.")}
IF_MATCH = {"If-Match": Parameter("The ETag of the state to write on; 412 where it is another by now.")}

STRONG_ETAG = {"type": "string", "pattern": '^"[0-9a-f]{32}"$'}
REVALIDATE_HEADER = {"Cache-Control": Parameter("Ask again each time.", {"const": "private, no-cache"}, required=True)}
JSON_HEADERS = REVALIDATE_HEADER | {
    "Vary": Parameter("`Accept-Encoding`, among others: what is large is compressed.", required=True)
}
ETAG_HEADER = REVALIDATE_HEADER | {"ETag": Parameter("Changes with every write.", STRONG_ETAG, required=True)}
DELETED_ETAG_HEADER = {"ETag": Parameter("Of the deleted customer, for a restore with If-Match.", STRONG_ETAG)}
LOCATION_HEADER = {"Location": Parameter("The path of the customer.", required=True)}
LINK_HEADER = {"Link": Parameter('The next page, with `rel="next"`, where there is one.')}
REPLAYED_HEADER = {"Idempotent-Replayed": Parameter("Where the key was used before.", {"const": "true"})}


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


def _require_token() -> None:
    authenticate()


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


blueprint = guarded_blueprint("customers")


def customers() -> CustomerRepository:
    """Return the customers that the caller of this request may see."""
    return scoped_repository(CustomerRepository)


def scoped_repository(repository: type[Customers]) -> Customers:
    """Return the same as this kind of repository."""
    on_write = current_app.extensions["worker_caches"].invalidate_customer
    return repository(current_app.extensions["database"], current_membership().scope, on_write)


def serialized_customer(customer_id: str) -> Representation:
    """Return the customer as it is answered: as it is kept, if it may be, else as it is stored.

    Raises CustomerNotFound and MalformedDocument.
    """
    worker_caches: WorkerCaches[Representation] = current_app.extensions["worker_caches"]
    since = worker_caches.valid_from
    if worker_caches.customers is None or since is None or "no-cache" in request.environ.get("HTTP_CACHE_CONTROL", ""):
        return serialize(customers().get(customer_id))
    key = (current_membership().scope, customer_id)
    return worker_caches.customers.get(key) or worker_caches.customers.load(
        key, lambda: compact(serialize(customers().get_committed(customer_id, since))), customer_id.lower()
    )


def retry_on_version_mismatch(attempt: Callable[[], R]) -> R:
    """Repeat the attempt while somebody else is faster, unless the caller named the state to write on."""
    while True:
        try:
            return attempt()
        except errors.VersionMismatch:
            if has_if_match():
                raise


def customer_path(customer_id: object) -> str:
    """Return the path of a customer, behind whatever prefix the request came by."""
    scope = current_membership().scope
    return url_for("customers.get_customer", organization_id=scope, customer_id=str(customer_id))
