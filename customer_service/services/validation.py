"""Validation of a customer: first its shape, then the fiscal rules, then the canonical form to store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from customer_service.errors import InvalidRequest
from customer_service.errors.findings import serialize_findings
from customer_service.fiscal import rules
from customer_service.schemas.inputs import OPTIONAL_FIELDS, AddressInputSchema, CustomerInputSchema
from customer_service.schemas.outputs import CUSTOMER_SCHEMA

if TYPE_CHECKING:
    from collections.abc import Mapping

    from customer_service.errors.findings import Finding

CUSTOMER_INPUT = CustomerInputSchema()
READ_ONLY_FIELDS = ("id", "organizationId", "satValidation", "createdAt", "updatedAt")
ADDRESS_FIELDS = tuple(AddressInputSchema().fields)
ALWAYS_STORED = tuple(name for name in CUSTOMER_INPUT.fields if name not in OPTIONAL_FIELDS)


def errors_of(body: object) -> list[Finding]:
    """Return every error of a request's body; a body without errors is a customer that can be stored."""
    shape = CUSTOMER_INPUT.findings(body)
    if not isinstance(body, dict):
        return shape
    found = {finding.path for finding in shape}
    return [*shape, *(each for each in rules.errors(rules.normalized(body)) if each.path not in found)]


def warnings_of(body: object) -> list[Finding]:
    """Return the values of a request's body that the tax authority will probably refuse."""
    return rules.warnings(rules.normalized(body)) if isinstance(body, dict) else []


def tax_info_body(customer: object) -> dict[str, Any]:
    """Return the errors and the warnings of a customer as JSON, and whether it has no errors."""
    errors = errors_of(customer)
    return {
        "isValid": not errors,
        "errors": serialize_findings(errors),
        "warnings": serialize_findings(warnings_of(customer)),
    }


def validate(body: object) -> dict[str, Any]:
    """Return the customer to store; raises InvalidRequest with every finding."""
    errors = errors_of(body)
    if errors or not isinstance(body, dict):
        raise InvalidRequest(errors)
    return to_stored(body)


def validate_replacement(document: Mapping[str, Any] | None, body: object) -> dict[str, Any]:
    """Return the customer to store in place of the document, if there is one; raises as `validate` and `to_input`."""
    customer = validate(body)
    return customer if document is None else rules.with_place_of_new_zip(to_input(document), customer)


def to_input(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the input that would store this document; raises MalformedDocument."""
    customer: dict[str, Any] = CUSTOMER_SCHEMA.dump_document(document)
    return {name: value for name, value in customer.items() if name not in READ_ONLY_FIELDS}


def for_restore(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the input of a deleted customer, normalized as that of a new customer is."""
    return rules.normalized(to_input(document))


def to_stored(customer: Mapping[str, Any]) -> dict[str, Any]:
    """Return a customer without errors in the form to store; the place of its zip fills the empty fields."""
    return canonical(rules.with_place(rules.normalized(customer)))


def canonical(customer: Mapping[str, Any]) -> dict[str, Any]:
    """Return a customer in its canonical form: required and nullable fields always, the optional ones if set."""
    stored = {name: customer.get(name) for name in ALWAYS_STORED}
    stored["address"] = {name: customer["address"].get(name) for name in ADDRESS_FIELDS}
    return stored | {name: customer[name] for name in OPTIONAL_FIELDS if customer.get(name)}
