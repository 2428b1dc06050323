"""The OpenAPI 3.1 document, made from the url map, the views' docstrings, the schemas and the problems."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin

from customer_service.problems import MEDIA_TYPE, PROBLEMS, TYPE_PREFIX
from customer_service.schemas import ProblemSchema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from flask import Flask
    from marshmallow import Schema
    from werkzeug.routing import Rule

    from customer_service.errors import CustomerServiceError

OPENAPI_VERSION = "3.1.0"
SERVERS = ("/", "/api")
"""The documented base paths; the application answers under each."""

IMPLIED_METHODS = {"HEAD", "OPTIONS"}
BEARER = "bearerToken"

View = TypeVar("View", bound="Callable[..., Any]")


@dataclass(frozen=True, slots=True)
class Operation:
    """What the document says of a view beyond its docstring, its rule and its name."""

    tag: str
    responses: Mapping[int, type[Schema] | None]
    errors: tuple[type[CustomerServiceError], ...] = ()
    request_headers: Mapping[str, str] | None = None
    response_headers: Mapping[str, str] | None = None
    public: bool = False

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


def path_of(rule: Rule) -> str:
    """Return the path template of a rule, its parameters named as the specification names them."""
    return re.sub(r"<(\w+)>", lambda match: f"{{{_camel(match[1])}}}", rule.rule)


def _describe(view: Callable[..., Any], operation: Operation, rule: Rule) -> dict[str, Any]:
    summary, _, description = inspect.cleandoc(view.__doc__ or "").partition("\n\n")
    return {
        "operationId": view.__name__,
        "summary": summary.rstrip("."),
        "description": description.replace("\n", " "),
        "tags": [operation.tag],
        "security": [] if operation.public else [{BEARER: []}],
        "parameters": [
            *(_parameter("path", _camel(name), "") for name in re.findall(r"<(\w+)>", rule.rule)),
            *(_parameter("header", *item) for item in (operation.request_headers or {}).items()),
        ],
        "responses": _answers(operation) | _failures(operation.errors),
    }


def _parameter(place: str, name: str, description: str) -> dict[str, Any]:
    parameter = {"in": place, "name": name, "required": place == "path", "schema": {"type": "string"}}
    return parameter | ({"description": description} if description else {})


def _answers(operation: Operation) -> dict[str, Any]:
    headers = {
        name: {"description": description, "schema": {"type": "string"}}
        for name, description in (operation.response_headers or {}).items()
    }
    return {
        str(status): {
            "description": HTTPStatus(status).phrase,
            "headers": headers,
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
