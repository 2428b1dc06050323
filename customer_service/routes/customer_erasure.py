"""The retention of a customer, and its erasure; only these routes find blocked and erased customers."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from werkzeug.exceptions import HTTPException

from customer_service import errors
from customer_service.auth.authorization import has_role
from customer_service.repository import ErasureRepository
from customer_service.routes.blueprint import IF_MATCH, WRITE_ERRORS, blueprint, scoped_repository
from customer_service.schemas.inputs import RetentionInputSchema
from customer_service.schemas.outputs import ErasureSchema, RetentionSchema
from customer_service.services import erasure
from customer_service.web import examples
from customer_service.web.operations import Operation, SuccessResponse
from customer_service.web.requests import JSON, WITHOUT_ETAG, has_if_match, json_body, require_preconditions
from customer_service.web.responses import etag_of, json_response

if TYPE_CHECKING:
    from flask import Response

    from customer_service.repository.database import Document

ADMIN_FIELDS = {"hold", "reason"}
RETENTION = {200: SuccessResponse(RetentionSchema)}
ERASURE = {200: SuccessResponse(ErasureSchema)}
CUSTOMER_ERRORS = (*WRITE_ERRORS, errors.CustomerNotFound)


@blueprint.get("/customers/<customer_id:customer_id>/retention")
@Operation("Customers", RETENTION, role="admin", errors=CUSTOMER_ERRORS)
def get_customer_retention(customer_id: str) -> Response:
    """Get the retention of a customer.

    It is also the retention of a deleted or a blocked one; an erased one has none.
    """
    return json_response(erasure.retention_body(_customers().get_any(customer_id)))


@blueprint.put("/customers/<customer_id:customer_id>/retention")
@Operation(
    "Customers",
    RETENTION,
    role="editor",
    errors=(*CUSTOMER_ERRORS, errors.InvalidRequest, errors.VersionMismatch),
    request={JSON: RetentionInputSchema},
    example=examples.RETENTION,
    request_headers=IF_MATCH,
)
def put_customer_retention(customer_id: str) -> Response:
    """Store the date of a customer's last invoice, or hold the customer.

    The latest date stays, in any order of the requests. `hold` is for admins: it retains the customer without a
    date, until an admin sends `"hold": false`. Deleted customers have a retention too, and for admins blocked ones.
    """
    is_admin = has_role("admin")
    if not is_admin:
        _refuse_hold()
    customers = _customers()
    document = customers.get_retainable(customer_id, also_blocked=is_admin)  # 404 comes before the errors of the body
    erasure.retention_body(document)  # raises MalformedDocument: a change would keep what cannot be read
    body = json_body()
    if erasure.is_reduced(document):
        require_preconditions(WITHOUT_ETAG, str)
    else:
        require_preconditions(document, etag_of)
    changed = customers.change_retention(
        customer_id,
        erasure.to_retention_change(body),
        also_blocked=is_admin,
        unchanged=document if has_if_match() else None,
    )
    return json_response(erasure.retention_body(changed))


@blueprint.get("/customers/<customer_id:customer_id>/erasure")
@Operation("Customers", ERASURE, role="admin", errors=CUSTOMER_ERRORS)
def get_customer_erasure(customer_id: str) -> Response:
    """Get the state of a customer's erasure.

    It is `none` for an active or a deleted customer.
    """
    return json_response(erasure.erasure_body(_customers().get_any(customer_id)))


@blueprint.post("/customers/<customer_id:customer_id>/erasure")
@Operation(
    "Customers", ERASURE, role="admin", errors=(*CUSTOMER_ERRORS, errors.VersionMismatch), request_headers=IF_MATCH
)
def erase_customer(customer_id: str) -> Response:
    """Erase a customer, or block it while it must be retained.

    Without a retention, or after it, everything of the customer goes. With one, what no law retains goes now, and the
    rest is found by no request. Either way its tax id and external id are free again, and it cannot be restored. The
    same request again has the same answer.
    """
    return json_response(erasure.erasure_body(erasure.erase(_customers(), customer_id, _require_preconditions)))


def _refuse_hold() -> None:
    """Raise InsufficientRole if the body, as far as it can be read, has a field for admins: 403 comes before 404."""
    body: object = None
    with suppress(HTTPException):
        body = json_body()
    if isinstance(body, dict) and not ADMIN_FIELDS.isdisjoint(body):
        raise errors.InsufficientRole


def _require_preconditions(document: Document) -> None:
    """Raise VersionMismatch if If-Match does not have the ETag of an active customer.

    A deleted, blocked or erased customer is not checked, so that the same request can complete or repeat an erasure.
    """
    if erasure.is_active(document):
        require_preconditions(document, etag_of)


def _customers() -> ErasureRepository:
    return scoped_repository(ErasureRepository)
