"""What gunicorn cannot read is answered as every other error is, and logged without a word of the request."""

from __future__ import annotations

import logging
import secrets
from typing import TYPE_CHECKING

from gunicorn.http.errors import ParseException

from customer_service import observability, problems

if TYPE_CHECKING:
    from flask import Flask, Response

    from customer_service.problems import Problem

OURS = ("InvalidResponseHeader", "InvalidResponseHeaderName")
"""The errors of gunicorn's parser that are the application's fault, and not the client's."""

logger = logging.getLogger(__name__)


def init_app(app: Flask) -> None:
    """Answer a body that breaks off in the middle of its chunks, which gunicorn reads while the application runs."""
    app.register_error_handler(ParseException, _answer_unreadable)


def refusal_of(error: BaseException) -> Problem:
    """Return how an error that gunicorn met on a connection is told."""
    name = type(error).__name__
    if name in OURS or not isinstance(error, ParseException):
        return problems.INTERNAL_ERROR
    return problems.REFUSALS.get(name, problems.UNREADABLE)


def answer(error: BaseException) -> bytes:
    """Return the whole answer to a request that never reached the application, and log that there was one."""
    problem = refusal_of(error)
    request_id = secrets.token_hex(16)
    known = {"status": problem.status.value, "requestId": request_id, "error": type(error).__name__}
    if problem is problems.INTERNAL_ERROR:
        logger.error("exception", exc_info=error, extra=known)
    else:
        logger.info("request", extra=known)
    body = problems.body_of(problem, request_id)
    headers = {
        "Connection": "close",
        "Content-Type": problems.MEDIA_TYPE,
        "Content-Length": str(len(body)),
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "X-Request-ID": request_id,
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {problem.status.value} {problem.status.phrase}\r\n{head}\r\n".encode() + body


def _answer_unreadable(error: ParseException) -> Response:
    observability.annotate(error=type(error).__name__)
    return problems.respond(refusal_of(error))
