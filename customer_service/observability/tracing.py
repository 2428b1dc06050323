"""OpenTelemetry tracing: a span of each request and of each command that it sends to MongoDB.

It is imported only if the settings name an endpoint, since it needs the extra `otel`. A span has only what no caller
can choose: the method, the route's template, the status, and the names of commands and collections.
"""

from __future__ import annotations

import atexit
import logging
import socket
from contextvars import ContextVar
from typing import TYPE_CHECKING

from flask import request
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
    from collections.abc import Sequence

    from flask import Flask, Response
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import Span, Tracer
    from opentelemetry.util.types import AttributeValue
    from pymongo.monitoring import CommandFailedEvent, CommandStartedEvent, CommandSucceededEvent

    from customer_service.observability.request_log import ParentSpan
    from customer_service.settings import Settings

EXPORT_SECONDS = 2.0
"""How long an export may take with its retries, so that two of them fit into the end of a worker."""

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"})
SERVER_ERROR = 500
NOISY_LOGGERS = ("opentelemetry.exporter.otlp.proto.http.trace_exporter", "opentelemetry.sdk._shared_internal")
"""The loggers that log every failed export, and every span that is dropped because the queue is full."""

logger = logging.getLogger(__name__)
_request: ContextVar[Span] = ContextVar("request", default=INVALID_SPAN)
_command: ContextVar[Span] = ContextVar("command", default=INVALID_SPAN)


class Tracing:
    """The tracer of one application; create it after a server has forked: its thread exports the spans."""

    def __init__(self, settings: Settings) -> None:
        """Export to the settings' endpoint until the process ends, with the sampler of OTEL_TRACES_SAMPLER."""
        self._exporter = Exporter(settings.tracing.endpoint)
        self._provider = TracerProvider(resource=_resource(), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter))
        self._tracer = self._provider.get_tracer(__name__, __version__)
        self._host, self._port = socket.gethostname(), settings.server.port
        self.commands = CommandSpans(self._tracer)
        atexit.register(self.stop)

    def instrument(self, app: Flask) -> None:
        """Create a span for every request of the application."""
        app.before_request(self._begin)
        app.after_request(self._end)

    def stop(self) -> None:
        """Export the remaining spans, without waiting long for a collector that does not respond."""
        self._exporter.is_stopping = True
        self._provider.shutdown()

    def _begin(self) -> None:
        method = request.method if request.method in METHODS else None
        route = request_log.route()
        attributes: dict[str, AttributeValue] = {
            "http.request.method": method or "_OTHER",
            "url.scheme": request.scheme,
            "network.protocol.version": request.environ["SERVER_PROTOCOL"].rpartition("/")[2],
            "server.address": self._host,
            "server.port": self._port,
            **({"http.route": route} if route else {}),
        }
        name = " ".join(filter(None, (method or "HTTP", route)))
        parent = request_log.parse_traceparent(request.environ.get("HTTP_TRACEPARENT", ""))
        span = self._tracer.start_span(name, _context_of(parent), SpanKind.SERVER, attributes)
        context = span.get_span_context()
        flags = context.trace_flags & request_log.SAMPLED
        request_log.set_trace(f"{context.trace_id:032x}", f"{context.span_id:016x}", f"{flags:02x}")
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
    """Creates a span for each MongoDB command of a request, with its names and never its contents."""

    def __init__(self, tracer: Tracer) -> None:
        """Create the spans with this tracer."""
        self._tracer = tracer

    def started(self, event: CommandStartedEvent) -> None:
        """Start a span if the request's own span is recorded."""
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
        """End the span with the server's error code, or with the name of the driver's error."""
        code = event.failure.get("code")
        self._end(str(event.failure.get("errtype") if code is None else code))

    def _end(self, error: str | None = None) -> None:
        span = _command.get()
        _command.set(INVALID_SPAN)
        if error is not None:
            _fail(span, error)
        span.end()


class Exporter(OTLPSpanExporter):
    """Exports spans over HTTP, and logs the start and the end of an outage once each."""

    def __init__(self, endpoint: str | None) -> None:
        """Export to this URL, with the headers, certificates and compression of OpenTelemetry's own variables."""
        super().__init__(endpoint=endpoint, timeout=EXPORT_SECONDS)
        self.is_stopping = self.is_failing = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export the spans; a stopping process does not try a collector that failed the last time."""
        if self.is_stopping and self.is_failing:
            return SpanExportResult.FAILURE
        result = super().export(spans)
        was_failing, self.is_failing = self.is_failing, result is SpanExportResult.FAILURE
        _outage.is_logged &= self.is_failing
        if was_failing and not self.is_failing:
            logger.info("traces are exported again")
        return result


class _Outage(logging.Filter):
    """Passes only the first log record of an outage, which has the reason."""

    is_logged = False

    def filter(self, _: logging.LogRecord) -> bool:
        was_logged, self.is_logged = self.is_logged, True
        return not was_logged


_outage = _Outage()
for name in NOISY_LOGGERS:
    logging.getLogger(name).addFilter(_outage)


def _resource() -> Resource:
    """Return the resource of the spans; OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES override our own attributes."""
    own = Resource({"service.name": "customer-service", "service.version": __version__})
    return Resource.create().merge(own).merge(OTELResourceDetector().detect())


def _context_of(parent: ParentSpan | None) -> Context | None:
    """Return the client's span as the parent of another, without its `tracestate`, which is free text."""
    if parent is None:
        return None
    flags = TraceFlags(int(parent.trace_flags, 16))
    remote = SpanContext(int(parent.trace_id, 16), int(parent.span_id, 16), is_remote=True, trace_flags=flags)
    return set_span_in_context(NonRecordingSpan(remote))


def _fail(span: Span, error: str) -> None:
    span.set_attribute("error.type", error)
    span.set_status(StatusCode.ERROR)
