"""The OpenAPI 3.1 document, made from the url map, the views' docstrings, the schemas and the problems."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin

from customer_service.problems import MEDIA_TYPE, PROBLEMS, TYPE_PREFIX
from customer_service.schemas import ProblemSchema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from flask import Flask
    from marshmallow import Schema
    from werkzeug.routing import Rule

    from customer_service.errors import CustomerServiceError
    from customer_service.repository import Role

OPENAPI_VERSION = "3.1.0"
SERVERS = ("/", "/api")
"""The documented base paths; the application answers under each."""

IMPLIED_METHODS = {"HEAD", "OPTIONS"}
BEARER = "bearerToken"
PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>")

View = TypeVar("View", bound="Callable[..., Any]")


@dataclass(frozen=True, slots=True)
class Operation:
    """What a route says of itself beyond its docstring, its rule and its name; `role` is the least that may call it."""

    tag: str
    responses: Mapping[int, type[Schema] | None]
    role: Role | None
    errors: tuple[type[CustomerServiceError], ...] = ()
    request: Mapping[str, type[Schema]] = field(default_factory=dict)
    request_headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    response_headers: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, view: View) -> View:
        """Attach this to a view, as its decorator."""
        _operations[view] = self
        return view


_operations: dict[Callable[..., Any], Operation] = {}


def build(app: Flask, version: str) -> dict[str, Any]:
    """Return the document of every route that the application has by now; each must carry an Operation."""
    spec = APISpec(
        "Customer service",
        version,
        OPENAPI_VERSION,
        plugins=[MarshmallowPlugin()],
        info={"description": "The customers of an organization: the receivers of its invoices (CFDI 4.0)."},
        servers=[{"url": url} for url in SERVERS],
    )
    spec.components.security_scheme(BEARER, {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"})
    for rule in sorted(app.url_map.iter_rules(), key=lambda rule: rule.rule):
        view = app.view_functions[rule.endpoint]
        methods = (rule.methods or set()) - IMPLIED_METHODS
        description = _describe(view, _operations[view], rule)
        spec.path(path=path_of(rule), operations={method.lower(): description for method in methods})
    return spec.to_dict()


def role_of(view: Callable[..., Any]) -> Role:
    """Return the least role that may call the view; the highest where it says nothing."""
    operation = _operations.get(view)
    return (operation and operation.role) or "admin"


def path_of(rule: Rule) -> str:
    """Return the path template of a rule, its parameters named as the specification names them."""
    return PARAMETER.sub(lambda match: f"{{{_camel(match[1])}}}", rule.rule)


def _describe(view: Callable[..., Any], operation: Operation, rule: Rule) -> dict[str, Any]:
    summary, _, description = inspect.cleandoc(view.__doc__ or "").partition("\n\n")
    return {
        "operationId": view.__name__,
        "summary": summary.rstrip("."),
        "description": " ".join((description.replace("\n", " "), *_role_note(operation))).strip(),
        "tags": [operation.tag],
        "security": [{BEARER: []}] if operation.role else [],
        "parameters": [
            *(_parameter("path", _camel(name), "") for name in PARAMETER.findall(rule.rule)),
            *(_parameter("query", *item) for item in operation.query.items()),
            *(_parameter("header", *item) for item in operation.request_headers.items()),
        ],
        **_request(operation),
        "responses": _answers(operation) | _failures(operation.errors),
    }


def _parameter(place: str, name: str, description: str) -> dict[str, Any]:
    parameter = {"in": place, "name": name, "required": place == "path", "schema": {"type": "string"}}
    return parameter | ({"description": description} if description else {})


def _role_note(operation: Operation) -> Iterator[str]:
    if operation.role in {"editor", "admin"}:
        yield f"It needs the role {operation.role}{' or admin' if operation.role == 'editor' else ''}."


def _request(operation: Operation) -> dict[str, Any]:
    if not operation.request:
        return {}
    content = {media_type: {"schema": schema} for media_type, schema in operation.request.items()}
    return {"requestBody": {"required": True, "content": content}}


def _answers(operation: Operation) -> dict[str, Any]:
    headers = {
        name: {"description": description, "schema": {"type": "string"}}
        for name, description in operation.response_headers.items()
    }
    return {
        str(status): {
            "description": HTTPStatus(status).phrase,
            **({"headers": headers} if headers else {}),
            **({"content": {"application/json": {"schema": schema}}} if schema else {}),
        }
        for status, schema in operation.responses.items()
    }


def _failures(errors: Iterable[type[CustomerServiceError]]) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for error in errors:
        problem = PROBLEMS[error]
        response = responses.setdefault(
            str(problem.status.value),
            {
                "description": problem.status.phrase,
                "headers": {name: {"schema": {"type": "string"}} for name in problem.headers},
                "content": {MEDIA_TYPE: {"schema": ProblemSchema, "examples": {}}},
            },
        )
        response["content"][MEDIA_TYPE]["examples"][problem.slug] = {
            "value": {
                "type": TYPE_PREFIX + problem.slug,
                "title": problem.status.phrase,
                "status": problem.status.value,
                "detail": problem.detail,
                "requestId": "0af7651916cd43dd8448eb211c80319c",
            }
        }
    return responses


def _camel(name: str) -> str:
    return re.sub(r"_(\w)", lambda match: match[1].upper(), name)
