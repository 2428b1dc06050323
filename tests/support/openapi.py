"""Reading the OpenAPI document: its operations, without references to what they share."""

from __future__ import annotations

from typing import Any


def operations_of(document: dict[str, Any]) -> dict[str, Any]:
    """Return each operation by its id, with the components that it shares with others in their places."""
    return {
        each["operationId"]: resolved(each, document) for item in document["paths"].values() for each in item.values()
    }


def resolved(value: Any, document: dict[str, Any]) -> Any:
    """Return the value with its references replaced, except those to schemas."""
    if isinstance(value, list):
        return [resolved(each, document) for each in value]
    if not isinstance(value, dict):
        return value
    reference = value.get("$ref", "#/components/schemas/").split("/")
    if reference[-2] != "schemas":
        return resolved(document["components"][reference[-2]][reference[-1]], document)
    return {key: resolved(each, document) for key, each in value.items()}
