"""From what a caller sends to what is stored: shape, then the fiscal rules, then one canonical form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from customer_service.errors import Finding, InvalidRequest, value_at
from customer_service.fiscal import rules
from customer_service.schemas.documents import CustomerSchema
from customer_service.schemas.inputs import (
    OPTIONAL_FIELDS,
    AddressInputSchema,
    CustomerInputSchema,
    wrong_metadata_key,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

INPUT = CustomerInputSchema()
STORED = CustomerSchema()
READ_ONLY_FIELDS = ("id", "organizationId", "satValidation", "createdAt", "updatedAt")
ADDRESS_FIELDS = tuple(AddressInputSchema().fields)
ALWAYS_STORED = tuple(name for name in INPUT.fields if name not in OPTIONAL_FIELDS)


def errors_of(body: object) -> list[Finding]:
    """Return everything that forbids to store a customer; it need not be one."""
    shape = INPUT.findings(body)
    if not isinstance(body, dict):
        return shape
    found = {finding.path for finding in shape}
    return [*shape, *(each for each in rules.errors(rules.normalized(body)) if each.path not in found)]


def warnings_of(body: object) -> list[Finding]:
    """Return what the tax authority will probably refuse of a customer; it need not be one."""
    return rules.warnings(rules.normalized(body)) if isinstance(body, dict) else []


def validate(body: object) -> dict[str, Any]:
    """Return the customer to store; raises InvalidRequest with every finding."""
    errors = errors_of(body)
    if errors or not isinstance(body, dict):
        raise InvalidRequest(errors)
    return to_stored(body)


def apply_patch(document: Mapping[str, Any], patch: object) -> dict[str, Any]:
    """Return the customer with a merge patch applied (RFC 7396); raises InvalidRequest.

    The patch is blamed for what it brings about, and not for what another program had stored before.
    """
    if not isinstance(patch, dict):
        raise InvalidRequest(INPUT.findings(patch))  # a whole value in the customer's place, which is none
    before = to_input(document)
    after = _merged(before, patch)
    if after == before:
        return canonical(before)
    earlier = errors_of(before)
    errors = [
        finding
        for finding in errors_of(after)
        if finding not in earlier or value_at(before, finding.path) != value_at(after, finding.path)
    ]
    if errors:
        raise InvalidRequest(errors)
    return rules.with_place_of_new_zip(before, to_stored(after))


def validate_replacement(document: Mapping[str, Any] | None, body: object) -> dict[str, Any]:
    """Return the customer to store in the document's place, if there is one; raises as `validate` and `to_input`."""
    customer = validate(body)
    return customer if document is None else rules.with_place_of_new_zip(to_input(document), customer)


def to_input(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a caller could have sent to store this document."""
    customer: dict[str, Any] = STORED.dump_document(document)
    return {name: value for name, value in customer.items() if name not in READ_ONLY_FIELDS}


def for_restore(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a deleted customer says, its keys in the form that the living are compared in."""
    return rules.normalized(to_input(document))


def to_stored(customer: Mapping[str, Any]) -> dict[str, Any]:
    """Return a customer without errors as it is stored, with the place of its zip where it names none itself."""
    return canonical(rules.with_place(rules.normalized(customer)))


def canonical(customer: Mapping[str, Any]) -> dict[str, Any]:
    """Return a customer with every field that is always stored, null where it is empty, and the others where set."""
    stored = {name: customer.get(name) for name in ALWAYS_STORED}
    stored["address"] = {name: customer["address"].get(name) for name in ADDRESS_FIELDS}
    return stored | {name: customer[name] for name in OPTIONAL_FIELDS if customer.get(name)}


def _merged(customer: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """Apply a merge patch (RFC 7396, section 2), which goes no deeper than a customer does.

    A null is kept for the shape to judge, so that clearing an unknown field is as wrong as setting it; but in the
    metadata, whose names are the caller's own, it removes the name, unless there can be no such name.
    """
    merged = {**customer, **patch}
    if isinstance(address := patch.get("address"), dict):
        merged["address"] = {**customer["address"], **address}
    if isinstance(metadata := patch.get("metadata"), dict):
        merged["metadata"] = _merged_metadata(customer.get("metadata", {}), metadata)
    return merged


def _merged_metadata(stored: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    entries = {**stored, **patch}
    return {
        name: text
        for name, text in entries.items()
        if text is not None or (name not in stored and wrong_metadata_key(name))
    }
