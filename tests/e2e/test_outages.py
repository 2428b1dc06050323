"""The database stops and starts again; the server stops, or reloads, while clients send requests."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from typing import TYPE_CHECKING, Any

import pymongo
import pytest

from tests import support
from tests.support import mongod
from tests.support.load import Load
from tests.support.server import DeadlineServer, Server, gunicorn_with

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pymongo.database import Database

    from customer_service.repository.database import Document

STOPS = 2
DEADLINE_SECONDS = 2.0
PATIENCE_SECONDS = 30


@pytest.fixture
def fragile() -> Iterator[mongod.Mongod]:
    """A mongod of the test's own, filled, that it may kill."""
    server = mongod.Mongod()
    server.start()
    with pymongo.MongoClient[dict[str, Any]](server.uri) as client:
        support.fill(client.customer_service)
    yield server
    server.close()


@pytest.mark.timed
def test_the_service_recovers_from_a_stopped_database(fragile: mongod.Mongod) -> None:
    with DeadlineServer(fragile.uri, "customer_service") as server:
        assert server.get(support.url(), support.bearer()).status == 200
        fragile.kill()
        for _ in range(3):
            started = time.monotonic()
            answer = server.get(support.url(), support.bearer())
            assert time.monotonic() - started < DEADLINE_SECONDS + 0.5
            assert answer.status == 503
            assert answer.headers["Retry-After"] == "1"
            assert json.loads(answer.body)["type"] == "urn:problem-type:database-unavailable"
            assert server.get("/livez").status == 200
        started = time.monotonic()
        readiness = server.get("/readyz")
        assert time.monotonic() - started < 1
        assert readiness.status == 503
        assert json.loads(readiness.body)["checks"]["mongodb"] == "unavailable"
        fragile.start()
        back = time.monotonic()
        while server.get(support.url(), support.bearer()).status != 200:
            assert time.monotonic() - back < 3
        assert server.get("/readyz").status == 200


@pytest.fixture
def filled(mongodb: Database[Document]) -> Database[Document]:
    support.fill(mongodb)
    return mongodb


@pytest.mark.parametrize("attempt", range(STOPS))
def test_a_stop_loses_no_request(mongodb_uri: str, filled: Database[Document], attempt: int) -> None:
    with Server(mongodb_uri, filled.name) as server, Load(server) as load:
        server.signal(signal.SIGTERM)
        stopped = time.monotonic()
        assert server.wait() == 0
        assert time.monotonic() - stopped > 0.3
        assert load.failures == []
        assert '"level":"error"' not in server.log().replace(" ", "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
def test_ctrl_c_stops_at_once_and_prints_no_traceback(
    mongodb_uri: str, filled: Database[Document], number: signal.Signals
) -> None:
    with Server(mongodb_uri, filled.name) as server:
        with socket.create_connection(("127.0.0.1", server.port)):
            assert server.process is not None
            os.killpg(server.process.pid, number)
            assert server.wait() == 0
        assert "Traceback" not in server.log()
        assert "SystemExit" not in server.log()


SLOW_START = """
import time

def {hook}:
    if worker.age == 2:
        print("a slow start", flush=True)
        time.sleep(2)
"""


@pytest.mark.parametrize("hook", ["post_fork(arbiter, worker)", "post_worker_init(worker)"])
def test_a_stop_while_a_worker_starts_loses_no_request(
    mongodb_uri: str, filled: Database[Document], tmp_path: Path, hook: str
) -> None:
    server = Server(mongodb_uri, filled.name, command=gunicorn_with(SLOW_START.format(hook=hook), tmp_path))
    with server, Load(server) as load:
        support.wait_until(lambda: "a slow start" in server.log())
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
        assert load.failures == []
        assert '"level":"error"' not in server.log().replace(" ", "")


def test_a_draining_server_is_not_ready_and_still_serves(mongodb_uri: str, filled: Database[Document]) -> None:
    with Server(mongodb_uri, filled.name, DRAIN_SECONDS="4") as server:
        server.signal(signal.SIGTERM)
        while (readiness := server.get("/readyz")).status == 200:
            time.sleep(0.01)
        assert readiness.status == 503
        assert json.loads(readiness.body)["checks"]["server"] == "draining"
        assert server.get("/livez").status == 200
        assert server.get(support.url(), support.bearer()).status == 200
        assert server.wait() == 0


def assert_not_draining(server: Server) -> None:
    """Check that the server is ready, unless a busy machine makes MongoDB take longer than a probe waits."""
    ready = server.get("/readyz")
    assert ready.status == 200 or json.loads(ready.body)["checks"]["server"] == "ok", ready.body


@pytest.mark.parametrize("keep", [True, False])
def test_a_reload_loses_no_request_and_stays_ready(mongodb_uri: str, filled: Database[Document], keep: bool) -> None:
    with Server(mongodb_uri, filled.name, DRAIN_SECONDS="2") as server:
        with Load(server, keep=keep) as load:
            server.signal(signal.SIGHUP)
            deadline = time.monotonic() + PATIENCE_SECONDS
            while server.log().count("Worker exiting") < 2:
                assert time.monotonic() < deadline
                assert_not_draining(server)
            load.wait_for_answers()
            assert_not_draining(server)
        assert load.failures == []
        assert load.overloaded < load.answered
        assert '"level":"error"' not in server.log().replace(" ", "")
