"""The log: one JSON line for each request, with its request id and its trace."""

from __future__ import annotations

import contextlib
import logging
import re
import time
import traceback
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from secrets import token_hex
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
import structlog
from flask import current_app, g, request

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping

    from flask import Flask, Response

    from customer_service.observability.metrics import Metrics

SAFE_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=@~-]{1,128}")
TRACEPARENT = re.compile(
    r"(?P<version>(?!ff)[0-9a-f]{2})-(?P<trace>(?!0{32})[0-9a-f]{32})-(?P<span>(?!0{16})[0-9a-f]{16})"
    r"-(?P<flags>[0-9a-f]{2})(?P<rest>-.*)?"
)
"""A `traceparent` of W3C Trace Context: any version but ff, ids that are not all zero."""

SAMPLED = 0x01
PROCESSORS: list[Any] = [
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def init_app(app: Flask, log_level: str, metrics: Metrics, path_template: Callable[[str], str]) -> None:
    """Give every request an id, a trace, a log line on standard output, and a count in the metrics.

    `path_template` returns the public spelling of a URL rule, for the log, the metrics and the spans.
    """
    app.extensions["path_template"] = path_template
    app.extensions["log"] = structlog.wrap_logger(
        _StandardOutput(),
        processors=[*PROCESSORS, structlog.processors.JSONRenderer(serializer=orjson.dumps)],
        wrapper_class=structlog.make_filtering_bound_logger(log_level),
    ).bind()
    app.before_request(_begin)
    app.after_request(partial(_end, app.extensions["log"], metrics))


class ParentSpan(NamedTuple):
    """The trace of the client's request, the client's span in it, and its flags, of which only `sampled` is kept."""

    trace_id: str
    span_id: str
    trace_flags: str


class RequestIds(NamedTuple):
    """The ids of a request, which its response and its log line have."""

    request_id: str
    trace_id: str
    trace_flags: str
    span_id: str

    def headers(self) -> dict[str, str]:
        """Return the headers of the response."""
        return {
            "X-Request-ID": self.request_id,
            "traceparent": f"00-{self.trace_id}-{self.span_id}-{self.trace_flags}",
        }

    def fields(self) -> dict[str, str]:
        """Return the fields of the log line."""
        return {"requestId": self.request_id, "traceId": self.trace_id, "spanId": self.span_id}


@dataclass(slots=True)
class RequestLog:
    """The ids of a request, its start, and the additional fields of its log line."""

    ids: RequestIds
    started: float = field(default_factory=time.perf_counter)
    fields: dict[str, Any] = field(default_factory=dict)


class _StandardOutput(structlog.BytesLogger):
    """Standard output; a failed write, to a full disk or a closed pipe, fails no request."""

    def msg(self, message: bytes) -> None:
        with contextlib.suppress(OSError, ValueError):
            super().msg(message)

    info = error = msg


def add_fields(**fields: Any) -> None:
    """Add fields to the log line of the current request; never a token, a header or a customer's data."""
    _current().fields.update(fields)


def set_trace(trace_id: str, span_id: str, trace_flags: str) -> None:
    """Replace the current request's trace by that of a tracing library, in its response and its log line."""
    current = _current()
    current.ids = RequestIds(current.ids.request_id, trace_id, trace_flags, span_id)


def request_id() -> str:
    """Return the id of the current request: the client's if it is safe, else a new one."""
    return _current().ids.request_id


def route() -> str | None:
    """Return the path template of the current request's route, None if no route matched."""
    rule = request.url_rule
    return current_app.extensions["path_template"](rule.rule) if rule else None


def log_exception(error: BaseException) -> None:
    """Log an unexpected error with its type and stack, but without its message, which may quote a customer."""
    current_app.extensions["log"].error("exception", **_describe(error), **_current().ids.fields())


def logging_config(log_level: str) -> dict[str, Any]:
    """Return the configuration that makes the standard library's loggers write the same JSON lines.

    At debug level only the service's own loggers log more: the driver's would quote customers, gunicorn's the requests.
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


def assign_ids(request_id: str = "", traceparent: str = "") -> RequestIds:
    """Return the ids of a request: those that the client sent if they are valid, else new ones."""
    own_id = request_id if SAFE_REQUEST_ID.fullmatch(request_id) else token_hex(16)
    parent = parse_traceparent(traceparent)
    trace_id, flags = (parent.trace_id, parent.trace_flags) if parent else (token_hex(16), "00")
    return RequestIds(own_id, trace_id, flags, token_hex(8))


def parse_traceparent(traceparent: str) -> ParentSpan | None:
    """Return the span that a `traceparent` names, None if it is not valid."""
    match = TRACEPARENT.fullmatch(traceparent) if traceparent else None
    if match is None or (match["version"] == "00" and match["rest"]):
        return None
    return ParentSpan(match["trace"], match["span"], f"{int(match['flags'], 16) & SAMPLED:02x}")


def _current() -> RequestLog:
    current: RequestLog = g.request_log
    return current


def _describe(error: BaseException) -> dict[str, Any]:
    frames = traceback.extract_tb(error.__traceback__)
    return {
        "type": f"{type(error).__module__}.{type(error).__qualname__}",
        "stack": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
    }


def _replace_exc_info(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Describe an exception that a library logs as `log_exception` does."""
    exc_info = event.pop("exc_info", None)
    if exc_info and exc_info[1]:
        event.update(_describe(exc_info[1]))
    return event


def _begin() -> None:
    environ = request.environ
    g.request_log = RequestLog(assign_ids(environ.get("HTTP_X_REQUEST_ID", ""), environ.get("HTTP_TRACEPARENT", "")))


def _end(log: Any, metrics: Metrics, response: Response) -> Response:
    current, method, template = _current(), request.method, route()
    seconds = time.perf_counter() - current.started
    for name, value in current.ids.headers().items():
        response.headers.add(name, value)
    if response.status_code == HTTPStatus.UNAUTHORIZED:  # the only status for which the log has the address
        add_fields(client=request.remote_addr)
    if log.is_enabled_for(logging.INFO):
        log.info(
            "request",
            **current.fields,
            method=method,
            route=template,
            status=response.status_code,
            durationMs=round(seconds * 1000, 3),
            **current.ids.fields(),
        )
    metrics.observe(method, template, response.status_code, seconds)
    return response
