"""What the routes of an organization share: the blueprint of its customers, and what each may answer."""

from __future__ import annotations

from flask import current_app, url_for

from customer_service import errors
from customer_service.authorization import current_membership, guarded_blueprint
from customer_service.openapi import Value
from customer_service.repository import CustomerRepository

blueprint = guarded_blueprint("customers")

MEMBER_ERRORS = (
    errors.AuthenticationRequired,
    errors.InvalidToken,
    errors.RateLimited,
    errors.NotAMember,
    errors.DatabaseError,
    errors.DatabaseUnavailable,
    errors.SigningKeysUnavailable,
)
"""What every route of an organization may answer in place of its result."""

READ_ERRORS = (*MEMBER_ERRORS, errors.MalformedDocument)
WRITE_ERRORS = (*READ_ERRORS, errors.InsufficientRole)
BODY_ERRORS = (errors.InvalidRequest, errors.DuplicateTaxId, errors.DuplicateExternalId)
IF_NONE_MATCH = {"If-None-Match": Value("ETags of the answers at hand; 304 where one is still current.")}
IF_MATCH = {"If-Match": Value("The ETag of the state to write on; 412 where it is another by now.")}

STRONG_ETAG = {"type": "string", "pattern": '^"[0-9a-f]{32}"$'}
REVALIDATE = {"Cache-Control": Value("Ask again each time.", {"const": "private, no-cache"}, required=True)}
ETAG = REVALIDATE | {"ETag": Value("Changes with every write.", STRONG_ETAG, required=True)}
DELETED_ETAG = {"ETag": Value("Of the deleted customer, for a restore with If-Match.", STRONG_ETAG, required=True)}
LOCATION = {"Location": Value("The path of the customer.", required=True)}
LINK = {"Link": Value('The next page, with `rel="next"`, where there is one.')}
REPLAYED = {"Idempotent-Replayed": Value("Where the key was used before.", {"const": "true"})}


def customers() -> CustomerRepository:
    """Return the customers that the caller of this request may see."""
    return CustomerRepository(current_app.extensions["database"], current_membership().scope)


def location(customer_id: object) -> str:
    """Return the path of a customer, behind whatever prefix the request came by."""
    scope = current_membership().scope
    return url_for("customers.get_customer", organization_id=scope, customer_id=str(customer_id))
