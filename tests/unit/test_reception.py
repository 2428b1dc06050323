"""A worker of one thread over real sockets: who gets to the thread, who is refused, and who is let go."""

from __future__ import annotations

import json
import logging
import socket
import struct
import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pymongo
import pytest
from flask import Flask, request
from gunicorn.workers.gthread import TConn

from customer_service import database, drain, observability, reception, waiting
from customer_service.metrics import Metrics
from customer_service.reception import ReceivingWorker
from tests.desk import PATIENCE, Desk, bodies, get, open_desk, post, read

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.alone
RESET = struct.pack("ii", 1, 0)


def application(go_on: threading.Event) -> Flask:
    """Return what the worker serves: a probe, an echo, and a request that takes as long as a test wants."""
    app = Flask(__name__)
    observability.init_app(app, "info", Metrics())
    app.add_url_rule("/livez", "livez", lambda: "alive")
    app.add_url_rule("/echo", "echo", lambda: bytes(request.get_data()), methods=["POST"])
    app.add_url_rule("/unread", "unread", lambda: "unread", methods=["POST"])
    app.add_url_rule("/slow", "slow", lambda: str(go_on.wait(PATIENCE)))
    app.add_url_rule("/customers/changes", "changes", lambda: wait(go_on))
    app.add_url_rule("/docs/<_>", "docs", lambda _: str(go_on.wait(PATIENCE)))
    return app


def wait(go_on: threading.Event) -> str:
    """Wait as a request for changes does, and say why it is over."""
    may_wait = waiting.granted(int(request.args["wait"]))
    while may_wait():
        if go_on.wait(0.005):
            return "something"
    return "nothing"


@pytest.fixture
def desk() -> Iterator[Desk]:
    with open_desk(ReceivingWorker, application, threads=1) as made:
        yield made


class TestArrival:
    def test_in_pieces(self, desk: Desk) -> None:
        with desk.connect() as connection:
            whole = post("/echo", b"a body")
            for byte in range(len(whole)):
                connection.sendall(whole[byte : byte + 1])
                time.sleep(0.001)
            assert read(connection)[::2] == (200, b"a body")
            connection.sendall(get("/livez"))
            assert read(connection)[::2] == (200, b"alive")
        desk.wait_until(lambda worker: worker.nr_conns == 0)
        assert desk.worker.held == 0

    def test_in_chunks(self, desk: Desk) -> None:
        with desk.connect() as connection:
            connection.sendall(b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n")
            desk.wait_until(lambda worker: worker.arriving)
            connection.sendall(b"1\r\nf\r\n0\r\n\r\n")
            assert read(connection)[::2] == (200, b"abcdef")

    def test_behind_one_another(self, desk: Desk) -> None:
        with desk.connect() as connection:
            connection.sendall(post("/echo", b"one") + post("/echo", b"two") + post("/echo", b"three")[:-1])
            answered = bodies(connection)
            assert [next(answered), next(answered)] == [b"one", b"two"]
            connection.sendall(b"e")
            assert next(answered) == b"three"
            answered.close()

    def test_who_waits_for_a_word_is_given_it(self, desk: Desk) -> None:
        with desk.connect() as connection:
            connection.sendall(post("/echo", b"", "Expect: 100-continue", length=4))
            assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
            connection.sendall(b"body")
            assert read(connection)[::2] == (200, b"body")

    def test_who_sends_nothing_holds_nothing(self, desk: Desk) -> None:
        with ExitStack() as stack:
            for _ in range(5):
                stack.enter_context(desk.connect())
            desk.wait_until(lambda worker: len(worker.keepalived_conns) == 5)
            connection = stack.enter_context(desk.connect())
            connection.sendall(get("/slow"))
            desk.go_on.set()
            assert read(connection)[0] == 200

    @pytest.mark.parametrize("is_rude", [False, True], ids=["left", "reset"])
    def test_who_goes_amid_a_request_is_forgotten(self, desk: Desk, is_rude: bool) -> None:
        with desk.connect() as connection:
            connection.sendall(post("/echo", b"half", length=8))
            desk.wait_until(lambda worker: worker.arriving)
            if is_rude:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        desk.wait_until(lambda worker: worker.nr_conns == 0)
        assert (desk.worker.held, desk.worker.arriving) == (0, {})

    def test_a_body_that_nobody_reads_ends_the_connection_in_no_time(self, desk: Desk) -> None:
        with desk.connect() as connection:
            connection.sendall(post("/unread", b"", length=2_000_000))
            started = time.monotonic()
            assert read(connection)[::2] == (200, b"unread")
            assert connection.recv(1) == b""
            assert time.monotonic() - started < 1


class TestRefusal:
    def test_more_than_can_be_answered_in_time(self, desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO, "customer_service")
        with ExitStack() as stack:
            inside = [stack.enter_context(desk.connect()) for _ in range(10)]
            for connection in inside:
                connection.sendall(get("/slow"))
            desk.wait_until(lambda worker: worker.line.expected_wait(time.monotonic()) > reception.WAIT_SECONDS)
            one_more = stack.enter_context(desk.connect())
            one_more.sendall(get("/slow", "X-Request-ID: mine", f"traceparent: 00-{'a' * 32}-{'b' * 16}-01"))
            status, headers, body = read(one_more)
            assert (status, headers["Retry-After"], headers["Connection"]) == (503, "1", "close")
            assert headers["Content-Type"] == "application/problem+json"
            assert json.loads(body)["type"] == "urn:problem-type:overloaded"
            assert json.loads(body)["requestId"] == headers["X-Request-ID"] == "mine"
            assert headers["traceparent"].startswith(f"00-{'a' * 32}-")
            probe = stack.enter_context(desk.connect())
            probe.sendall(get("/livez"))
            assert read(probe)[::2] == (200, b"alive")
            desk.go_on.set()
            assert [read(connection)[0] for connection in inside] == [200] * 10
        (line,) = [vars(record) for record in caplog.records if vars(record).get("requestId") == "mine"]
        assert (line["status"], line["error"], line["traceId"]) == (503, "Overloaded", "a" * 32)

    def test_who_reads_the_reference_slowly_holds_up_nobody_else(self, desk: Desk) -> None:
        with ExitStack() as stack:
            slow = [stack.enter_context(desk.connect()) for _ in range(3)]
            for connection in slow:
                connection.sendall(get("/docs/swagger-ui-bundle.js"))
            line, _ = desk.worker.readers
            desk.wait_until(lambda _: line.expected_wait(time.monotonic()) > reception.WAIT_SECONDS)
            one_more, other = (stack.enter_context(desk.connect()) for _ in range(2))
            one_more.sendall(get("/docs/swagger-ui-bundle.js"))
            assert read(one_more)[0] == 503
            other.sendall(post("/echo", b"a body"))
            assert read(other)[::2] == (200, b"a body")
            desk.go_on.set()
            assert [read(connection)[0] for connection in slow] == [200] * 3

    def test_a_head_is_answered_without_a_body(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(reception, "WAIT_SECONDS", 0)
        with desk.connect() as connection, desk.connect() as first, desk.connect() as second:
            for other in (first, second):
                other.sendall(get("/slow"))
            desk.wait_until(lambda worker: worker.line.expected_wait(time.monotonic()) > 0)
            connection.sendall(get("/slow", method="HEAD"))
            answer = b"".join(iter(lambda: connection.recv(1000), b""))
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert answer.endswith(b"\r\n\r\n")

    def test_a_request_that_takes_too_long_to_arrive(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(reception, "ARRIVAL_SECONDS", 0.1)
        with desk.connect() as connection:
            connection.sendall(b"G")
            status, _, body = read(connection)
        assert (status, json.loads(body)["type"]) == (408, "urn:problem-type:request-timeout")
        desk.wait_until(lambda worker: worker.nr_conns == 0)
        assert (desk.worker.held, desk.worker.arriving) == (0, {})

    def test_a_head_without_end(self, desk: Desk) -> None:
        with desk.connect() as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nX-Long: " + b"a" * 70_000)
            status, _, body = read(connection)
        assert (status, json.loads(body)["type"]) == (431, "urn:problem-type:request-header-fields-too-large")

    @pytest.mark.parametrize(("origin", "shared"), [("https://app.example", True), ("https://evil.example", False)])
    def test_a_page_of_an_allowed_origin_may_read_it(
        self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, origin: str, shared: bool
    ) -> None:
        monkeypatch.setenv("CORS_ALLOWED_ORIGINS", "https://app.example")
        desk: Desk = request.getfixturevalue("desk")
        with desk.connect() as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nOrigin: " + origin.encode() + b"\r\nX-Long: " + b"a" * 70_000)
            status, headers, _ = read(connection)
        assert (status, headers["Vary"]) == (431, "Origin")
        assert headers["Access-Control-Allow-Origin"] == (origin if shared else None)

    def test_no_more_is_held_than_memory_is_for(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(reception, "HELD_BYTES", 1000)
        with desk.connect() as small, desk.connect() as large:
            small.sendall(post("/echo", b"", length=4))
            large.sendall(post("/echo", b"a" * 1000, length=2000))
            assert read(large)[0] == 503
            small.sendall(b"body")
            assert read(small)[::2] == (200, b"body")
        assert desk.worker.held == 0


class TestParting:
    def test_who_is_told_to_leave_and_stays_holds_up_nobody(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(reception, "LEAVE_SECONDS", 0.1)
        with desk.connect() as staying, desk.connect() as other:
            staying.sendall(get("/livez", "Connection: close") + b"more")
            assert read(staying)[0] == 200
            staying.sendall(b"still here")
            started = time.monotonic()
            other.sendall(get("/livez"))
            assert read(other)[0] == 200
            assert time.monotonic() - started < 1
            desk.wait_until(lambda worker: worker.nr_conns == 1)
            assert not desk.worker.parting

    def test_who_is_gone_already_is_closed(self, desk: Desk) -> None:
        with desk.connect() as connection:
            connection.sendall(get("/slow", "Connection: close"))
            time.sleep(0.05)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        time.sleep(0.05)
        desk.go_on.set()
        desk.wait_until(lambda worker: worker.nr_conns == 0)

    def test_a_reset_while_parting_is_the_end(self, desk: Desk) -> None:
        with desk.connect() as connection:
            connection.sendall(get("/livez", "Connection: close"))
            desk.wait_until(lambda worker: worker.parting)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        desk.wait_until(lambda worker: worker.nr_conns == 0)

    def test_an_event_without_bytes_is_none(self, desk: Desk) -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            conn = TConn(desk.worker.cfg, ours, ("", 0), ("", 0))
            desk.worker._drain(conn, ours)
            assert ours.fileno() > 0


class TestWaiting:
    WAITING = get("/customers/changes?cursor=x&wait=9")

    def test_it_takes_no_thread_from_the_others(self, desk: Desk) -> None:
        with ExitStack() as stack:
            waiters = [stack.enter_context(desk.connect()) for _ in range(5)]
            for connection in waiters:
                connection.sendall(self.WAITING)
            desk.wait_until(lambda worker: len(worker.waiting) == 5)
            other = stack.enter_context(desk.connect())
            other.sendall(post("/echo", b"a body"))
            assert read(other)[::2] == (200, b"a body")
            assert len(desk.worker.waiting) == 5
            desk.go_on.set()
            assert [read(connection)[::2] for connection in waiters] == [(200, b"something")] * 5
            desk.wait_until(lambda worker: not worker.waiting)
            waiters[0].sendall(post("/echo", b"another"))
            assert read(waiters[0])[2] == b"another"

    @pytest.mark.parametrize(
        "path",
        [
            *("/customers/changes?wait=0", "/customers/changes?wait=09", "/customers/changes?xwait=9&wait=0"),
            *("/customers/changes?%77ait=9", "/customers/%63hanges?wait=9"),
        ],
    )
    def test_who_does_not_ask_for_it_plainly_does_not_wait(self, desk: Desk, path: str) -> None:
        with desk.connect() as connection:
            connection.sendall(get(path))
            assert read(connection)[::2] == (200, b"nothing")

    def test_those_above_the_bound_are_answered_at_once(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(reception, "WAITERS", 1)
        with desk.connect() as first, desk.connect() as second:
            first.sendall(self.WAITING)
            desk.wait_until(lambda worker: worker.waiting)
            second.sendall(self.WAITING)
            assert read(second)[::2] == (200, b"nothing")
            assert len(desk.worker.waiting) == 1

    @pytest.mark.parametrize("is_rude", [False, True], ids=["left", "reset"])
    def test_who_leaves_is_forgotten(self, desk: Desk, is_rude: bool) -> None:
        with desk.connect() as connection:
            connection.sendall(self.WAITING)
            desk.wait_until(lambda worker: worker.waiting)
            if is_rude:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        desk.wait_until(lambda worker: not worker.waiting and worker.nr_conns == 0)
        assert not desk.go_on.is_set()

    def test_who_sends_more_has_not_left(self, desk: Desk) -> None:
        with desk.connect() as connection:
            connection.sendall(self.WAITING + get("/livez"))
            desk.wait_until(lambda worker: worker.waiting)
            time.sleep(0.05)
            desk.go_on.set()
            answered = bodies(connection)
            assert [next(answered), next(answered)] == [b"something", b"alive"]
            answered.close()

    @pytest.mark.parametrize("how", ["drain", "reload"])
    def test_a_server_that_stops_waits_for_nothing(self, desk: Desk, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
        with desk.connect() as connection:
            connection.sendall(self.WAITING)
            desk.wait_until(lambda worker: worker.waiting)
            began = time.monotonic()
            if how == "drain":
                monkeypatch.setattr(drain, "in_progress", lambda: True)
            else:
                desk.worker.alive = False
            assert read(connection)[::2] == (200, b"nothing")
            assert time.monotonic() - began < PATIENCE / 2


@pytest.mark.parametrize(("waited", "left"), [(None, 1.9), (1.5, 0.475), (3.0, 0.0)])
def test_what_a_request_waited_is_taken_from_its_deadline(waited: float | None, left: float) -> None:
    seen: list[float] = []

    def wsgi_app(_environ: object, _start_response: object) -> list[bytes]:
        seen.append(pymongo._csot.remaining() or 0)
        return []

    def serve() -> None:
        if waited is not None:
            database.count_deadline_from(time.monotonic() - waited)
        bounded: Any = database.with_deadline(wsgi_app, 2.0)
        bounded({}, None)

    thread = threading.Thread(target=serve)
    thread.start()
    thread.join()
    assert seen == [pytest.approx(left, abs=0.1)]
    assert seen[0] < left + 0.002
