"""Sharing in an OpenAPI document: what several places describe alike becomes a component, and they refer to it."""

from __future__ import annotations

import json
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Described = dict[str, Any]

METHODS = {"get", "put", "post", "patch", "delete"}
BRACKETED = re.compile(r"\[(\w+)\]")


class Place(NamedTuple):
    """A key of a part of the document, whose value can become a reference, and the name of the component."""

    part: Any
    key: Any
    name: str


def share(document: Described) -> None:
    """Move each parameter, response, header, example and property that is described twice into the components.

    It moves only what makes the document shorter.
    """
    operations = [
        operation for item in document["paths"].values() for method, operation in item.items() if method in METHODS
    ]
    responses = [*_responses(operations)]
    _move_repeated("responses", responses, document)
    described = [*document["components"]["responses"].values(), *_values(responses)]
    _move_repeated("headers", _headers(described), document)
    _move_repeated("examples", _examples(described), document)
    _move_repeated("parameters", _parameters(operations), document)
    _move_repeated("schemas", _properties(document["components"]["schemas"]), document)


def _move_repeated(kind: str, places: Iterable[Place], document: Described) -> None:
    components = document["components"].setdefault(kind, {})
    for alike in _alike(list(places)):
        name = _unused(alike[0].name, components)
        value, reference = alike[0].part[alike[0].key], {"$ref": f"#/components/{kind}/{name}"}
        if _length(value) * (len(alike) - 1) > _length(reference) * len(alike):
            components[name] = value
            for place in alike:
                place.part[place.key] = reference


def _length(value: Described) -> int:
    return len(json.dumps(value))


def _alike(places: Iterable[Place]) -> Iterable[list[Place]]:
    """Return the places in groups with the same name and value."""
    groups: dict[tuple[str, str], list[Place]] = {}
    for place in places:
        groups.setdefault((place.name, json.dumps(place.part[place.key], sort_keys=True)), []).append(place)
    return groups.values()


def _unused(name: str, components: Described) -> str:
    number = 1
    while (unused := f"{name}{number if number > 1 else ''}") in components:
        number += 1
    return unused


def _responses(operations: Iterable[Described]) -> Iterator[Place]:
    for operation in operations:
        responses = operation["responses"]
        yield from (Place(responses, status, _response_name(status, responses[status])) for status in responses)


def _response_name(status: str, response: Described) -> str:
    """Return a name from the status, and from the schema of a success: `Customer`, `CreatedCustomer`, `NotFound`."""
    if status == "default":
        return "OtherError"
    phrase = HTTPStatus(int(status)).phrase.replace(" ", "")
    schemas = [content["schema"].get("$ref", "") for content in response.get("content", {}).values()]
    of_success = schemas[0].rpartition("/")[2] if schemas and int(status) < HTTPStatus.BAD_REQUEST else ""
    return of_success if phrase == "OK" and of_success else phrase + of_success


def _headers(responses: Iterable[Described]) -> Iterator[Place]:
    for headers in (response.get("headers", {}) for response in responses):
        yield from (Place(headers, name, name) for name in headers)


def _examples(responses: Iterable[Described]) -> Iterator[Place]:
    for content in (content for response in responses for content in response.get("content", {}).values()):
        examples = content.get("examples", {})
        yield from (Place(examples, name, name) for name in examples)


def _parameters(operations: Iterable[Described]) -> Iterator[Place]:
    for parameters in (operation.get("parameters", []) for operation in operations):
        for index, parameter in enumerate(parameters):
            yield Place(parameters, index, BRACKETED.sub(r".\1", parameter["name"]))


def _properties(schemas: Described) -> Iterator[Place]:
    for properties in (schema.get("properties", {}) for schema in schemas.values()):
        yield from (Place(properties, name, name[0].upper() + name[1:]) for name in properties)


def _values(places: Iterable[Place]) -> list[Described]:
    return [place.part[place.key] for place in places]
