"""Problem responses to requests that gunicorn refuses before the application receives them."""

from __future__ import annotations

import logging
from collections import Counter
from http import HTTPStatus
from typing import TYPE_CHECKING

from flask import request
from gunicorn.http.errors import ParseException

from customer_service.errors import Overloaded
from customer_service.observability import request_log
from customer_service.web import error_handlers, problems
from customer_service.web.wsgi_environ import IS_OVERLOADED

if TYPE_CHECKING:
    from flask import Flask, Response

    from customer_service.web.problems import ProblemType

FAULTS_OF_THE_SERVICE = ("InvalidResponseHeader", "InvalidResponseHeaderName")
"""The errors of gunicorn's parser that the application causes, not the client."""

_PROBLEMS = (problems.OVERLOADED, problems.UNREADABLE, *problems.SERVER_PROBLEMS.values())
refusal_counts = Counter({problem.status.value: 0 for problem in _PROBLEMS})
"""How many requests this process refused before anything was done, by status."""

logger = logging.getLogger(__name__)


def init_app(app: Flask) -> None:
    """Refuse requests that the server did not admit in time, and bodies whose framing is wrong.

    gunicorn discovers the wrong framing of a body while the application reads it.
    """
    app.before_request(_refuse_overloaded)
    app.register_error_handler(Overloaded, _handle_overloaded)
    app.register_error_handler(ParseException, _handle_parse_error)


def problem_of(error: BaseException) -> ProblemType:
    """Return the problem type of an error on a connection."""
    name = type(error).__name__
    if name in FAULTS_OF_THE_SERVICE or not isinstance(error, ParseException):
        return problems.INTERNAL_ERROR
    return problems.SERVER_PROBLEMS.get(name, problems.UNREADABLE)


def response_to(error: BaseException) -> bytes:
    """Log a request that cannot be read, or whose response failed, and return the last response on its connection."""
    problem, ids = problem_of(error), request_log.assign_ids()
    fields = {"status": problem.status.value, "error": type(error).__name__, **ids.fields()}
    if problem is problems.INTERNAL_ERROR:
        logger.error("exception", exc_info=error, extra=fields)
    else:
        refusal_counts[problem.status.value] += 1
        logger.info("request", extra=fields)
    body = error_handlers.problem_body(problem, ids.request_id)
    headers = {
        "Connection": "close",
        "Content-Type": problems.PROBLEM_MEDIA_TYPE,
        "Content-Length": str(len(body)),
        "X-Content-Type-Options": "nosniff",
        **error_handlers.NO_STORE,
        **problem.headers,
        **ids.headers(),
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {problem.status.value} {problem.status.phrase}\r\n{head}\r\n".encode() + body


def _refuse_overloaded() -> None:
    if request.environ.get(IS_OVERLOADED):
        raise Overloaded


def _handle_overloaded(error: Overloaded) -> Response:
    """Count the request; it may also be refused after it waited for its body or for a change."""
    refusal_counts[HTTPStatus.SERVICE_UNAVAILABLE] += 1
    return error_handlers.handle_service_error(error)


def _handle_parse_error(error: ParseException) -> Response:
    request_log.add_fields(error=type(error).__name__)
    return error_handlers.problem_response(problem_of(error))
