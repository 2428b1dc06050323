"""What the routes share: guarded blueprints, documented headers and errors, and access to the customers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from flask import Blueprint, current_app, request, url_for
from werkzeug.exceptions import NotFound

from customer_service import errors
from customer_service.auth.authorization import authenticate, authorize, current_membership
from customer_service.observability.request_log import request_id
from customer_service.repository import CustomerRepository, Writer
from customer_service.web.operations import Parameter, role_of
from customer_service.web.requests import has_if_match, require_preconditions
from customer_service.web.responses import compact, etag_of, serialize

if TYPE_CHECKING:
    from collections.abc import Callable

    from customer_service.repository import WorkerCaches
    from customer_service.repository.database import Document
    from customer_service.web.responses import Representation

R = TypeVar("R")
Stored = TypeVar("Stored", "Document", "Document | None")
Customers = TypeVar("Customers", bound=CustomerRepository)

REPLACEMENT = "\ufffd"
"""The character that replaces bytes of a path that are not UTF-8."""

TOKEN_ERRORS = (
    errors.AuthenticationRequired,
    errors.InvalidToken,
    errors.ExpiredToken,
    errors.RateLimited,
    errors.DatabaseError,
    errors.DatabaseUnavailable,
    errors.SigningKeysUnavailable,
)
"""The errors of every route that needs a token."""

MEMBER_ERRORS = (*TOKEN_ERRORS, errors.NotAMember)
"""The errors of every route of an organization."""

READ_ERRORS = (*MEMBER_ERRORS, errors.MalformedDocument)
WRITE_ERRORS = (*READ_ERRORS, errors.InsufficientRole)
BODY_ERRORS = (errors.InvalidRequest, errors.DuplicateTaxId, errors.DuplicateExternalId)
IF_NONE_MATCH = {"If-None-Match": Parameter("ETags of the answers at hand; 304 if one is still current.")}
IF_NONE_MATCH_OF_WRITE = {"If-None-Match": Parameter("`*` to create only; 412 if there is a customer.")}
IF_MATCH = {"If-Match": Parameter("The customer's ETag; 412 if the customer has another one now.")}

STRONG_ETAG = {"type": "string", "pattern": '^"[0-9a-f]{32}"$'}
ETAG_HEADER = {"ETag": Parameter("Changes with every write.", STRONG_ETAG, required=True)}
DELETED_ETAG_HEADER = {"ETag": Parameter("Of the deleted customer, for a restore with If-Match.", STRONG_ETAG)}
LOCATION_HEADER = {"Location": Parameter("The path of the customer.", required=True)}
LINK_HEADER = {"Link": Parameter('The next page, with `rel="next"`, if there is one.')}
REPLAYED_HEADER = {"Idempotent-Replayed": Parameter("If the key was used before.", {"const": "true"})}


def guarded_blueprint(name: str) -> Blueprint:
    """Return a blueprint for an organization's routes, which only members with the route's role may call.

    The guard removes the organization from the views' arguments: they get it from `current_membership`.
    """
    blueprint = Blueprint(name, __name__, url_prefix="/organizations/<organization_id>")
    blueprint.before_request(_guard)
    return blueprint


def token_blueprint(name: str, prefix: str) -> Blueprint:
    """Return a blueprint for routes outside organizations, which any caller with a valid token may call."""
    blueprint = Blueprint(name, __name__, url_prefix=prefix)
    blueprint.before_request(_require_token)
    return blueprint


def _require_token() -> None:
    authenticate()


def _guard() -> None:
    view = current_app.view_functions[request.endpoint or ""]
    authorize((request.view_args or {}).pop("organization_id"), role_of(view))
    if REPLACEMENT in request.path and not _is_utf8(request.environ["PATH_INFO"]):
        raise NotFound


def _is_utf8(path: str) -> bool:
    """Return whether the bytes of a path, as WSGI passes them, are UTF-8; all other bytes become REPLACEMENT."""
    try:
        path.encode("latin-1").decode()
    except UnicodeDecodeError:
        return False
    return True


blueprint = guarded_blueprint("customers")


def customers() -> CustomerRepository:
    """Return the repository of the customers that the caller may access."""
    return scoped_repository(CustomerRepository)


def scoped_repository(repository: type[Customers]) -> Customers:
    """Return a repository of this class for the customers that the caller may access."""
    membership, extensions = current_membership(), current_app.extensions
    writer, on_write = Writer(membership.user_id, request_id()), extensions["worker_caches"].invalidate_customer
    return repository(extensions["database"], membership.scope, writer, on_write)


def serialized_customer(customer_id: str) -> Representation:
    """Return the serialized customer: the cached one if it is current, else the stored one.

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


def write_with_lock(
    read: Callable[[], Stored], write: Callable[[Stored, object], R], read_body: Callable[[], object] = lambda: None
) -> R:
    """Read the document and write on it, under an optimistic lock; raises VersionMismatch.

    If another write is faster, the client's If-Match fails; without If-Match everything is repeated. The errors come in
    the contract's order: those of reading, of the body, of If-Match, of the write.
    """
    while True:
        document, body = read(), read_body()
        require_preconditions(document, etag_of)
        try:
            return write(document, body)
        except errors.VersionMismatch:
            if has_if_match():
                raise


def customer_path(customer_id: object) -> str:
    """Return the path of a customer, with the prefix of the request."""
    scope = current_membership().scope
    return url_for("customers.get_customer", organization_id=scope, customer_id=str(customer_id))


def next_link(endpoint: str, **parameters: Any) -> str:
    """Return the `Link` to the next page of a route of the organization (RFC 8288)."""
    url = url_for(endpoint, organization_id=current_membership().scope, **parameters)
    return f'<{url}>; rel="next"'
