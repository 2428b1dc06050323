"""Every error becomes an RFC 9457 response here, and nowhere else."""

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
from customer_service.web.problems import FRAMEWORK_PROBLEMS, INTERNAL_ERROR, MEDIA_TYPE, PROBLEMS, TYPE_PREFIX

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flask import Flask

    from customer_service.web.problems import Problem

NO_STORE = {"Cache-Control": "no-store"}


def init_app(app: Flask) -> None:
    """Answer every error of the application as a problem."""
    app.register_error_handler(errors.CustomerServiceError, _answer_own)
    app.register_error_handler(HTTPException, _answer_http)
    app.register_error_handler(Exception, _answer_unexpected)


def problem_body(problem: Problem, request_id: str, members: Mapping[str, object] = MappingProxyType({})) -> bytes:
    """Return the problem as it is answered, with what this occurrence says beyond its kind."""
    body = {**_kind(problem), "requestId": request_id, **members}
    return orjson.dumps(body, option=orjson.OPT_APPEND_NEWLINE)


def problem_of_error(error: errors.CustomerServiceError) -> dict[str, object]:
    """Return one of the service's errors as a part of an answer that is no problem as a whole."""
    return {**_kind(PROBLEMS[type(error)]), **_members(error)}


def problem_response(problem: Problem, members: Mapping[str, object] = MappingProxyType({})) -> Response:
    """Answer the current request with a problem."""
    response = Response(
        problem_body(problem, request_log.request_id(), members),
        status=problem.status,
        mimetype=MEDIA_TYPE,
        headers=NO_STORE,
    )
    response.headers.update(problem.headers)
    return response


def _answer_own(error: errors.CustomerServiceError) -> Response:
    problem = PROBLEMS[type(error)]
    request_log.add_fields(error=type(error).__name__)
    if str(error):
        request_log.add_fields(reason=str(error))
    if problem.status == HTTPStatus.UNAUTHORIZED:  # of whom nothing else is known
        request_log.add_fields(client=request.remote_addr)
    return problem_response(problem, _members(error))


def _kind(problem: Problem) -> dict[str, object]:
    return {
        "type": TYPE_PREFIX + problem.slug,
        "title": problem.status.phrase,
        "status": problem.status.value,
        "detail": problem.detail,
    }


def _members(error: errors.CustomerServiceError) -> Mapping[str, object]:
    """Return what this occurrence says beyond its kind.

    That may be the path of the customer in the way of a write, behind whatever prefix the request came by.
    """
    if not isinstance(error, errors.Duplicate):
        return error.members
    organization, customer = error.organization_id, error.customer_id
    path = url_for("customers.get_customer", organization_id=organization, customer_id=customer)
    return {**error.members, "existing": path}


def _answer_http(error: HTTPException) -> Response:
    """Tell an error of the framework, keeping its headers, such as Allow."""
    problem = FRAMEWORK_PROBLEMS.get(HTTPStatus(error.code or HTTPStatus.INTERNAL_SERVER_ERROR))
    if problem is None:
        return _answer_unexpected(error)
    headers = {name: value for name, value in error.get_headers() if name != "Content-Type"}
    return problem_response(replace(problem, headers=headers, detail=_detail_of(error, problem)))


def _detail_of(error: HTTPException, problem: Problem) -> str:
    if error.description and error.description != type(error).description:
        return error.description
    if problem.status == HTTPStatus.NOT_FOUND and request.path.endswith("/"):
        return f"{problem.detail} Leave out the slash at the end of the path."
    return problem.detail


def _answer_unexpected(error: Exception) -> Response:
    request_log.log_exception(error)
    return problem_response(INTERNAL_ERROR)
