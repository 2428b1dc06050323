"""The routes of an organization: authorize, ask the repository, answer in the shape of the schema."""

from __future__ import annotations

from hashlib import blake2b
from http import HTTPStatus
from typing import TYPE_CHECKING

import orjson
from flask import Blueprint, Response, current_app, request

from customer_service import errors
from customer_service.authorization import authorize, current_scope
from customer_service.openapi import Operation
from customer_service.repository import CustomerRepository
from customer_service.schemas import CustomerSchema

if TYPE_CHECKING:
    from customer_service.database import Document

blueprint = Blueprint("organizations", __name__, url_prefix="/organizations/<organization_id>")

CUSTOMER = CustomerSchema()
MEMBER_ERRORS = (
    errors.AuthenticationRequired,
    errors.InvalidToken,
    errors.NotAMember,
    errors.DatabaseError,
    errors.DatabaseUnavailable,
    errors.SigningKeysUnavailable,
)
"""What every route of an organization may answer in place of its result."""


@blueprint.before_request
def authorize_member() -> None:
    """Guard every route of the blueprint, and take the organization out of the views' arguments."""
    authorize((request.view_args or {}).pop("organization_id"))


@blueprint.get("/customers/<customer_id>")
@Operation(
    "Customers",
    {200: CustomerSchema, 304: None},
    errors=(*MEMBER_ERRORS, errors.CustomerNotFound, errors.MalformedDocument),
    request_headers={"If-None-Match": "ETags of the answers at hand; 304 where one is still current."},
    response_headers={"ETag": "Changes with every write.", "Cache-Control": "`private, no-cache`"},
)
def get_customer(customer_id: str) -> Response:
    """Get a customer by ID.

    Returns a single customer by ID. The authenticated user must be a member of the organization. HEAD answers
    the same headers without the body.
    """
    return _conditional(customers().get(customer_id))


def customers() -> CustomerRepository:
    """Return the customers that the caller of this request may see."""
    return CustomerRepository(current_app.extensions["database"], current_scope())


def _conditional(document: Document) -> Response:
    """Answer the customer, or 304 where the caller has it already (RFC 9110, section 13.1.2)."""
    body = orjson.dumps(CUSTOMER.dump(document), option=orjson.OPT_APPEND_NEWLINE)
    etag = _etag(document, body)
    headers = {"ETag": f'"{etag}"', "Cache-Control": "private, no-cache"}
    if request.if_none_match.contains_weak(etag):
        return Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
    return Response(body, mimetype="application/json", headers=headers)


def _etag(document: Document, body: bytes) -> str:
    """Digest the answer, so that no writer can forget it, and the version, so that every write changes it."""
    return blake2b(body + repr(document.get("version")).encode(), digest_size=16).hexdigest()
