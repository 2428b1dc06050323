"""What an operator sees: one JSON line for each request, tied to its request id and its trace."""

from __future__ import annotations

import contextlib
import logging
import random
import re
import time
import traceback
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
import structlog
from flask import current_app, g, request
from flask.globals import request_ctx

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from flask import Flask, Response

    from customer_service.observability.metrics import Metrics

SAFE_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=@~-]{1,128}")
TRACEPARENT = re.compile(
    r"(?P<version>(?!ff)[0-9a-f]{2})-(?P<trace>(?!0{32})[0-9a-f]{32})-(?P<span>(?!0{16})[0-9a-f]{16})"
    r"-(?P<flags>[0-9a-f]{2})(?P<rest>-.*)?"
)
"""A `traceparent` of W3C Trace Context: any version but ff, ids that are not all zero."""

SAMPLED = 0x01
CHANCE_BYTES = 40
"""Of an id for the request (16), for its trace (16) and for its span (8), made at once.

They are asked of the process: Python makes each process's generator anew when it forks. Asking the system would let
another thread take the interpreter.
"""

PROCESSORS: list[Any] = [
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def init_app(app: Flask, log_level: str, metrics: Metrics) -> None:
    """Give every request of the application an id, a trace, a line in the log on standard output, and a count."""
    app.extensions["log"] = structlog.wrap_logger(
        _Output(),
        processors=[*PROCESSORS, structlog.processors.JSONRenderer(serializer=orjson.dumps)],
        wrapper_class=structlog.make_filtering_bound_logger(log_level),
    ).bind()
    app.before_request(_begin)
    app.after_request(partial(_end, app.extensions["log"], metrics))


class ParentSpan(NamedTuple):
    """The caller's trace, its span in it, and its flags, of which only `sampled` is kept."""

    trace_id: str
    span_id: str
    trace_flags: str


class RequestIds(NamedTuple):
    """What a request is known by, to its caller and in the log."""

    request_id: str
    trace_id: str
    trace_flags: str
    span_id: str

    def headers(self) -> dict[str, str]:
        """Return the headers that tell it."""
        return {
            "X-Request-ID": self.request_id,
            "traceparent": f"00-{self.trace_id}-{self.span_id}-{self.trace_flags}",
        }

    def fields(self) -> dict[str, str]:
        """Return the fields that a log line has of it."""
        return {"requestId": self.request_id, "traceId": self.trace_id, "spanId": self.span_id}


@dataclass(slots=True)
class RequestLog:
    """What a request is known by, when it began, and what its line in the log says beyond the usual."""

    identity: RequestIds
    started: float = field(default_factory=time.perf_counter)
    fields: dict[str, Any] = field(default_factory=dict)


class _Output(structlog.BytesLogger):
    """Standard output, whose failure (a full disk, a reader that left) must not fail the requests."""

    def msg(self, message: bytes) -> None:
        with contextlib.suppress(OSError, ValueError):
            super().msg(message)

    info = error = msg


def add_fields(**fields: Any) -> None:
    """Add fields to the log line of the current request; never a token, a header or a customer's data."""
    _current().fields.update(fields)


def set_trace(trace_id: str, span_id: str, trace_flags: str) -> None:
    """Tell these of the current request, in its answer and in its log line, in place of its own."""
    request_log = _current()
    request_log.identity = RequestIds(request_log.identity.request_id, trace_id, trace_flags, span_id)


def request_id() -> str:
    """Return the id of the current request: the caller's own where it is plain, else a new one."""
    return _current().identity.request_id


def log_exception(error: BaseException) -> None:
    """Log an unexpected error by its type and its stack; its message stays out, it may quote a customer."""
    current_app.extensions["log"].error("exception", **_describe(error), **_current().identity.fields())


def logging_config(log_level: str) -> dict[str, Any]:
    """Return the configuration that makes the standard library's loggers write the same JSON lines.

    At debug only the service's own loggers say more: the driver's would quote customers, gunicorn's the requests.
    """
    level = log_level.upper()
    others = "INFO" if level == "DEBUG" else level
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "json": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": [
                    *PROCESSORS,
                    structlog.stdlib.add_logger_name,
                    structlog.stdlib.ExtraAdder(("status", "error", "requestId", "traceId", "spanId")),
                    _replace_exc_info,
                ],
                "processors": [
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    structlog.processors.JSONRenderer(),
                ],
            }
        },
        "handlers": {"stdout": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "formatter": "json"}},
        "loggers": {
            "customer_service": {"level": level},
            "gunicorn.error": {"level": others, "propagate": True},
            "gunicorn.access": {"propagate": False},
        },
        "root": {"level": others, "handlers": ["stdout"]},
    }


def _current() -> RequestLog:
    request_log: RequestLog = g.request_log
    return request_log


def _describe(error: BaseException) -> dict[str, Any]:
    frames = traceback.extract_tb(error.__traceback__)
    return {
        "type": f"{type(error).__module__}.{type(error).__qualname__}",
        "stack": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
    }


def _replace_exc_info(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Tell an exception that a library logs as `log_exception` tells ours."""
    exc_info = event.pop("exc_info", None)
    if exc_info and exc_info[1]:
        event.update(_describe(exc_info[1]))
    return event


def _begin() -> None:
    environ = request.environ
    g.request_log = RequestLog(assign_ids(environ.get("HTTP_X_REQUEST_ID", ""), environ.get("HTTP_TRACEPARENT", "")))


def assign_ids(request_id: str = "", traceparent: str = "") -> RequestIds:
    """Return what a request is known by: the ids that its caller gave where they are valid, else new ones."""
    chance = f"{random.getrandbits(8 * CHANCE_BYTES):0{2 * CHANCE_BYTES}x}"
    own_id = request_id if SAFE_REQUEST_ID.fullmatch(request_id) else chance[:32]
    caller = parse_traceparent(traceparent)
    trace_id, flags = (caller.trace_id, caller.trace_flags) if caller else (chance[32:64], "00")
    return RequestIds(own_id, trace_id, flags, chance[64:])


def parse_traceparent(traceparent: str) -> ParentSpan | None:
    """Return what a `traceparent` says, if it is valid."""
    match = TRACEPARENT.fullmatch(traceparent) if traceparent else None
    if match is None or (match["version"] == "00" and match["rest"]):
        return None
    return ParentSpan(match["trace"], match["span"], f"{int(match['flags'], 16) & SAMPLED:02x}")


def _end(log: Any, metrics: Metrics, response: Response) -> Response:
    request_log, asked = _current(), request_ctx.request
    route = asked.url_rule.rule if asked.url_rule else None
    seconds = time.perf_counter() - request_log.started
    for name, value in request_log.identity.headers().items():
        response.headers.add(name, value)
    if log.is_enabled_for(logging.INFO):
        log.info(
            "request",
            **request_log.fields,
            method=asked.method,
            route=route,
            status=response.status_code,
            durationMs=round(seconds * 1000, 3),
            **request_log.identity.fields(),
        )
    metrics.observe(asked.method, route, response.status_code, seconds)
    return response
