"""What the routes of an organization share: the blueprint of its customers, and what each may answer."""

from __future__ import annotations

from flask import current_app, url_for

from customer_service import errors
from customer_service.authorization import current_membership, guarded_blueprint
from customer_service.repository import CustomerRepository

blueprint = guarded_blueprint("customers")

MEMBER_ERRORS = (
    errors.AuthenticationRequired,
    errors.InvalidToken,
    errors.NotAMember,
    errors.DatabaseError,
    errors.DatabaseUnavailable,
    errors.SigningKeysUnavailable,
)
"""What every route of an organization may answer in place of its result."""

READ_ERRORS = (*MEMBER_ERRORS, errors.MalformedDocument)
WRITE_ERRORS = (*READ_ERRORS, errors.InsufficientRole)
BODY_ERRORS = (errors.InvalidRequest, errors.DuplicateTaxId, errors.DuplicateExternalId)
ETAG = {"ETag": "Changes with every write.", "Cache-Control": "`private, no-cache`"}
IF_NONE_MATCH = {"If-None-Match": "ETags of the answers at hand; 304 where one is still current."}
IF_MATCH = {"If-Match": "The ETag of the state to write on; 412 where it is another by now."}


def customers() -> CustomerRepository:
    """Return the customers that the caller of this request may see."""
    return CustomerRepository(current_app.extensions["database"], current_membership().scope)


def location(customer_id: object) -> str:
    """Return the path of a customer, behind whatever prefix the request came by."""
    scope = current_membership().scope
    return url_for("customers.get_customer", organization_id=scope, customer_id=str(customer_id))
