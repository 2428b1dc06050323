"""Sharing moves what is described more than once into the components, if the document gets shorter by it."""

from __future__ import annotations

from typing import Any

from customer_service.web.sharing import share

LONG = "x" * 100
HEADERS = {"ETag": {"description": LONG}}


def document(*operations: dict[str, Any], schemas: dict[str, Any] | None = None) -> dict[str, Any]:
    shared = {
        "paths": {f"/{number}": {"get": operation} for number, operation in enumerate(operations)},
        "components": {"schemas": schemas or {}},
    }
    share(shared)
    return shared


def operation(description: str = LONG, name: str = "limit", **response: Any) -> dict[str, Any]:
    return {
        "parameters": [{"name": name, "description": description}],
        "responses": {"200": {"description": description, **response}},
    }


def example() -> dict[str, Any]:
    return {"application/json": {"schema": {}, "examples": {"one": {"value": LONG}}}}


def ref(kind: str, name: str) -> dict[str, str]:
    return {"$ref": f"#/components/{kind}/{name}"}


def test_two_equal_descriptions_become_one_component() -> None:
    shared = document(operation(), operation())
    for number in "01":
        assert shared["paths"][f"/{number}"]["get"] == {
            "parameters": [ref("parameters", "limit")],
            "responses": {"200": ref("responses", "OK")},
        }
    assert shared["components"]["parameters"] == {"limit": {"name": "limit", "description": LONG}}
    assert shared["components"]["responses"] == {"OK": {"description": LONG}}


def test_a_description_in_one_place_stays_there() -> None:
    assert document(operation())["paths"]["/0"]["get"] == operation()


def test_a_short_description_stays_in_both_places() -> None:
    assert document(operation("x"), operation("x"))["paths"]["/1"]["get"] == operation("x")


def test_components_of_one_name_are_numbered() -> None:
    other = "y" * 100
    shared = document(operation(), operation(), operation(other), operation(other))
    assert shared["components"]["parameters"]["limit2"]["description"] == other
    assert shared["paths"]["/3"]["get"]["responses"] == {"200": ref("responses", "OK2")}


def test_headers_and_examples_are_shared_by_different_responses() -> None:
    shared = document(*(operation(each, headers=dict(HEADERS), content=example()) for each in ("x", "y")))
    for number in "01":
        response = shared["paths"][f"/{number}"]["get"]["responses"]["200"]
        assert response["headers"] == {"ETag": ref("headers", "ETag")}
        assert response["content"]["application/json"]["examples"] == {"one": ref("examples", "one")}


def test_a_name_comes_from_the_parameter_the_status_and_the_schema() -> None:
    content = {"application/json": {"schema": ref("schemas", "Customer")}}
    created = {"201": {"description": LONG, "content": content}}
    other = {"default": {"description": LONG, "content": content}, "409": {"description": LONG + "!"}}
    range_of = operation(name="createdAt[gte]") | {"responses": created | other}
    twin = operation(name="createdAt[gte]") | {"responses": dict(created | other)}
    components = document(range_of, twin)["components"]
    assert list(components["parameters"]) == ["createdAt.gte"]
    assert list(components["responses"]) == ["CreatedCustomer", "OtherError", "Conflict"]
    same = document(*(operation(content=content) for _ in "01"))["components"]["responses"]
    assert list(same) == ["Customer"]


def test_a_property_is_shared_with_one_of_the_same_name_only() -> None:
    value = {"type": "string", "pattern": LONG}
    schemas = {name: {"properties": {"taxId": dict(value), name: dict(value)}} for name in ("first", "second")}
    shared = document(schemas=schemas)["components"]["schemas"]
    assert shared["first"]["properties"] == {"taxId": ref("schemas", "TaxId"), "first": value}
    assert shared["TaxId"] == value
