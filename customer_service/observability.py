"""What an operator sees: one JSON line for each request, tied to its request id and its trace."""

from __future__ import annotations

import contextlib
import re
import secrets
import time
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
import structlog
from flask import current_app, g, request

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from flask import Flask, Response

SAFE_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=@~-]{1,128}")
TRACEPARENT = re.compile(
    r"(?P<version>(?!ff)[0-9a-f]{2})-(?P<trace>(?!0{32})[0-9a-f]{32})-(?!0{16})[0-9a-f]{16}"
    r"-(?P<flags>[0-9a-f]{2})(?P<rest>-.*)?"
)
"""A `traceparent` of W3C Trace Context: any version but ff, ids that are not all zero."""

SAMPLED = 0x01

PROCESSORS: list[Any] = [
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def init_app(app: Flask, log_level: str) -> None:
    """Give every request of the application an id, a trace and a line in the log on standard output."""
    app.extensions["log"] = structlog.wrap_logger(
        _Output(),
        processors=[*PROCESSORS, structlog.processors.JSONRenderer(serializer=orjson.dumps)],
        wrapper_class=structlog.make_filtering_bound_logger(log_level),
    )
    app.before_request(_begin)
    app.after_request(_end)


@dataclass(frozen=True, slots=True)
class Identity:
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


class _Output(structlog.BytesLogger):
    """Standard output, whose failure (a full disk, a reader that left) must not fail the requests."""

    def msg(self, message: bytes) -> None:
        with contextlib.suppress(OSError, ValueError):
            super().msg(message)

    info = error = msg


def annotate(**fields: Any) -> None:
    """Add fields to the log line of the current request; never a token, a header or a customer's data."""
    g.log_fields.update(fields)


def log_exception(error: BaseException) -> None:
    """Log an unexpected error by its type and its stack; its message stays out, it may quote a customer."""
    current_app.extensions["log"].error("exception", **_describe(error), **g.identity.fields())


def log_refusal(app: Flask, status: int, reason: str, identity: Identity) -> None:
    """Write the line of a request that was refused before the application saw it."""
    app.extensions["log"].info("request", status=status, error=reason, **identity.fields())


def logging_config(log_level: str) -> dict[str, Any]:
    """Return the configuration that makes the standard library's loggers write the same JSON lines."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "json": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": [*PROCESSORS, structlog.stdlib.add_logger_name, _replace_exc_info],
                "processors": [
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    structlog.processors.JSONRenderer(),
                ],
            }
        },
        "handlers": {"stdout": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "formatter": "json"}},
        "loggers": {"gunicorn.error": {"propagate": True}, "gunicorn.access": {"propagate": False}},
        "root": {"level": log_level.upper(), "handlers": ["stdout"]},
    }


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
    g.started = time.perf_counter()
    g.log_fields = {}
    g.identity = identify(request.headers.get("X-Request-ID", ""), request.headers.get("traceparent", ""))


def identify(request_id: str, traceparent: str) -> Identity:
    """Return what a request is known by: the ids that its caller gave where they are valid, else new ones."""
    own_id = request_id if SAFE_REQUEST_ID.fullmatch(request_id) else secrets.token_hex(16)
    return Identity(own_id, *_trace(traceparent), secrets.token_hex(8))


def _trace(traceparent: str) -> tuple[str, str]:
    """Return the trace id and flags to go on with: the caller's if they are valid, else new ones."""
    match = TRACEPARENT.fullmatch(traceparent)
    if match is None or (match["version"] == "00" and match["rest"]):
        return secrets.token_hex(16), "00"
    return match["trace"], f"{int(match['flags'], 16) & SAMPLED:02x}"


def _end(response: Response) -> Response:
    response.headers.update(g.identity.headers())
    rule = request.url_rule
    g.log_fields.update(
        method=request.method,
        route=rule.rule if rule else None,
        status=response.status_code,
        durationMs=round((time.perf_counter() - g.started) * 1000, 3),
        **g.identity.fields(),
    )
    current_app.extensions["log"].info("request", **g.log_fields)
    return response
