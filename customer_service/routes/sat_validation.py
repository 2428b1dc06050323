"""Keeping what the SAT answered about a customer, for a program that asked it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from customer_service import errors
from customer_service.routes.blueprint import ETAG, IF_MATCH, WRITE_ERRORS, blueprint, customers, on_the_newest
from customer_service.schemas.documents import CustomerSchema
from customer_service.schemas.inputs import SatValidationInputSchema
from customer_service.services import sat_validation
from customer_service.web.operations import Answer, Operation
from customer_service.web.requests import JSON, json_body, require_match
from customer_service.web.responses import answer_nothing, answer_written, etag_of

if TYPE_CHECKING:
    from flask import Response

    from customer_service.repository.database import Document


@blueprint.put("/customers/<customer_id:customer_id>/sat-validation")
@Operation(
    "Customers",
    {200: Answer(CustomerSchema, ETAG)},
    role="editor",
    errors=(*WRITE_ERRORS, errors.InvalidRequest, errors.CustomerNotFound, errors.VersionMismatch),
    request={JSON: SatValidationInputSchema},
    request_headers=IF_MATCH,
)
def put_sat_validation(customer_id: str) -> Response:
    """Store the SAT's answer about a customer.

    It is gone as soon as the tax id, the legal name, the zip or the tax system changes. The same answer again writes
    nothing.
    """

    def attempt() -> Document:
        document = customers().get(customer_id)
        body = json_body()
        require_match(document, etag_of)
        return customers().set_sat_validation(document, sat_validation.accepted(body))

    return answer_written(on_the_newest(attempt))


@blueprint.delete("/customers/<customer_id:customer_id>/sat-validation")
@Operation(
    "Customers",
    {204: Answer()},
    role="editor",
    errors=(*WRITE_ERRORS, errors.CustomerNotFound, errors.VersionMismatch),
    request_headers=IF_MATCH,
)
def delete_sat_validation(customer_id: str) -> Response:
    """Remove the SAT's answer about a customer.

    The answer is the same if there is none.
    """

    def attempt() -> Document:
        document = customers().get(customer_id)
        require_match(document, etag_of)
        return customers().set_sat_validation(document, None)

    on_the_newest(attempt)
    return answer_nothing()
