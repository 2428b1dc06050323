"""The history of a customer: its versions, one of them, and the customer as it was at a moment."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from flask import Response, current_app, request, url_for

from customer_service import errors
from customer_service.auth.authorization import current_membership
from customer_service.repository import VersionRepository
from customer_service.repository.customers import LAST_VERSION
from customer_service.repository.versions import version_of
from customer_service.routes.blueprint import (
    ETAG_HEADER,
    IF_NONE_MATCH,
    LINK_HEADER,
    MEMBER_ERRORS,
    READ_ERRORS,
    blueprint,
    customers,
    next_link,
)
from customer_service.schemas.instants import parse_instant
from customer_service.schemas.outputs import CustomerSchema, VersionPageSchema
from customer_service.services import history
from customer_service.web.operations import Operation, Parameter, SuccessResponse
from customer_service.web.query_parameters import (
    CHOICES,
    DEFAULT_LIMIT,
    LIST_PARAMETERS,
    decode_cursor,
    encode_cursor,
    invalid_parameters,
    query_values,
)
from customer_service.web.responses import customer_response, json_response, serialize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from customer_service.repository.database import Document

VERSION = re.compile(r"0|-?[1-9][0-9]{0,18}", re.ASCII)
AS_OF = "asOf"
AS_OF_PARAMETERS = {
    AS_OF: Parameter(
        "The time to return the customer of; without it, the present.", {"type": "string", "format": "date-time"}
    )
}
VERSIONS_PARAMETERS = {
    "limit": LIST_PARAMETERS["limit"],
    "cursor": Parameter("The `nextCursor` of the page before."),
}
VERSION_HEADERS = ETAG_HEADER | {"Content-Location": Parameter("With `asOf`: the path of the version.")}


class VersionsRequest(NamedTuple):
    """A page of a history: its length, and the time before which it begins."""

    limit: int
    before: datetime | None


@blueprint.get("/customers/<customer_id:customer_id>/versions")
@Operation(
    "Customers",
    {200: SuccessResponse(VersionPageSchema, LINK_HEADER)},
    role="viewer",
    errors=(*MEMBER_ERRORS, errors.CustomerNotFound, errors.InvalidRequest),
    query=VERSIONS_PARAMETERS,
)
def list_customer_versions(customer_id: str) -> Response:
    """List the versions of a customer.

    The newest comes first. Each names who wrote it, by which request, and the values that differ from the version
    before it. The versions of a deleted customer are for editors and admins.
    """
    current = _current(customer_id)
    requested = _versions_request()
    documents = _versions().page(current, requested.limit + 1, requested.before)
    cursor = _next_cursor(documents, requested.limit)
    body = {"data": history.entries(documents, requested.limit), "nextCursor": cursor}
    return json_response(body, _link(customer_id, cursor, requested.limit) if cursor else {})


@blueprint.get("/customers/<customer_id:customer_id>/versions/<version>")
@Operation(
    "Customers",
    {200: SuccessResponse(CustomerSchema, ETAG_HEADER), 304: SuccessResponse(headers=ETAG_HEADER)},
    role="viewer",
    errors=(*READ_ERRORS, errors.CustomerNotFound),
    request_headers=IF_NONE_MATCH,
)
def get_customer_version(customer_id: str, version: str) -> Response:
    """Get a version of a customer.

    It has the shape and the ETag that the customer had then. A deletion is a version too, and is not found.
    """
    return customer_response(serialize(_versions().get(_current(customer_id), _number(version))))


def customer_as_of(customer_id: str) -> Response:
    """Return the response with the customer at the time of `asOf`; raises InvalidRequest and CustomerNotFound."""
    current = _current(customer_id)
    document = _versions().as_of(current, _moment(request.args.getlist(AS_OF)))
    response = customer_response(serialize(document))
    response.headers["Content-Location"] = url_for(
        "customers.get_customer_version",
        organization_id=current_membership().scope,
        customer_id=customer_id,
        version=version_of(document),
    )
    return response


def _current(customer_id: str) -> Document:
    """Return the customer's current document; that of a deleted customer only to editors and admins."""
    if current_membership().role == "viewer":
        return customers().get(customer_id)
    return customers().get_including_deleted(customer_id)


def _versions() -> VersionRepository:
    return VersionRepository(current_app.extensions["database"], current_membership().scope)


def _number(version: str) -> int:
    """Return the number of a version in a path; raises CustomerNotFound if no version can have it."""
    number = int(version) if VERSION.fullmatch(version) else None
    if number is None or abs(number) > LAST_VERSION:
        raise errors.CustomerNotFound
    return number


def _moment(values: Sequence[str]) -> datetime:
    """Return the time of the values of `asOf`; raises InvalidRequest."""
    if len(values) > 1:
        raise invalid_parameters({AS_OF: "repeated-parameter"})
    try:
        return parse_instant(values[0])
    except ValueError:
        raise invalid_parameters({AS_OF: "invalid-instant"}) from None


def _versions_request() -> VersionsRequest:
    """Return the parsed query string of a history; raises InvalidRequest with every finding."""
    values = query_values(VERSIONS_PARAMETERS, limit=CHOICES["limit"])
    before = _decode_cursor(values["cursor"]) if "cursor" in values else None
    return VersionsRequest(int(values.get("limit", DEFAULT_LIMIT)), before)


def _next_cursor(documents: Sequence[Document], limit: int) -> str | None:
    """Return the cursor of the next page, None if the documents, one more than the page may have, end within it."""
    if len(documents) <= limit:
        return None
    updated_at = documents[limit - 1].get("updatedAt")
    return encode_cursor(updated_at.replace(tzinfo=UTC).isoformat()) if isinstance(updated_at, datetime) else None


def _decode_cursor(cursor: str) -> datetime:
    """Return the time of a cursor; raises InvalidRequest."""
    try:
        return parse_instant(decode_cursor(cursor))
    except (ValueError, TypeError):
        raise invalid_parameters({"cursor": "invalid-cursor"}) from None


def _link(customer_id: str, cursor: str, limit: int) -> dict[str, str]:
    link = next_link("customers.list_customer_versions", customer_id=customer_id, cursor=cursor, limit=limit)
    return {"Link": link}
