"""Which requests a worker's main loop answers itself, and that nobody has to wait for one of them."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pymongo
import pytest
from flask import Flask, request

from customer_service import database, inline, standin
from customer_service.inline import InlineWorker, Promptness
from tests.desk import PATIENCE, Desk, get, open_desk, post, read
from tests.support import CUSTOMER_ID, wait_until

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator
    from wsgiref.types import WSGIApplication

    from customer_service.standin import StandIn

pytestmark = pytest.mark.alone

PATH = f"/organizations/o/customers/{CUSTOMER_ID}"
LOOP, THREAD = b"loop", b"thread"


def application(go_on: threading.Event) -> WSGIApplication:
    """Return what tells in which thread it answers, and waits where its query or its header says so."""
    app = Flask(__name__)

    def tell(**_: str) -> str:
        if "X-Hang" in request.headers:
            go_on.wait(PATIENCE)
        time.sleep(float(request.headers.get("X-Wait", "0")))
        if "X-Left" in request.headers:
            return str(pymongo._csot.remaining())
        return "thread" if threading.current_thread().name.startswith("ThreadPool") else "loop"

    app.add_url_rule("/livez", "livez", tell)
    app.add_url_rule("/organizations/o/customers", "list", tell, methods=["GET", "POST"])
    app.add_url_rule("/organizations/o/customers/<customer_id>", "one", tell, methods=["GET", "PUT"])
    app.add_url_rule("/organizations/o/customers/<customer_id>/x", "validation", tell)
    return database.with_deadline(app.wsgi_app, 2.0)


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """A worker that takes any read for prompt."""
    monkeypatch.setattr(inline, "WAIT_SHARE", float("inf"))
    with open_desk(InlineWorker, application, threads=2) as made:
        yield made


@pytest.fixture
def kept(desk: Desk) -> Iterator[socket.socket]:
    """A connection on which a request was answered already."""
    with keep(desk) as connection:
        yield connection


def keep(desk: Desk) -> socket.socket:
    connection = desk.connect()
    connection.sendall(get("/livez"))
    assert read(connection)[0] == 200
    desk.wait_until(lambda worker: worker.keepalived_conns)
    return connection


def ask(connection: socket.socket, *headers: str, path: str = PATH) -> bytes:
    connection.sendall(get(path, *headers))
    return read(connection)[2]


def stand_in_of(desk: Desk) -> StandIn:
    assert isinstance(desk.worker, InlineWorker)
    return desk.worker.stand_in


def judge_from_now(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the next read be the first of its second, and its outcome count at once."""
    monkeypatch.setattr(inline, "TRIAL_SECONDS", 0)
    monkeypatch.setattr(inline, "WAIT_SHARE", 2)
    time.sleep(1.001 - time.monotonic() % 1)


class TestWho:
    @pytest.mark.parametrize("path", [PATH, f"/organizations/o/customers/{CUSTOMER_ID.upper()}"])
    def test_a_single_read_is_answered_by_the_loop(self, kept: socket.socket, path: str) -> None:
        assert {ask(kept, path=path) for _ in range(5)} == {LOOP}

    @pytest.mark.parametrize(
        "sent",
        [
            get("/organizations/o/customers"),
            get(f"{PATH}?x=1"),
            get(f"/organizations/o/customers?x=/customers/{CUSTOMER_ID}"),
            get(f"{PATH}/x"),
            get(f"{PATH}0"),
            get(PATH, method="HEAD"),
            post("/organizations/o/customers", b"{}"),
            post(PATH, b"{}").replace(b"POST", b"PUT"),
            get(PATH, "Content-Length: 2000000"),
        ],
        ids=["list", "query", "id in a query", "validation", "longer id", "head", "post", "put", "rest"],
    )
    def test_anything_else_by_a_thread(self, kept: socket.socket, sent: bytes) -> None:
        kept.sendall(sent)
        status, _, body = read(kept, sent.split(b" ")[0].decode())
        assert (status, body) == (200, b"" if sent.startswith(b"HEAD") else THREAD)

    def test_the_first_on_a_connection_by_a_thread(self, desk: Desk) -> None:
        with desk.connect() as connection:
            assert ask(connection) == THREAD
            desk.wait_until(lambda worker: worker.keepalived_conns)
            assert ask(connection) == LOOP

    def test_one_of_a_crowd_by_a_thread(self, kept: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(inline, "CROWD", 0)
        assert ask(kept) == THREAD

    def test_reads_that_wait_by_a_thread(self, kept: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
        judge_from_now(monkeypatch)
        assert [ask(kept, "X-Wait: 0.01") for _ in range(3)] == [LOOP, THREAD, THREAD]

    def test_what_waits_beside_a_thread_proves_nothing(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        with keep(desk) as busy, keep(desk) as connection:
            busy.sendall(get("/organizations/o/customers", "X-Hang: yes"))
            desk.wait_until(lambda worker: worker.inside)
            judge_from_now(monkeypatch)
            assert [ask(connection, "X-Wait: 0.01") for _ in range(3)] == [LOOP] * 3
            desk.go_on.set()
            assert read(busy)[2] == THREAD
            desk.wait_until(lambda worker: not worker.inside)
            assert [ask(connection, "X-Wait: 0.01") for _ in range(2)] == [LOOP, THREAD]

    def test_where_only_one_thread_may_work_it_is_not_the_loops(self) -> None:
        with open_desk(InlineWorker, application, threads=1) as desk, keep(desk) as connection:
            assert ask(connection) == THREAD


class TestHeldUp:
    def test_nobody_waits_for_a_read_that_hangs(self, desk: Desk) -> None:
        with ExitStack() as stack:
            hanging, other = (stack.enter_context(keep(desk)) for _ in range(2))
            hanging.sendall(get(PATH, "X-Hang: yes"))
            for _ in range(3):
                began = time.monotonic()
                assert (ask(other), ask(other, path="/livez")) == (THREAD, THREAD)
                assert time.monotonic() - began < 0.5
            with desk.connect() as new:
                assert ask(new) == THREAD
            desk.wait_until(lambda worker: worker.nr_conns == 2)
            time.sleep(0.05)
            desk.go_on.set()
            assert read(hanging)[2] == LOOP
            assert wait_until(lambda: not stand_in_of(desk).is_active()) < 0.5
            assert (ask(hanging), ask(other)) == (LOOP, LOOP)

    def test_what_was_told_with_it_is_answered_once(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(standin, "PATIENCE_SECONDS", 0.005)
        with ExitStack() as stack:
            several = [stack.enter_context(keep(desk)) for _ in range(8)]
            for number in range(10):
                for connection in several:
                    connection.sendall(get(PATH, f"X-Wait: {0.02 if number % 2 else 0}"))
                assert {read(connection)[2] for connection in several} <= {LOOP, THREAD}
            assert stand_in_of(desk).turns
            assert desk.worker.nr_conns == len(several)

    def test_who_sends_two_at_once_gets_both(self, kept: socket.socket) -> None:
        kept.sendall(get(PATH) + get(PATH, "Connection: close"))
        answers = b"".join(iter(lambda: kept.recv(10_000), b""))
        assert answers.count(b"HTTP/1.1 200 OK") == 2

    def test_the_deadline_counts_from_when_it_was_there(self, desk: Desk) -> None:
        with ExitStack() as stack:
            blocking, first, second = (stack.enter_context(keep(desk)) for _ in range(3))
            blocking.sendall(get(PATH, "X-Wait: 0.015"))
            time.sleep(0.005)
            for connection in (first, second):
                connection.sendall(get(PATH, "X-Left: yes", "X-Wait: 0.012"))
            left = sorted(float(read(connection)[2]) for connection in (first, second))
        assert left[0] < left[1] - 0.01

    def test_what_fails_meanwhile_ends_the_worker(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        with keep(desk) as hanging:
            hanging.sendall(get(PATH, "X-Hang: yes"))
            monkeypatch.setattr(desk.worker, "murder_keepalived", lambda: 1 / 0)
            wait_until(lambda: stand_in_of(desk)._failure)
            desk.go_on.set()
            desk.thread.join(PATIENCE)
            assert isinstance(desk.failure, ZeroDivisionError)


class TestPromptness:
    def test_what_works_is_worth_it(self) -> None:
        promptness = Promptness()
        for _ in range(100):
            assert promptness.is_worth_it(7.5)
            promptness.note(took=0.0019, worked=0.001)

    def test_what_waits_is_not_until_the_next_second(self) -> None:
        promptness = Promptness()
        assert promptness.is_worth_it(7.5)
        promptness.note(took=0.0021, worked=0.001)
        assert not promptness.is_worth_it(7.99)
        assert promptness.is_worth_it(8.0)

    def test_a_trial_does_not_end_at_the_first(self) -> None:
        promptness = Promptness()
        assert promptness.is_worth_it(7.0)
        promptness.note(took=1.0, worked=0.001)
        assert promptness.is_worth_it(7.0 + inline.TRIAL_SECONDS / 2)
        assert not promptness.is_worth_it(7.0 + inline.TRIAL_SECONDS)

    def test_the_majority_decides(self) -> None:
        promptness = Promptness()
        assert promptness.is_worth_it(7.5)
        for took in (1.0, 0.001, 1.0, 0.001):
            promptness.note(took, worked=0.001)
        assert promptness.is_worth_it(7.6)
        promptness.note(1.0, worked=0.001)
        assert not promptness.is_worth_it(7.6)
