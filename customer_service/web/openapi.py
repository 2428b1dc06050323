"""The OpenAPI 3.1 document, built from the URL map, the views' declarations and docstrings, and the schemas."""

from __future__ import annotations

import inspect
import re
import time
from functools import cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin

from customer_service.fiscal.characters import CONTROL_CHARACTERS
from customer_service.fiscal.limits import MAXIMUM_TEXT_LENGTH
from customer_service.repository import MAXIMUM_ORGANIZATION_ID_LENGTH, MAXIMUM_USER_ID_LENGTH
from customer_service.schemas.outputs import ProblemSchema
from customer_service.web.operations import Parameter, operation_of
from customer_service.web.problems import (
    ALL_PROBLEMS,
    COMMON_PROBLEMS,
    FRAMEWORK_PROBLEMS,
    INTERNAL_ERROR,
    PROBLEM_MEDIA_TYPE,
    PROBLEMS,
    TYPE_PREFIX,
)
from customer_service.web.routing import BASE_PATHS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from flask import Flask
    from marshmallow import fields
    from werkzeug.routing import Rule

    from customer_service.web.operations import Operation
    from customer_service.web.problems import ProblemType

OPENAPI_VERSION = "3.1.0"
IMPLIED_METHODS = {"HEAD", "OPTIONS"}
SECURITY_SCHEME = "bearerToken"
PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>")

DESCRIPTION = """The customers of an organization: the receivers of its Mexican e-invoices (CFDI 4.0).

To try it, press **Authorize** and paste a token, without the word Bearer. The demo, `make run`, prints one, and has the
customer of the examples."""
TAGS = {
    "Customers": "Read, search, write and check customers. Viewers read, editors write.",
    "Members": "Who may see the organization's customers, and change them. For admins.",
    "Catalogs": "The SAT's codes with their names, and the places of zips. For every caller with a token.",
    "Health": "For whoever runs the service; a gateway keeps these inside.",
}

BODY_STATUSES = (HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
"""The statuses of the errors that every request with a body can have before its content is validated."""


COMMON_HEADERS = {
    "X-Request-ID": Parameter("The request's own where it is plain, else a new one.", required=True),
    "traceparent": Parameter("W3C Trace Context.", required=True),
    "X-Content-Type-Options": Parameter("Believe the type.", {"const": "nosniff"}, required=True),
    "RateLimit-Policy": Parameter("Where callers are limited: the requests of a window, and its seconds."),
    "RateLimit": Parameter("Where callers are limited: the requests left, and the seconds to the next window."),
}
SECONDS = {"type": "string", "pattern": "^[1-9][0-9]*$"}
WITHOUT_CONTROLS = f"^[^{CONTROL_CHARACTERS}]+$"
PATH_PARAMETERS: Mapping[str, Parameter] = {
    name: Parameter(description, {"type": "string", **limits}, required=True, example=example)
    for name, description, example, limits in (
        (
            "organization_id",
            "The organization.",
            "550e8400-e29b-41d4-a716-446655440000",
            {"minLength": 1, "maxLength": MAXIMUM_ORGANIZATION_ID_LENGTH, "pattern": "^[^/]+$"},
        ),
        ("customer_id", "The customer.", "590ce6c56d04f840aa8438af", {"pattern": "^[0-9a-fA-F]{24}$"}),
        (
            "external_id",
            "The caller's own id.",
            "crm-4711",
            {"minLength": 1, "maxLength": MAXIMUM_TEXT_LENGTH, "pattern": WITHOUT_CONTROLS},
        ),
        (
            "user_id",
            "The `sub` of the user's tokens.",
            "auth0-5f7c",
            {"minLength": 1, "maxLength": MAXIMUM_USER_ID_LENGTH, "pattern": WITHOUT_CONTROLS},
        ),
        ("zip_code", "The postal code.", "86500", {"pattern": "^[0-9]{5}$"}),
    )
}


def build_document(app: Flask, version: str) -> dict[str, Any]:
    """Return the document of all routes of the application that have an Operation."""
    marshmallow: Any = MarshmallowPlugin()
    spec = APISpec(
        "Customer service",
        version,
        OPENAPI_VERSION,
        plugins=[marshmallow],
        info={"description": DESCRIPTION},
        servers=servers(),
        externalDocs={"description": "Every problem type, and what it means", "url": "docs/errors"},
        tags=[{"name": name, "description": description} for name, description in TAGS.items()],
    )
    marshmallow.converter.add_attribute_function(_schema_of_field)
    spec.components.security_scheme(SECURITY_SCHEME, {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"})
    for name, value in COMMON_HEADERS.items():
        spec.components.header(name, _parameter_object(value))
    shared = _SharedResponses(spec)
    for rule in sorted(app.url_map.iter_rules(), key=lambda rule: rule.rule):
        view = app.view_functions[rule.endpoint]
        operation = operation_of(view)
        time.sleep(0)  # a gevent worker answers other requests between two operations
        if operation is not None:
            methods = (rule.methods or set()) - IMPLIED_METHODS
            described = _describe(view, operation, rule, shared)
            spec.path(path=path_template(rule.rule), operations={method.lower(): described for method in methods})
    document = spec.to_dict()
    types = document["components"]["schemas"]["Problem"]["properties"]["type"]
    types["enum"] = sorted({TYPE_PREFIX + problem.slug for problem in ALL_PROBLEMS})
    return document


class _SharedResponses:
    """The responses that problems are, each once in the components, however many operations have it."""

    def __init__(self, spec: APISpec) -> None:
        """Add them to the components of the document."""
        self._components = spec.components
        self._names: dict[tuple[str, ...], str] = {}

    def of(self, problems: Iterable[ProblemType]) -> dict[str, str]:
        """Return the name of the response for each status of the problems."""
        by_status: dict[HTTPStatus, list[ProblemType]] = {}
        for problem in problems:
            by_status.setdefault(problem.status, []).append(problem)
        return {str(status.value): self._name(status, alike) for status, alike in by_status.items()}

    def _name(self, status: HTTPStatus, problems: list[ProblemType]) -> str:
        key = tuple(sorted(problem.slug for problem in problems))
        if key not in self._names:
            self._add_examples(problems)
            self._names[key] = self._unused_name(status.phrase.replace(" ", ""))
            self._components.response(self._names[key], _problem_response(status, problems))
        return self._names[key]

    def _add_examples(self, problems: list[ProblemType]) -> None:
        for problem in problems:
            if problem.slug not in self._components.examples:
                self._components.example(problem.slug, {"value": _example(problem)})

    def _unused_name(self, phrase: str) -> str:
        alike = sum(name.startswith(phrase) for name in self._names.values())
        return f"{phrase}{alike + 1}" if alike else phrase


def servers(prefix: str = "") -> list[dict[str, str]]:
    """Return the documented base paths behind the path prefix of a gateway."""
    return [{"url": (prefix + url).removesuffix("/") or "/"} for url in BASE_PATHS]


def _schema_of_field(_converter: object, schema_field: fields.Field[Any], **_: object) -> dict[str, Any]:
    """Return the JSON Schema keywords of a field's own metadata."""
    return dict(schema_field.metadata.get("schema", {}))


@cache
def path_template(rule: str) -> str:
    """Return the path template of a URL rule, with the specification's parameter names."""
    return PARAMETER.sub(lambda match: f"{{{_camel_case(match[1])}}}", rule)


def _describe(view: Callable[..., Any], operation: Operation, rule: Rule, shared: _SharedResponses) -> dict[str, Any]:
    summary, _, description = inspect.cleandoc(view.__doc__ or "").partition("\n\n")
    return {
        "operationId": view.__name__,
        "summary": summary.rstrip("."),
        "description": " ".join((description.replace("\n", " "), *_role_note(operation))).strip(),
        "tags": [operation.tag],
        "security": [{SECURITY_SCHEME: []}] if operation.role or operation.any_token else [],
        "parameters": [
            *(_parameter("path", _camel_case(name), PATH_PARAMETERS[name]) for name in PARAMETER.findall(rule.rule)),
            *(_parameter("query", *item) for item in operation.query.items()),
            *(_parameter("header", *item) for item in operation.request_headers.items()),
        ],
        **_request(operation),
        "responses": _success_responses(operation) | shared.of(_problems(operation, rule)),
    }


def _parameter(place: str, name: str, value: Parameter) -> dict[str, Any]:
    style = {} if value.style is None else {"style": value.style, "explode": True}
    return {"in": place, "name": name, **style, **_parameter_object(value)}


def _parameter_object(value: Parameter) -> dict[str, Any]:
    example = {} if value.example is None else {"example": value.example}
    return {"description": value.description, "required": value.required, "schema": dict(value.schema), **example}


def _role_note(operation: Operation) -> Iterator[str]:
    if operation.role in {"editor", "admin"}:
        yield f"It needs the role {operation.role}{' or admin' if operation.role == 'editor' else ''}."


def _request(operation: Operation) -> dict[str, Any]:
    content = {media_type: {"schema": schema} for media_type, schema in operation.request.items()}
    return {"requestBody": {"required": True, "content": content}} if content else {}


def _success_responses(operation: Operation) -> dict[str, Any]:
    return {
        str(status): {
            "description": HTTPStatus(status).phrase,
            "headers": _headers(response.headers),
            **({"content": {response.media_type: {"schema": response.schema}}} if response.schema else {}),
        }
        for status, response in operation.responses.items()
    }


def _headers(specific: Mapping[str, Parameter]) -> dict[str, Any]:
    described = {name: _parameter_object(value) for name, value in specific.items()}
    return described | {name: name for name in COMMON_HEADERS}


def _problems(operation: Operation, rule: Rule) -> Iterator[ProblemType]:
    yield from (PROBLEMS[error] for error in operation.errors)
    yield from (FRAMEWORK_PROBLEMS[status] for status in BODY_STATUSES if operation.request)
    if rule.arguments:
        yield FRAMEWORK_PROBLEMS[HTTPStatus.NOT_FOUND]
    yield from COMMON_PROBLEMS
    yield INTERNAL_ERROR


def _problem_response(status: HTTPStatus, problems: list[ProblemType]) -> dict[str, Any]:
    examples = {problem.slug: problem.slug for problem in problems}
    return {
        "description": status.phrase,
        "headers": _headers(_problem_headers(problems)),
        "content": {PROBLEM_MEDIA_TYPE: {"schema": ProblemSchema, "examples": examples}},
    }


def _problem_headers(problems: list[ProblemType]) -> dict[str, Parameter]:
    """Return the headers that any of the problems has; a header that all have is required."""
    headers = {"Cache-Control": Parameter("Never kept.", {"const": "no-store"}, required=True)}
    for name in dict.fromkeys(name for problem in problems for name in problem.headers):
        values = [problem.headers.get(name) for problem in problems]
        choice = SECONDS if name == "Retry-After" else {"enum": sorted({value for value in values if value})}
        headers[name] = Parameter("What to do next.", choice, required=None not in values)
    return headers


def _example(problem: ProblemType) -> dict[str, Any]:
    return problem.body(requestId="0af7651916cd43dd8448eb211c80319c", **problem.example)


def _camel_case(name: str) -> str:
    return re.sub(r"_(\w)", lambda match: match[1].upper(), name)
