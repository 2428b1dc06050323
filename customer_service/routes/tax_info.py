"""The validation of the tax information of a customer, stored or not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from customer_service import errors
from customer_service.routes.blueprint import MEMBER_ERRORS, READ_ERRORS, blueprint, customers
from customer_service.schemas.inputs import ANYTHING, CustomerInputSchema
from customer_service.schemas.outputs import TaxInfoSchema
from customer_service.services import validation
from customer_service.web import examples
from customer_service.web.operations import Operation, SuccessResponse
from customer_service.web.requests import JSON, json_body
from customer_service.web.responses import json_response

if TYPE_CHECKING:
    from flask import Response


@blueprint.get("/customers/<customer_id:customer_id>/tax-info-validation")
@Operation(
    "Customers",
    {200: SuccessResponse(TaxInfoSchema)},
    role="viewer",
    errors=(*READ_ERRORS, errors.CustomerNotFound),
)
def validate_customer_tax_info(customer_id: str) -> Response:
    """Validate the tax information of a customer.

    Errors are what this service would not store; warnings are what the tax authority will probably refuse.
    """
    return json_response(validation.tax_info_body(validation.to_input(customers().get(customer_id))))


@blueprint.post("/customers/tax-info-validation")
@Operation(
    "Customers",
    {200: SuccessResponse(TaxInfoSchema)},
    role="viewer",
    errors=(*MEMBER_ERRORS, errors.InvalidRequest),
    request={JSON: {"anyOf": [CustomerInputSchema, ANYTHING]}},
    example=examples.NEW_CUSTOMER,
)
def validate_tax_info() -> Response:
    """Validate the tax information of a customer that is not stored.

    Wrong shapes are errors in the answer too.
    """
    return json_response(validation.tax_info_body(json_body()))
