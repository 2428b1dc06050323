"""Error handlers: every error of the application becomes a problem response (RFC 9457) here."""

from __future__ import annotations

from dataclasses import replace
from http import HTTPStatus
from types import MappingProxyType
from typing import TYPE_CHECKING

import orjson
from flask import Response, request, url_for
from werkzeug.exceptions import HTTPException

from customer_service import errors
from customer_service.observability import request_log
from customer_service.web.problems import FRAMEWORK_PROBLEMS, INTERNAL_ERROR, PROBLEM_MEDIA_TYPE, PROBLEMS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flask import Flask

    from customer_service.web.problems import ProblemType

NO_STORE = {"Cache-Control": "no-store"}


def init_app(app: Flask) -> None:
    """Return a problem response for every error of the application."""
    app.register_error_handler(errors.CustomerServiceError, handle_service_error)
    app.register_error_handler(HTTPException, _handle_framework_error)
    app.register_error_handler(Exception, _handle_unexpected_error)


def problem_body(problem: ProblemType, request_id: str, members: Mapping[str, object] = MappingProxyType({})) -> bytes:
    """Return the serialized problem with the members of this occurrence."""
    return orjson.dumps(problem.body(requestId=request_id, **members), option=orjson.OPT_APPEND_NEWLINE)


def problem_of_error(error: errors.CustomerServiceError) -> dict[str, object]:
    """Return one of the service's errors as a problem within a successful response."""
    return PROBLEMS[type(error)].body(**_members(error))


def problem_response(problem: ProblemType, members: Mapping[str, object] = MappingProxyType({})) -> Response:
    """Return the problem response to the current request."""
    response = Response(
        problem_body(problem, request_log.request_id(), members),
        status=problem.status,
        mimetype=PROBLEM_MEDIA_TYPE,
        headers=NO_STORE,
    )
    response.headers.update(problem.headers)
    return response


def handle_service_error(error: errors.CustomerServiceError) -> Response:
    """Return the problem response for an error of the service, which the log names."""
    problem = PROBLEMS[type(error)]
    request_log.add_fields(error=type(error).__name__)
    if str(error):
        request_log.add_fields(reason=str(error))
    return problem_response(problem, _members(error))


def _members(error: errors.CustomerServiceError) -> Mapping[str, object]:
    """Return the problem members of one error; for a duplicate also the path of the existing customer."""
    if not isinstance(error, errors.Duplicate):
        return error.members
    organization, customer = error.organization_id, error.customer_id
    path = url_for("customers.get_customer", organization_id=organization, customer_id=customer)
    return {**error.members, "existing": path}


def _handle_framework_error(error: HTTPException) -> Response:
    """Return the problem response for an error of the framework, with the error's headers, such as Allow."""
    problem = FRAMEWORK_PROBLEMS.get(HTTPStatus(error.code or HTTPStatus.INTERNAL_SERVER_ERROR))
    if problem is None:
        return _handle_unexpected_error(error)
    headers = {name: value for name, value in error.get_headers() if name != "Content-Type"}
    return problem_response(replace(problem, headers=headers, detail=_detail_of(error, problem)))


def _detail_of(error: HTTPException, problem: ProblemType) -> str:
    if error.description and error.description != type(error).description:
        return error.description
    if problem.status == HTTPStatus.NOT_FOUND and request.path.endswith("/"):
        return f"{problem.detail} Leave out the slash at the end of the path."
    return problem.detail


def _handle_unexpected_error(error: Exception) -> Response:
    request_log.log_exception(error)
    return problem_response(INTERNAL_ERROR)
