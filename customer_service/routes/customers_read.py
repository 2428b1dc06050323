"""Reading customers: one by its id or external id, and a list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import Response, request

from customer_service import errors
from customer_service.routes.blueprint import (
    ETAG_HEADER,
    IF_NONE_MATCH,
    LINK_HEADER,
    MEMBER_ERRORS,
    READ_ERRORS,
    blueprint,
    customers,
    next_link,
    serialized_customer,
)
from customer_service.routes.customer_versions import AS_OF, AS_OF_PARAMETERS, VERSION_HEADERS, customer_as_of
from customer_service.schemas.outputs import CustomerPageSchema, CustomerSchema
from customer_service.web.operations import Operation, SuccessResponse
from customer_service.web.query_parameters import LIST_PARAMETERS, list_request
from customer_service.web.responses import customer_response, json_response, list_body, serialize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from customer_service.repository.database import Document
    from customer_service.repository.search import CustomerQuery
    from customer_service.web.query_parameters import ListRequest


@blueprint.get("/customers/<customer_id:customer_id>")
@Operation(
    "Customers",
    {200: SuccessResponse(CustomerSchema, VERSION_HEADERS), 304: SuccessResponse(headers=VERSION_HEADERS)},
    role="viewer",
    errors=(*READ_ERRORS, errors.CustomerNotFound, errors.InvalidRequest),
    request_headers=IF_NONE_MATCH,
    query=AS_OF_PARAMETERS,
)
def get_customer(customer_id: str) -> Response:
    """Get a customer by ID.

    Returns a single customer by ID. The authenticated user must be a member of the organization. HEAD answers
    the same headers without the body. With `asOf` it returns the customer as it was at that time.
    """
    if request.environ.get("QUERY_STRING") and AS_OF in request.args:
        return customer_as_of(customer_id)
    return customer_response(serialized_customer(customer_id))


@blueprint.get("/customers/by-external-id/<any_text:external_id>")
@Operation(
    "Customers",
    {200: SuccessResponse(CustomerSchema, ETAG_HEADER), 304: SuccessResponse(headers=ETAG_HEADER)},
    role="viewer",
    errors=(*READ_ERRORS, errors.CustomerNotFound),
    request_headers=IF_NONE_MATCH,
)
def get_customer_by_external_id(external_id: str) -> Response:
    """Get a customer by the caller's own ID.

    A slash in the id may be sent as it is or as %2F.
    """
    document = customers().find_by_external_id(external_id)
    if document is None:
        raise errors.CustomerNotFound
    return customer_response(serialize(document))


@blueprint.get("/customers")
@Operation(
    "Customers",
    {200: SuccessResponse(CustomerPageSchema, LINK_HEADER)},
    role="viewer",
    errors=(*MEMBER_ERRORS, errors.InvalidRequest, errors.IndexesMissing),
    query=LIST_PARAMETERS,
)
def list_customers() -> Response:
    """List and search customers.

    The order is that of the ids, or of the time that a range asks for and then the ids. A page that is not the
    last has a `nextCursor`, and a `Link` with `rel="next"`. A customer that another program stored in a shape that
    cannot be serialized is in `unreadable` by its id.
    """
    requested = list_request()
    query = requested.query()
    documents = customers().page(query, requested.limit + 1, requested.after)
    cursor = _next_cursor(requested, query, documents)
    body: dict[str, Any] = {**list_body(documents[: requested.limit]), "nextCursor": cursor}
    if requested.total:
        body["total"] = customers().count(query)
    return json_response(body, {"Link": _link(requested, cursor)} if cursor else {})


def _next_cursor(requested: ListRequest, query: CustomerQuery, documents: Sequence[Document]) -> str | None:
    """Return the cursor of the next page, None if the documents, one more than the page may have, end within it."""
    if len(documents) <= requested.limit:
        return None
    last = documents[requested.limit - 1]
    return requested.cursor(last.get(query.order), str(last["_id"]))


def _link(requested: ListRequest, cursor: str) -> str:
    include = "total" if requested.total else None
    return next_link("customers.list_customers", cursor=cursor, limit=requested.limit, include=include)
