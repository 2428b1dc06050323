"""Storing the SAT's answer about a customer, which another program asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from customer_service import errors
from customer_service.routes.blueprint import (
    ETAG_HEADER,
    IF_MATCH,
    WRITE_ERRORS,
    blueprint,
    customers,
    write_with_lock,
)
from customer_service.schemas.inputs import SatValidationInputSchema
from customer_service.schemas.outputs import CustomerSchema
from customer_service.services import sat_validation
from customer_service.web import examples
from customer_service.web.operations import Operation, SuccessResponse
from customer_service.web.requests import JSON, json_body
from customer_service.web.responses import no_content, written_customer_response

if TYPE_CHECKING:
    from flask import Response

    from customer_service.repository.database import Document


@blueprint.put("/customers/<customer_id:customer_id>/sat-validation")
@Operation(
    "Customers",
    {200: SuccessResponse(CustomerSchema, ETAG_HEADER)},
    role="editor",
    errors=(*WRITE_ERRORS, errors.InvalidRequest, errors.CustomerNotFound, errors.VersionMismatch),
    request={JSON: SatValidationInputSchema},
    example=examples.SAT_ANSWER,
    request_headers=IF_MATCH,
)
def put_sat_validation(customer_id: str) -> Response:
    """Store the SAT's answer about a customer.

    It is gone as soon as the tax id, the legal name, the zip or the tax system changes. The same answer again writes
    nothing.
    """

    def write(document: Document, body: object) -> Document:
        return customers().set_sat_validation(document, sat_validation.validate(body))

    return written_customer_response(write_with_lock(lambda: customers().get(customer_id), write, json_body))


@blueprint.delete("/customers/<customer_id:customer_id>/sat-validation")
@Operation(
    "Customers",
    {204: SuccessResponse()},
    role="editor",
    errors=(*WRITE_ERRORS, errors.CustomerNotFound, errors.VersionMismatch),
    request_headers=IF_MATCH,
)
def delete_sat_validation(customer_id: str) -> Response:
    """Remove the SAT's answer about a customer.

    If there is none, the response is 204 too.
    """

    def write(document: Document, _body: object) -> Document:
        return customers().set_sat_validation(document, None)

    write_with_lock(lambda: customers().get(customer_id), write)
    return no_content()
