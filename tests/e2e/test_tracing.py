"""A real server sends a span for every request of every worker; a collector that is down delays no request."""

from __future__ import annotations

import json
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests import support
from tests.attacks.test_data_leaks import ADMIN, FAILURES, WORDS, Run, failing_customers
from tests.support import SECRET, bearer
from tests.support.mongod import free_port
from tests.support.server import Server, TracedServer, run
from tests.support.trace_collector import CLIENT, SERVER, Collector

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pymongo.database import Database

    from customer_service.repository.database import Document

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
LEFT_SECONDS = 10


@pytest.fixture
def filled(mongodb: Database[Document]) -> Database[Document]:
    support.fill(mongodb)
    mongodb.memberships.insert_one({"userId": ADMIN, "organizationId": support.ORGANIZATION, "role": "admin"})
    return mongodb


def traced(mongodb_uri: str, database: Database[Document], endpoint: str, **environment: str) -> Server:
    """Return a server that exports its traces to this endpoint."""
    variables: dict[str, Any] = {ENDPOINT: endpoint, **environment}
    return TracedServer(mongodb_uri, database.name, **variables)


def lines(server: Server, about: str) -> list[dict[str, Any]]:
    """Return the lines of the log that have this key or this in their event."""
    # A worker that ends while an export hangs may print that urllib3's finalizer of connections failed under gevent.
    logged = [json.loads(line) for line in server.log().splitlines() if line.startswith("{")]
    return [line for line in logged if about in line or about in line["event"]]


def complaints(server: Server) -> list[dict[str, Any]]:
    return lines(server, "export")


def stop(server: Server) -> float:
    """Stop the server as an operator does; return the seconds that it took."""
    started = time.monotonic()
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    return time.monotonic() - started


def test_every_request_of_every_worker_has_a_span(filled: Database[Document], mongodb_uri: str) -> None:
    with Collector() as collector, traced(mongodb_uri, filled, collector.url) as server:
        for _ in range(40):
            assert server.get(support.url(), bearer()).status == 200
        stop(server)
        logged = {(line["traceId"], line["spanId"], line["status"]) for line in lines(server, "route")}
        spans = [span for span in collector.spans() if span.kind == SERVER]
        assert {(each.trace_id, each.span_id, each.attributes["http.response.status_code"]) for each in spans} == logged
        assert len(spans) == len(logged) > 40
        assert {each["service.name"] for each in collector.resources()} == {"customer-service"}
        assert complaints(server) == []


def test_nothing_personal_is_exported(filled: Database[Document], mongodb_uri: str) -> None:
    with Collector() as collector, traced(mongodb_uri, filled, collector.url) as server:
        doing = Run(server)
        doing.everything()
        doing.mistakes()
        doing.broken_requests()
        for code, commands in FAILURES:
            with failing_customers(filled, code, commands):
                doing.everything()
        for hidden in ("Host", "User-Agent", "tracestate", "X-Request-ID", "X-Forwarded-For", "baggage"):
            doing.request("GET", support.url(), **{hidden: "nandu-secreto"})
        stop(server)
        sent = b"".join(collector.bodies).decode("utf-8", "replace").casefold()
        assert "find customers" in sent
        ids = {support.ORGANIZATION, support.CUSTOMER_ID, support.MEMBER, ADMIN}
        ids |= {str(each["_id"]) for each in filled.customers.find({}, {"_id": 1})}
        segments = {part for token in doing.tokens for part in token.split(".") if len(part) > 20}
        assert [each for each in (*WORDS, *ids, *segments) if each.casefold() in sent] == []
        assert {span.kind for span in collector.spans()} == {SERVER, CLIENT}
        assert {span.message for span in collector.spans()} == {""}


def test_a_collector_that_is_down_is_logged_once_and_used_again(filled: Database[Document], mongodb_uri: str) -> None:
    """One line of each worker whenever it goes away, one when it is back; no request fails."""
    port = free_port()
    environment = {"OTEL_BSP_SCHEDULE_DELAY": "100", "WEB_CONCURRENCY": "1"}
    with traced(mongodb_uri, filled, f"http://127.0.0.1:{port}", **environment) as server:

        def ask_until(condition: Callable[[], object]) -> None:
            deadline = time.monotonic() + 20
            while not condition():
                assert time.monotonic() < deadline, server.log()
                assert server.get(support.url(), bearer()).status == 200

        until = time.monotonic() + 6
        ask_until(lambda: time.monotonic() > until)
        (away,) = complaints(server)
        assert "refused" in away["event"]
        with Collector(port) as collector:
            ask_until(lambda: len(complaints(server)) > 1)
            assert complaints(server)[1]["event"] == "traces are exported again"
            assert collector.spans()
        ask_until(lambda: len(complaints(server)) > 2)
        assert complaints(server)[2]["level"] != "info"


@pytest.mark.parametrize("state", ["away", "hanging", "refusing"])
def test_a_stop_does_not_wait_for_a_collector(filled: Database[Document], mongodb_uri: str, state: str) -> None:
    with Collector() as collector:
        url = f"http://127.0.0.1:{free_port()}" if state == "away" else collector.url
        if state == "hanging":
            collector.answering.clear()
        collector.status = 400
        small = {"OTEL_BSP_MAX_QUEUE_SIZE": "40", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "10"}
        with traced(mongodb_uri, filled, url, **small) as server:
            for _ in range(150):  # more than the queues of two workers hold
                server.get("/livez")
            tried = collector.tried
            assert stop(server) < LEFT_SECONDS
            assert len(complaints(server)) <= 2
            if state == "hanging":  # else each worker would try until it is killed
                assert collector.tried - tried <= 4


def test_without_an_endpoint_nothing_of_it_is_imported() -> None:
    script = (
        "import sys; from wsgi import app; from tests.support import url;"
        "assert app.test_client().get(url()).status_code == 401;"
        "print([name for name in sys.modules if 'opentelemetry' in name or name == 'requests'])"
    )
    done = run(sys.executable, "-c", script, MONGODB_URI="mongomock://", JWT_SECRET=SECRET, LOG_LEVEL="error")
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr


def test_without_the_extra_the_start_is_refused(tmp_path: Path) -> None:
    (tmp_path / "opentelemetry").mkdir()
    (tmp_path / "opentelemetry/__init__.py").write_text("")  # in place of the extra's
    environment = {"MONGODB_URI": "mongodb://localhost", "JWT_SECRET": SECRET, "PYTHONPATH": str(tmp_path)}
    done = run(sys.executable, "-m", "gunicorn", "wsgi:app", **{ENDPOINT: "http://localhost:4318"}, **environment)
    assert done.returncode != 0
    assert done.stderr == f"customer-service cannot start. {ENDPOINT}: needs the extra customer-service[otel]\n"
