"""What the application never sees is answered as every other error is, and logged without a word of the request."""

from __future__ import annotations

import logging
from collections import Counter
from types import MappingProxyType
from typing import TYPE_CHECKING

from gunicorn.http.errors import ParseException

from customer_service import error_handlers, observability, problems
from customer_service.errors import CustomerServiceError, Overloaded, RequestTimeout

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flask import Flask, Response

    from customer_service.observability import Identity
    from customer_service.problems import Problem

OURS = ("InvalidResponseHeader", "InvalidResponseHeaderName")
"""The errors of gunicorn's parser that are the application's fault, and not the client's."""

KINDS = (
    *(problems.PROBLEMS[error] for error in (Overloaded, RequestTimeout)),
    problems.UNREADABLE,
    *problems.REFUSALS.values(),
    problems.INTERNAL_ERROR,
)
counts = Counter({problem.status.value: 0 for problem in KINDS})
"""How many requests of this process were refused, by status."""

logger = logging.getLogger(__name__)


def init_app(app: Flask) -> None:
    """Answer a body that breaks off in the middle of its chunks, which gunicorn reads while the application runs."""
    app.register_error_handler(ParseException, _answer_unreadable)


def refusal_of(error: BaseException) -> Problem:
    """Return how an error that was met on a connection is told."""
    if isinstance(error, CustomerServiceError):
        return problems.PROBLEMS[type(error)]
    name = type(error).__name__
    if name in OURS or not isinstance(error, ParseException):
        return problems.INTERNAL_ERROR
    return problems.REFUSALS.get(name, problems.UNREADABLE)


def answer(
    error: BaseException,
    identity: Identity | None = None,
    further: Mapping[str, str] = MappingProxyType({}),
    *,
    empty: bool = False,
) -> bytes:
    """Return the whole answer, the last on its connection, to a request that the application never sees, and log it.

    It has the further headers, and is empty for a HEAD.
    """
    problem, known_by = refusal_of(error), identity or observability.identify()
    counts[problem.status.value] += 1  # threads that count at once may lose one
    known = {"status": problem.status.value, "error": type(error).__name__, **known_by.fields()}
    if problem is problems.INTERNAL_ERROR:
        logger.error("exception", exc_info=error, extra=known)
    else:
        logger.info("request", extra=known)
    body = error_handlers.body_of(problem, known_by.request_id)
    headers = {
        "Connection": "close",
        "Content-Type": problems.MEDIA_TYPE,
        "Content-Length": str(len(body)),
        "X-Content-Type-Options": "nosniff",
        **error_handlers.NEVER_KEPT,
        **problem.headers,
        **known_by.headers(),
        **further,
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {problem.status.value} {problem.status.phrase}\r\n{head}\r\n".encode() + (b"" if empty else body)


def _answer_unreadable(error: ParseException) -> Response:
    observability.annotate(error=type(error).__name__)
    return error_handlers.respond(refusal_of(error))
