"""A collector on this machine that receives traces by OTLP over HTTP, or answers badly."""

from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

if TYPE_CHECKING:
    from opentelemetry.proto.trace.v1 import trace_pb2

WAIT_SECONDS = 20
SERVER, CLIENT = 2, 3
"""The kinds of spans: of a request that was answered, and of one that was sent."""

ERROR = 2


class CollectedSpan(NamedTuple):
    """A span as it was exported."""

    name: str
    kind: int
    trace_id: str
    span_id: str
    parent_id: str
    attributes: dict[str, Any]
    is_error: bool
    message: str


class Collector:
    """Keeps what it is sent, once `status` is 200; hangs while `answering` is not set."""

    def __init__(self, port: int = 0) -> None:
        self.status = 200
        self.bodies: list[bytes] = []
        self.tried = 0
        self.answering = threading.Event()
        self.answering.set()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.tried += 1
                collector.answering.wait(WAIT_SECONDS)
                assert self.path == "/v1/traces"
                if collector.status == 200:
                    collector.bodies.append(body)
                self.send_response(collector.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_: object) -> None:
                """Say nothing: a worker that does not wait is what some tests are about."""

        self._server = Server(("127.0.0.1", port), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def __enter__(self) -> Collector:
        return self

    def __exit__(self, *_: object) -> None:
        self.answering.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def resources(self) -> list[dict[str, Any]]:
        """Return the attributes of what the spans are of, once for each export."""
        return [_plain(each.resource.attributes) for each in self._resource_spans()]

    def spans(self) -> list[CollectedSpan]:
        """Return every span that came, in the order in which they ended."""
        return [
            CollectedSpan(
                span.name,
                span.kind,
                span.trace_id.hex(),
                span.span_id.hex(),
                span.parent_span_id.hex(),
                _plain(span.attributes),
                span.status.code == ERROR,
                span.status.message,
            )
            for each in self._resource_spans()
            for scope in each.scope_spans
            for span in scope.spans
        ]

    def of_trace(self, trace_id: str, kind: int = SERVER) -> list[CollectedSpan]:
        """Return the spans of a trace, once it has one of this kind."""
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            spans = [span for span in self.spans() if span.trace_id == trace_id]
            if any(span.kind == kind for span in spans):
                return spans
            assert time.monotonic() < deadline, self.spans()
            time.sleep(0.01)

    def _resource_spans(self) -> list[trace_pb2.ResourceSpans]:
        return [
            each for body in list(self.bodies) for each in ExportTraceServiceRequest.FromString(body).resource_spans
        ]


def _plain(attributes: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}
