"""Each request, and each command that it sends to MongoDB, has a span, as a collector receives it."""

from __future__ import annotations

import socket
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from customer_service import __version__
from customer_service.app import create_app
from customer_service.settings import TracingSettings
from tests import support
from tests.support import PATIENT_MS, bearer
from tests.support.failpoints import SERVICE, failing
from tests.support.trace_collector import CLIENT, SERVER, Collector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flask import Flask
    from flask.testing import FlaskClient
    from pymongo.database import Database
    from werkzeug.test import TestResponse

    from customer_service.repository.database import Document

    Made = Callable[..., tuple[FlaskClient, Collector]]

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
ROUTE = "/organizations/{organizationId}/customers/{customerId}"


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as running:
        yield running


@pytest.fixture
def made(
    collector: Collector, mongodb: Database[Document], mongodb_uri: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Made]:
    """Make a client of the service over a real MongoDB with these variables, and the collector of its traces."""
    support.fill(mongodb)
    applications: list[Flask] = []

    def make(timeout_ms: int = PATIENT_MS, **variables: str) -> tuple[FlaskClient, Collector]:
        for name, value in {"OTEL_BSP_SCHEDULE_DELAY": "20", **variables}.items():
            monkeypatch.setenv(name, value)
        settings = support.settings(mongodb_uri, mongodb.name)
        tracing = TracingSettings(f"{collector.url}/v1/traces")
        app = create_app(replace(settings, mongodb=replace(settings.mongodb, timeout_ms=timeout_ms), tracing=tracing))
        applications.append(app)
        client = app.test_client()
        client.environ_base["HTTP_AUTHORIZATION"] = bearer()["Authorization"]
        return client, collector

    yield make
    for app in applications:
        app.extensions["database"].client.close()


@pytest.fixture
def client(made: Made) -> FlaskClient:
    return made()[0]


def ids(answer: TestResponse) -> list[str]:
    """Return the ids of the trace and of the span, and the flags, of the response."""
    return answer.headers["traceparent"].split("-")[1:]


def test_a_read_and_what_it_asks(client: FlaskClient, collector: Collector, mongodb: Database[Document]) -> None:
    answer = client.get(support.url())
    assert answer.status_code == 200
    trace_id, span_id, flags = ids(answer)
    assert flags == "01"
    *commands, request = collector.of_trace(trace_id)
    assert (request.name, request.kind, request.span_id, request.parent_id) == (f"GET {ROUTE}", SERVER, span_id, "")
    assert request.attributes == {
        "http.request.method": "GET",
        "http.route": ROUTE,
        "http.response.status_code": 200,
        "url.scheme": "http",
        "network.protocol.version": "1.1",
        "server.address": socket.gethostname(),
        "server.port": 3001,
    }
    assert [(each.name, each.kind, each.parent_id) for each in commands] == [
        ("find memberships", CLIENT, span_id),
        ("find customers", CLIENT, span_id),
    ]
    host, port = mongodb.client.address or ("", 0)
    assert commands[1].attributes == {
        "db.system.name": "mongodb",
        "db.namespace": mongodb.name,
        "db.collection.name": "customers",
        "db.operation.name": "find",
        "server.address": host,
        "server.port": port,
    }
    assert not any(each.is_error for each in (request, *commands))


def test_what_the_spans_are_of(made: Made) -> None:
    client, collector = made()
    collector.of_trace(ids(client.get("/livez"))[0])
    (resource,) = collector.resources()
    assert (resource["service.name"], resource["service.version"]) == ("customer-service", __version__)
    named, _ = made(OTEL_SERVICE_NAME="receivers", OTEL_RESOURCE_ATTRIBUTES="deployment.environment.name=test")
    collector.of_trace(ids(named.get("/livez"))[0])
    resource = collector.resources()[-1]
    assert (resource["service.name"], resource["deployment.environment.name"]) == ("receivers", "test")


@pytest.mark.parametrize(
    ("method", "path", "name", "status"),
    [
        ("HEAD", support.url(), f"HEAD {ROUTE}", 200),
        ("BREW", support.url(), "HTTP", 405),
        ("GET", "/none/of/ours", "GET", 404),
        ("GET", support.url("another"), f"GET {ROUTE}", 403),
    ],
)
def test_names_are_of_the_service(made: Made, method: str, path: str, name: str, status: int) -> None:
    client, collector = made()
    trace_id, *_ = ids(client.open(path, method=method))
    span = collector.of_trace(trace_id)[-1]
    assert (span.name, span.kind, span.attributes["http.response.status_code"]) == (name, SERVER, status)
    assert span.attributes["http.request.method"] == ("_OTHER" if method == "BREW" else method)
    assert span.attributes.get("http.route") == (ROUTE if ROUTE in name else None)
    assert not span.is_error


class TestCallersTrace:
    """The caller's trace context is continued and returned."""

    def test_it_is_continued(self, client: FlaskClient, collector: Collector) -> None:
        answer = client.get(support.url(), headers={"traceparent": f"00-{TRACE}-{SPAN}-01"})
        trace_id, span_id, flags = ids(answer)
        assert (trace_id, flags) == (TRACE, "01")
        *_, request = collector.of_trace(TRACE)
        assert (request.span_id, request.parent_id) == (span_id, SPAN)

    def test_one_that_is_not_sampled_is_not_exported(self, client: FlaskClient, collector: Collector) -> None:
        answer = client.get(support.url(), headers={"traceparent": f"00-{TRACE}-{SPAN}-00"})
        assert (answer.status_code, ids(answer)[0], ids(answer)[2]) == (200, TRACE, "00")
        assert ids(answer)[1] != SPAN
        collector.of_trace(ids(client.get(support.url()))[0])
        assert TRACE not in {each.trace_id for each in collector.spans()}

    @pytest.mark.parametrize("given", ["", "x", f"00-{TRACE}-{'0' * 16}-01", f"00-{TRACE}-{SPAN}-01-more"])
    def test_one_that_is_not_valid_is_none(self, client: FlaskClient, collector: Collector, given: str) -> None:
        trace_id, *_ = ids(client.get(support.url(), headers={"traceparent": given, "tracestate": "secret=1"}))
        assert trace_id != TRACE
        assert collector.of_trace(trace_id)[-1].parent_id == ""


@pytest.mark.parametrize(
    ("sampler", "given", "flags"),
    [
        ("always_off", "01", "00"),
        ("parentbased_always_off", "01", "01"),
        ("parentbased_always_off", None, "00"),
        ("always_on", "00", "01"),
    ],
)
def test_the_standard_samplers(made: Made, sampler: str, given: str | None, flags: str) -> None:
    headers = {"traceparent": f"00-{TRACE}-{SPAN}-{given}"} if given else {}
    client, _ = made(OTEL_TRACES_SAMPLER=sampler)
    assert ids(client.get(support.url(), headers=headers))[2] == flags


class TestErrors:
    """A span says what went wrong by its code, and nothing of what the server said."""

    def test_of_the_server(self, client: FlaskClient, collector: Collector, mongodb: Database[Document]) -> None:
        with failing(mongodb, "find", errorCode=13, namespace=f"{mongodb.name}.customers"):
            answer = client.get(support.url())
        assert answer.status_code == 500
        spans = collector.of_trace(ids(answer)[0])
        assert [(each.name, each.attributes.get("error.type")) for each in spans if each.is_error] == [
            ("find customers", "13"),
            (f"GET {ROUTE}", "500"),
        ]
        assert {each.message for each in spans} == {""}

    def test_on_the_way(self, made: Made, mongodb: Database[Document]) -> None:
        client, collector = made(timeout_ms=1000)  # the driver repeats the command until then
        with failing(mongodb, "find", closeConnection=True, appName=SERVICE):
            answer = client.get(support.url())
        assert answer.status_code == 503
        *commands, request = collector.of_trace(ids(answer)[0])
        assert {each.attributes["error.type"] for each in commands} == {"AutoReconnect"}
        assert (request.attributes["error.type"], request.is_error) == ("503", True)


def test_a_command_that_names_no_collection(client: FlaskClient, collector: Collector) -> None:
    client.get("/readyz")  # of what cannot change nothing more is asked
    ping, request = collector.of_trace(ids(client.get("/readyz"))[0])
    assert (ping.name, ping.parent_id) == ("ping", request.span_id)
    assert "db.collection.name" not in ping.attributes


def test_the_next_batch_of_a_cursor_names_its_collection(
    client: FlaskClient, collector: Collector, mongodb: Database[Document]
) -> None:
    extra = [{"organizationId": support.ORGANIZATION, "userId": f"u{n}", "role": "viewer"} for n in range(150)]
    mongodb.memberships.insert_many(extra)
    mongodb.memberships.update_one({"userId": support.MEMBER}, {"$set": {"role": "admin"}})
    answer = client.get(f"/organizations/{support.ORGANIZATION}/members")
    assert len(answer.get_json()["data"]) > 100
    names = [each.name for each in collector.of_trace(ids(answer)[0])]
    assert "getMore memberships" in names
