"""Traces for who asks for them: a span of each request and of each command that it sends to MongoDB (OpenTelemetry).

It is imported only where the settings name an endpoint: its libraries are those of the extra `otel`. What a span says
is what no caller can make up: method, route's template and status, and names of commands and collections.
"""

from __future__ import annotations

import atexit
import logging
import socket
from contextvars import ContextVar
from typing import TYPE_CHECKING

from flask.globals import request_ctx
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult
from opentelemetry.trace import (
    INVALID_SPAN,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)
from pymongo.monitoring import CommandListener

from customer_service import __version__
from customer_service.observability import request_log

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flask import Flask, Response
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import Span, Tracer
    from opentelemetry.util.types import AttributeValue
    from pymongo.monitoring import CommandFailedEvent, CommandStartedEvent, CommandSucceededEvent
    from werkzeug.routing import Rule

    from customer_service.observability.request_log import ParentSpan
    from customer_service.settings import Settings

EXPORT_SECONDS = 2.0
"""How long an export may take with its repetitions, so that two of them fit into the end of a worker."""

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"})
SERVER_ERROR = 500
NOISY_LOGGERS = ("opentelemetry.exporter.otlp.proto.http.trace_exporter", "opentelemetry.sdk._shared_internal")
"""The loggers that tell of every export that fails, and of every span that finds the queue full."""

logger = logging.getLogger(__name__)
_request: ContextVar[Span] = ContextVar("request", default=INVALID_SPAN)
_command: ContextVar[Span] = ContextVar("command", default=INVALID_SPAN)


class Tracing:
    """The tracer of one application; call it after a server has forked: a thread of it exports the spans."""

    def __init__(self, settings: Settings) -> None:
        """Export to the settings' endpoint, until the process ends; the sampler is that of OTEL_TRACES_SAMPLER."""
        self._exporter = Exporter(settings.tracing.endpoint)
        self._provider = TracerProvider(resource=_resource(), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter))
        self._tracer = self._provider.get_tracer(__name__, __version__)
        self._host, self._port = socket.gethostname(), settings.server.port
        self._paths: dict[str, str] = {}
        self.commands = CommandSpans(self._tracer)
        atexit.register(self.stop)

    def instrument(self, app: Flask, path_template: Callable[[Rule], str]) -> None:
        """Make a span of every request of the application, which is complete but for this."""
        self._paths = {rule.rule: path_template(rule) for rule in app.url_map.iter_rules()}
        app.before_request(self._begin)
        app.after_request(self._end)

    def stop(self) -> None:
        """Export what is left, without waiting long for a collector that is away."""
        self._exporter.leaving = True
        self._provider.shutdown()

    def _begin(self) -> None:
        asked = request_ctx.request
        method = asked.method if asked.method in METHODS else None
        path = self._paths[asked.url_rule.rule] if asked.url_rule else None
        attributes: dict[str, AttributeValue] = {
            "http.request.method": method or "_OTHER",
            "url.scheme": asked.scheme,
            "network.protocol.version": asked.environ["SERVER_PROTOCOL"].rpartition("/")[2],
            "server.address": self._host,
            "server.port": self._port,
            **({"http.route": path} if path else {}),
        }
        name = " ".join(filter(None, (method or "HTTP", path)))
        caller = request_log.parse_traceparent(asked.environ.get("HTTP_TRACEPARENT", ""))
        span = self._tracer.start_span(name, _context_of(caller), SpanKind.SERVER, attributes)
        known = span.get_span_context()
        flags = known.trace_flags & request_log.SAMPLED
        request_log.set_trace(f"{known.trace_id:032x}", f"{known.span_id:016x}", f"{flags:02x}")
        _request.set(span)

    def _end(self, response: Response) -> Response:
        span = _request.get()
        _request.set(INVALID_SPAN)
        span.set_attribute("http.response.status_code", response.status_code)
        if response.status_code >= SERVER_ERROR:
            _fail(span, str(response.status_code))
        span.end()
        return response


class CommandSpans(CommandListener):
    """Makes a span of each command to MongoDB that belongs to a request: of its names, and never of its contents."""

    def __init__(self, tracer: Tracer) -> None:
        """Make the spans with this tracer."""
        self._tracer = tracer

    def started(self, event: CommandStartedEvent) -> None:
        """Begin a span, where the request has one that is recorded."""
        parent = _request.get()
        if not parent.is_recording():
            return
        collection = event.command.get("collection" if event.command_name == "getMore" else event.command_name)
        host, port = event.connection_id
        attributes: dict[str, AttributeValue] = {
            "db.system.name": "mongodb",
            "db.namespace": event.database_name,
            "db.operation.name": event.command_name,
            "server.address": host,
            **({"server.port": port} if port else {}),
        }
        name = event.command_name
        if isinstance(collection, str):
            attributes["db.collection.name"] = collection
            name = f"{name} {collection}"
        _command.set(self._tracer.start_span(name, set_span_in_context(parent), SpanKind.CLIENT, attributes))

    def succeeded(self, event: CommandSucceededEvent) -> None:  # noqa: ARG002 - the driver's signature
        """End the span."""
        self._end()

    def failed(self, event: CommandFailedEvent) -> None:
        """End the span with the server's code, or the name of what went wrong on the way to it."""
        code = event.failure.get("code")
        self._end(str(event.failure.get("errtype") if code is None else code))

    def _end(self, error: str | None = None) -> None:
        span = _command.get()
        _command.set(INVALID_SPAN)
        if error is not None:
            _fail(span, error)
        span.end()


class Exporter(OTLPSpanExporter):
    """Exports spans over HTTP, and tells of an outage once, and of its end."""

    def __init__(self, endpoint: str | None) -> None:
        """Export to this URL, with the headers, certificates and compression of OpenTelemetry's own variables."""
        super().__init__(endpoint=endpoint, timeout=EXPORT_SECONDS)
        self.leaving = self.failing = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export the spans; at the end not to a collector that was away at the last try."""
        if self.leaving and self.failing:
            return SpanExportResult.FAILURE
        result = super().export(spans)
        was_failing, self.failing = self.failing, result is SpanExportResult.FAILURE
        _outage.is_told &= self.failing
        if was_failing and not self.failing:
            logger.info("traces are exported again")
        return result


class _Outage(logging.Filter):
    """Lets through the first complaint of an outage, which says what is wrong."""

    is_told = False

    def filter(self, _: logging.LogRecord) -> bool:
        was_told, self.is_told = self.is_told, True
        return not was_told


_outage = _Outage()
for name in NOISY_LOGGERS:
    logging.getLogger(name).addFilter(_outage)


def _resource() -> Resource:
    """Return what the spans are of: OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say otherwise where they are set."""
    own = Resource({"service.name": "customer-service", "service.version": __version__})
    return Resource.create().merge(own).merge(OTELResourceDetector().detect())


def _context_of(caller: ParentSpan | None) -> Context | None:
    """Return the caller's span as the parent of another; its `tracestate` is free text, and nobody here reads it."""
    if caller is None:
        return None
    flags = TraceFlags(int(caller.trace_flags, 16))
    known = SpanContext(int(caller.trace_id, 16), int(caller.span_id, 16), is_remote=True, trace_flags=flags)
    return set_span_in_context(NonRecordingSpan(known))


def _fail(span: Span, error: str) -> None:
    span.set_attribute("error.type", error)
    span.set_status(StatusCode.ERROR)
