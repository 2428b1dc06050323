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
from customer_service.web import examples
from customer_service.web.operations import Parameter, operation_of
from customer_service.web.problems import (
    FRAMEWORK_PROBLEMS,
    INTERNAL_ERROR,
    PROBLEM_MEDIA_TYPE,
    PROBLEMS,
    REQUEST_TIMEOUT,
    SERVER_PROBLEMS,
)
from customer_service.web.routing import BASE_PATHS
from customer_service.web.sharing import share

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

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
customer of the examples.

Every response has the headers `X-Request-ID` (the request's own if it is plain, else a new one), `traceparent` (W3C
Trace Context) and `X-Content-Type-Options: nosniff`. If callers are limited, it also has `RateLimit-Policy` (the
requests of a window, and its seconds) and `RateLimit` (the requests left, and the seconds to the next window). Large
answers are compressed if `Accept-Encoding` allows it. A response about an organization has
`Cache-Control: private, no-cache`: a cache must revalidate it each time. An error has `no-store`; the page of
the [problem types](docs/errors) explains each."""
TAGS = {
    "Customers": "Read, search, write and check customers. Viewers read, editors write.",
    "Members": "Who may see the organization's customers, and change them. For admins.",
    "Catalogs": "The SAT's codes with their names, and the places of zips. For every caller with a token.",
    "Health": "For the operator; a gateway must not expose these.",
}

STATUSES_WITH_EXAMPLES = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND}
"""The specification's errors, whose details are exact; the page of the problem types explains all."""

DEFAULT_STATUSES = {
    HTTPStatus.PRECONDITION_FAILED,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.SERVICE_UNAVAILABLE,
}
DEFAULT_PROBLEMS = [
    *(problem for problem in PROBLEMS.values() if problem.status in DEFAULT_STATUSES),
    *(problem for status, problem in FRAMEWORK_PROBLEMS.items() if status != HTTPStatus.METHOD_NOT_ALLOWED),
    *SERVER_PROBLEMS.values(),
    REQUEST_TIMEOUT,
    INTERNAL_ERROR,
]
"""The problems that do not depend on what an operation does: the `default` response of each operation has them all."""

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
        ("version", "The version.", "1", {"pattern": "^(0|-?[1-9][0-9]{0,18})$"}),
        (
            "external_id",
            "The caller's own id.",
            examples.EXTERNAL_ID,
            {"minLength": 1, "maxLength": MAXIMUM_TEXT_LENGTH, "pattern": WITHOUT_CONTROLS},
        ),
        (
            "user_id",
            "The `sub` of the user's tokens.",
            examples.USER_ID,
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
        tags=[{"name": name, "description": description} for name, description in TAGS.items()],
        security=[{SECURITY_SCHEME: []}],
    )
    marshmallow.converter.add_attribute_function(_schema_of_field)
    spec.components.security_scheme(SECURITY_SCHEME, {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"})
    for rule in sorted(app.url_map.iter_rules(), key=lambda rule: rule.rule):
        view = app.view_functions[rule.endpoint]
        operation = operation_of(view)
        time.sleep(0)  # a gevent worker answers other requests between two operations
        if operation is not None:
            methods = (rule.methods or set()) - IMPLIED_METHODS
            described = _describe(view, operation, rule)
            spec.path(path=path_template(rule.rule), operations={method.lower(): described for method in methods})
    document = spec.to_dict()
    _extend_failure(document["components"]["schemas"])
    share(document)
    return document


def _extend_failure(schemas: dict[str, Any]) -> None:
    """Describe a Problem as a Failure with further members."""
    inherited = schemas["Failure"]["properties"]
    own = {name: value for name, value in schemas["Problem"]["properties"].items() if name not in inherited}
    schemas["Problem"] = {
        "allOf": [{"$ref": "#/components/schemas/Failure"}],
        "properties": own,
        "required": sorted(own),
    }


def servers(base: str = "") -> list[dict[str, str]]:
    """Return the documented base paths behind an address, or behind the path prefix of a gateway."""
    return [{"url": (base + url).removesuffix("/") or "/"} for url in BASE_PATHS]


def _schema_of_field(_converter: object, schema_field: fields.Field[Any], **_: object) -> dict[str, Any]:
    """Return the JSON Schema keywords of a field's own metadata."""
    return dict(schema_field.metadata.get("schema", {}))


@cache
def path_template(rule: str) -> str:
    """Return the path template of a URL rule, with the specification's parameter names."""
    return PARAMETER.sub(lambda match: f"{{{_camel_case(match[1])}}}", rule)


def _describe(view: Callable[..., Any], operation: Operation, rule: Rule) -> dict[str, Any]:
    summary, _, description = inspect.cleandoc(view.__doc__ or "").partition("\n\n")
    return {
        "operationId": view.__name__,
        "summary": summary.rstrip("."),
        "description": " ".join((description.replace("\n", " "), *_role_note(operation))).strip(),
        "tags": [operation.tag],
        **({} if operation.role or operation.any_token else {"security": []}),
        "parameters": [
            *(_parameter("path", _camel_case(name), PATH_PARAMETERS[name]) for name in PARAMETER.findall(rule.rule)),
            *(_parameter("query", *item) for item in operation.query.items()),
            *(_parameter("header", *item) for item in operation.request_headers.items()),
        ],
        **_request(operation),
        "responses": _success_responses(operation) | _problem_responses(operation),
    }


def _parameter(place: str, name: str, value: Parameter) -> dict[str, Any]:
    style = {} if value.style is None else {"style": value.style, "explode": True}
    return {"in": place, "name": name, **style, **_parameter_object(value)}


def _parameter_object(value: Parameter) -> dict[str, Any]:
    required = {"required": True} if value.required else {}
    example = {} if value.example is None else {"example": value.example}
    return {"description": value.description, **required, "schema": dict(value.schema), **example}


def _role_note(operation: Operation) -> Iterator[str]:
    if operation.role in {"editor", "admin"}:
        yield f"It needs the role {operation.role}{' or admin' if operation.role == 'editor' else ''}."


def _request(operation: Operation) -> dict[str, Any]:
    content = {
        media_type: {"schema": schema, "example": operation.example} for media_type, schema in operation.request.items()
    }
    return {"requestBody": {"required": True, "content": content}} if content else {}


def _success_responses(operation: Operation) -> dict[str, Any]:
    return {
        str(status): {
            "description": HTTPStatus(status).phrase,
            **_headers(response.headers),
            **({"content": {response.media_type: {"schema": response.schema}}} if response.schema else {}),
        }
        for status, response in operation.responses.items()
    }


def _headers(headers: Mapping[str, Parameter]) -> dict[str, Any]:
    return {"headers": {name: _parameter_object(value) for name, value in headers.items()}} if headers else {}


def _problem_responses(operation: Operation) -> dict[str, Any]:
    """Return the response of each status of the operation's own errors, and the default one."""
    by_status: dict[HTTPStatus, list[ProblemType]] = {}
    for problem in (PROBLEMS[error] for error in operation.errors):
        if problem not in DEFAULT_PROBLEMS:
            by_status.setdefault(problem.status, []).append(problem)
    responses = {str(status.value): _problem_response(status, problems) for status, problems in by_status.items()}
    return responses | {"default": _default_response()}


def _problem_response(status: HTTPStatus, problems: Collection[ProblemType]) -> dict[str, Any]:
    by_slug = {problem.slug: problem for problem in sorted(problems, key=lambda problem: problem.slug)}
    has_examples = status in STATUSES_WITH_EXAMPLES
    examples = {slug: {"value": _example(problem)} for slug, problem in by_slug.items() if has_examples}
    return {
        "description": f"{status.phrase}: {', '.join(f'`{slug}`' for slug in by_slug)}",
        **_headers(_problem_headers(problems)),
        "content": {PROBLEM_MEDIA_TYPE: {"schema": ProblemSchema, **({"examples": examples} if examples else {})}},
    }


def _default_response() -> dict[str, Any]:
    types = sorted({f"{problem.status.value} `{problem.slug}`" for problem in DEFAULT_PROBLEMS})
    return {
        "description": f"An error that any operation can have: {', '.join(types)}.",
        **_headers(_problem_headers(DEFAULT_PROBLEMS)),
        "content": {PROBLEM_MEDIA_TYPE: {"schema": ProblemSchema}},
    }


def _problem_headers(problems: Collection[ProblemType]) -> dict[str, Parameter]:
    """Return the headers that any of the problems has; a header that all have is required."""
    headers = {}
    for name in dict.fromkeys(name for problem in problems for name in problem.headers):
        values = [problem.headers.get(name) for problem in problems]
        choice = SECONDS if name == "Retry-After" else {"enum": sorted({value for value in values if value})}
        headers[name] = Parameter("What to do next.", choice, required=None not in values)
    return headers


def _example(problem: ProblemType) -> dict[str, Any]:
    return problem.body(requestId="order-4711", **problem.example)


def _camel_case(name: str) -> str:
    return re.sub(r"_(\w)", lambda match: match[1].upper(), name)
