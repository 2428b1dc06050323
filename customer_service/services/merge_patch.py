"""Merge patches of a customer (RFC 7396): the patch is merged into the stored customer, which is then validated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from customer_service.errors import InvalidRequest
from customer_service.errors.findings import Finding, value_at
from customer_service.fiscal import rules
from customer_service.schemas.inputs import wrong_metadata_key
from customer_service.services.validation import CUSTOMER_INPUT, canonical, errors_of, to_input, to_stored

if TYPE_CHECKING:
    from collections.abc import Mapping


def apply_patch(document: Mapping[str, Any], patch: object) -> dict[str, Any]:
    """Return the customer with a merge patch applied (RFC 7396); raises InvalidRequest and MalformedDocument.

    Only errors that the patch causes count, not those that the stored document has already.
    """
    if not isinstance(patch, dict):
        raise InvalidRequest(CUSTOMER_INPUT.findings(patch))  # RFC 7396: it would replace the whole customer
    before = to_input(document)
    after = _merged(before, patch)
    if after == before:
        return canonical(before)
    if errors := _new_errors(before, after):
        raise InvalidRequest(errors)
    return rules.with_place_of_new_zip(before, to_stored(after))


def _new_errors(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Finding]:
    """Return the errors of the changed customer, without those that the same values had before."""
    earlier = errors_of(before)
    return [
        finding
        for finding in errors_of(after)
        if finding not in earlier or value_at(before, finding.path) != value_at(after, finding.path)
    ]


def _merged(customer: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """Apply a merge patch (RFC 7396, section 2) to the customer, its address and its metadata.

    A null is not removed, so the schema also refuses an unknown field that is null. In the metadata a null removes the
    entry; if none is stored and the name is invalid, it stays and is refused.
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
