"""Admission control bounds the requests in flight; in these tests each request is a greenlet."""

from __future__ import annotations

import gc
import io
import os
import resource
import socket
import time
import weakref
from collections import Counter
from contextlib import suppress
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import gevent
import pytest
from gevent.event import Event
from gevent.lock import BoundedSemaphore
from werkzeug.exceptions import ClientDisconnected

from customer_service.errors import Overloaded, RequestTimeout
from customer_service.server import admission
from customer_service.server.admission import Admission, Permit, has_disconnected
from customer_service.server.limits import MAXIMUM_IN_FLIGHT
from customer_service.web import shutdown
from customer_service.web.limits import MAXIMUM_BODY_BYTES
from customer_service.web.long_polling import MAXIMUM_LONG_POLLS
from customer_service.web.wsgi_environ import IS_OVERLOADED, LONG_POLLING, RECEIVED_AT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from wsgiref.types import StartResponse

    Environ = dict[str, Any]

PATIENCE_SECONDS = 10  # longer than any pause of a busy machine
IMPATIENCE_SECONDS = 0.1
DESCRIPTOR = 2000


class Application:
    """An application that answers with the function of the test, and counts the requests in flight."""

    def __init__(self, answer: Callable[[Environ], object]) -> None:
        self.running: list[Environ] = []
        self.most = 0
        self._answer = answer

    def __call__(self, environ: Environ, _start: StartResponse) -> list[bytes]:
        self.running.append(environ)
        self.most = max(self.most, len(self.running))
        try:
            return [str(self._answer(environ)).encode()]
        finally:
            self.running.remove(environ)


class SlowBody:
    """A body that arrives a piece at a time: each after so many seconds, the last only once `arrives` is set."""

    def __init__(self, *pieces: bytes | OSError, seconds: float = 0.0, arrives: Event | None = None) -> None:
        self._pieces = list(pieces)
        self._seconds = seconds
        self._arrives = arrives
        self.reads = 0

    def read(self, _size: int) -> bytes:
        self.reads += 1
        gevent.sleep(self._seconds)
        if self._arrives and len(self._pieces) == 1:
            self._arrives.wait()
        piece = self._pieces.pop(0) if self._pieces else b""
        if isinstance(piece, OSError):
            raise piece
        return piece


class AdmissionHarness:
    """Send requests to an application behind admission control."""

    def __init__(self, answer: Callable[[Environ], object]) -> None:
        self.application = Application(answer)
        self.is_stopping = False
        self.admission = Admission(self.application, lambda: self.is_stopping)
        self.server: socket.socket | None = None
        self.environs: list[Environ] = []
        self.waiting = 0

    def request(self, path: str = "/", body: object = None) -> gevent.Greenlet[..., list[bytes]]:
        environ: Environ = {"PATH_INFO": path, "wsgi.input": body or io.BytesIO(), "gunicorn.socket": self.server}
        self.environs.append(environ)
        return gevent.spawn(lambda: list(self.admission(environ, cast("Any", None))))

    def fill(self) -> list[gevent.Greenlet[..., list[bytes]]]:
        before = len(self.application.running)
        requests = [self.request() for _ in range(MAXIMUM_IN_FLIGHT)]
        gevent.sleep(0)
        assert len(self.application.running) == before + MAXIMUM_IN_FLIGHT
        return requests


def wait_until(condition: Callable[[], object]) -> None:
    """Let other greenlets run until the condition holds."""
    with gevent.Timeout(5):
        while not condition():
            gevent.sleep(0)


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "QUEUE_SECONDS", PATIENCE_SECONDS)


@pytest.fixture
def impatient(_patient: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A queue in which a request waits for a moment only."""
    monkeypatch.setattr(admission, "QUEUE_SECONDS", IMPATIENCE_SECONDS)


@pytest.fixture
def go_on() -> Event:
    return Event()


@pytest.fixture
def harness(go_on: Event) -> Iterator[AdmissionHarness]:
    """An application that answers `/` once the test goes on, and `overloaded` if it has to refuse the request."""

    def answer(environ: Environ) -> object:
        if environ.get(IS_OVERLOADED):
            return "overloaded"
        if environ["PATH_INFO"] == "/body":
            return len(environ["wsgi.input"].read())
        if environ["PATH_INFO"] == "/":
            go_on.wait()
        return "answered"

    yield AdmissionHarness(answer)
    go_on.set()


class TestPlaces:
    def test_no_more_requests_than_places_are_in_flight(self, harness: AdmissionHarness, go_on: Event) -> None:
        requests = [*harness.fill(), *(harness.request() for _ in range(5))]
        gevent.sleep(0)
        go_on.set()
        assert {request.get(timeout=5)[0] for request in requests} == {b"answered"}
        assert harness.application.most == MAXIMUM_IN_FLIGHT

    @pytest.mark.usefixtures("impatient")
    def test_a_request_without_a_place_in_time_is_marked_as_overloaded(self, harness: AdmissionHarness) -> None:
        harness.fill()
        assert harness.request().get(timeout=5) == [b"overloaded"]

    @pytest.mark.usefixtures("impatient")
    def test_a_refused_request_gives_no_place_back(self, harness: AdmissionHarness, go_on: Event) -> None:
        requests = harness.fill()
        gevent.joinall([harness.request() for _ in range(MAXIMUM_IN_FLIGHT)], timeout=5)
        go_on.set()
        gevent.joinall(requests, timeout=5)
        go_on.clear()
        harness.fill()
        assert harness.request().get(timeout=5) == [b"overloaded"]

    def test_a_worker_is_full_while_a_request_waits(self, harness: AdmissionHarness) -> None:
        harness.fill()
        harness.request()
        gevent.sleep(0)
        harness.admission._permits.release()  # free until the request that waits for it runs
        assert harness.admission.is_full()
        harness.admission._permits.acquire()

    def test_the_first_that_waits_is_the_first_served(self, go_on: Event) -> None:
        order: list[str] = []

        def answer(environ: Environ) -> None:
            if environ["PATH_INFO"] == "/":
                go_on.wait()
            else:
                order.append(environ["PATH_INFO"])

        harness = AdmissionHarness(answer)
        harness.fill()
        paths = [f"/{number}" for number in range(2 * MAXIMUM_IN_FLIGHT)]
        requests = [harness.request(path) for path in paths]
        wait_until(lambda: harness.admission._waiting == len(paths))
        go_on.set()
        gevent.joinall(requests, timeout=5)
        assert order == paths

    @pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics", "/api/livez"])
    def test_probes_need_no_place(self, harness: AdmissionHarness, path: str) -> None:
        harness.fill()
        assert harness.request(path).get(timeout=5) == [b"answered"]

    def test_a_place_is_given_back_after_an_error(self) -> None:
        harness = AdmissionHarness(lambda _: 1 / 0)
        for _ in range(MAXIMUM_IN_FLIGHT + 1):
            with pytest.raises(ZeroDivisionError):
                harness.request().get(timeout=5)

    def test_the_time_of_arrival_is_from_before_the_wait_for_a_place(
        self, harness: AdmissionHarness, go_on: Event
    ) -> None:
        harness.fill()
        late = harness.request()
        gevent.sleep(IMPATIENCE_SECONDS / 2)
        go_on.set()
        late.get(timeout=5)
        assert time.monotonic() - harness.environs[-1][RECEIVED_AT] >= IMPATIENCE_SECONDS / 2


class TestBodies:
    def test_a_body_is_read_whole(self, harness: AdmissionHarness) -> None:
        assert harness.request("/body", SlowBody(b"a" * 1024, b"b" * 7)).get(timeout=5) == [b"1031"]

    def test_it_is_given_in_the_sizes_that_are_asked_for(self) -> None:
        harness = AdmissionHarness(lambda environ: [environ["wsgi.input"].read(size) for size in (2, 2, 9, 9)])
        assert harness.request(body=SlowBody(b"abc", b"de")).get(timeout=5) == [b"[b'ab', b'cd', b'e', b'']"]

    def test_bodies_that_take_long_hold_no_place(self, harness: AdmissionHarness) -> None:
        arrives = Event()
        bodies = [SlowBody(b"a", arrives=arrives) for _ in range(2 * MAXIMUM_IN_FLIGHT)]
        slow = [harness.request("/body", body) for body in bodies]
        wait_until(lambda: all(body.reads for body in bodies))
        assert harness.request("/other").get(timeout=5) == [b"answered"]
        arrives.set()
        assert {request.get(timeout=5)[0] for request in slow} == {b"1"}

    @pytest.mark.usefixtures("impatient")
    def test_a_request_whose_body_came_too_late_for_a_place_is_overloaded(self, harness: AdmissionHarness) -> None:
        arrives = Event()
        body = SlowBody(b"a", arrives=arrives)
        late = harness.request("/body", body)
        wait_until(lambda: body.reads)
        harness.fill()
        arrives.set()
        with pytest.raises(Overloaded):
            late.get(timeout=5)

    def test_a_body_must_arrive_in_time(self, harness: AdmissionHarness, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(admission, "MAXIMUM_BODY_SECONDS", 0.05)
        with pytest.raises(RequestTimeout):
            harness.request("/body", SlowBody(*[b"a"] * 100, seconds=0.01)).get(timeout=5)

    def test_a_client_that_leaves_amid_its_body_is_no_fault(self, harness: AdmissionHarness) -> None:
        with pytest.raises(ClientDisconnected):
            harness.request("/body", SlowBody(b"a", ConnectionResetError())).get(timeout=5)

    def test_a_body_that_failed_is_not_waited_for_again(self) -> None:
        slow = SlowBody(OSError("Invalid data"), b"later")
        body = admission.RequestBody(slow, Permit(BoundedSemaphore(1)), Counter())
        for _ in range(2):
            with pytest.raises(ClientDisconnected):
                body.read()
        assert slow.reads == 1

    def test_a_body_that_failed_is_freed_at_once(self) -> None:
        def read(_size: int) -> bytes:
            raise OSError("Invalid data")

        stream: Any = SimpleNamespace(read=read)
        body = admission.RequestBody(stream, Permit(BoundedSemaphore(1)), Counter())
        alive = weakref.ref(body)
        gc.disable()
        try:
            for _ in range(2):
                with suppress(ClientDisconnected):
                    body.read()
            del body
            assert alive() is None
        finally:
            gc.enable()

    def test_no_more_is_read_than_is_allowed(self, harness: AdmissionHarness) -> None:
        body = SlowBody(*[b"a" * 1024] * 2000)
        (length,) = harness.request("/body", body).get(timeout=5)
        assert MAXIMUM_BODY_BYTES < int(length) <= MAXIMUM_BODY_BYTES + 1024
        assert body.reads < 1000

    def test_others_are_served_between_the_steps(self, harness: AdmissionHarness) -> None:
        request = harness.request("/body", io.BytesIO(b"a" * 100_000))
        gevent.sleep(0)
        assert harness.request("/other").get(timeout=5) == [b"answered"]
        assert not request.dead
        assert request.get(timeout=5) == [b"100000"]

    def test_the_bodies_that_arrive_at_once_are_bounded(
        self, harness: AdmissionHarness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(admission, "MAXIMUM_BUFFERED_BYTES", 10)
        arrives = Event()
        body = SlowBody(b"a" * 6, b"a", arrives=arrives)
        first = harness.request("/body", body)
        wait_until(lambda: body.reads == 2)
        with pytest.raises(Overloaded):
            harness.request("/body", SlowBody(b"a" * 6)).get(timeout=5)
        arrives.set()
        assert first.get(timeout=5) == [b"7"]
        assert harness.request("/body", SlowBody(b"a" * 10)).get(timeout=5) == [b"10"]


class TestLongPolling:
    @pytest.fixture
    def sockets(self) -> Iterator[tuple[socket.socket, socket.socket]]:
        server, client = socket.socketpair()
        with server, client:
            yield server, client

    @pytest.fixture
    def long_polling(self, sockets: tuple[socket.socket, socket.socket]) -> Iterator[AdmissionHarness]:
        def answer(environ: Environ) -> object:
            if environ["PATH_INFO"] != "/wait":
                return "overloaded" if environ[IS_OVERLOADED] else "answered"
            with environ[LONG_POLLING]() as is_over:
                made.waiting += is_over is not None
                while is_over is not None and not is_over():
                    gevent.sleep(0.001)
                made.waiting -= is_over is not None
            return "no slot" if is_over is None else "over"

        made = AdmissionHarness(answer)
        made.server, _ = sockets
        yield made
        made.is_stopping = True
        wait_until(lambda: not made.application.running)

    def test_requests_that_wait_hold_no_place(self, long_polling: AdmissionHarness) -> None:
        requests = [long_polling.request("/wait") for _ in range(MAXIMUM_LONG_POLLS)]
        wait_until(lambda: long_polling.waiting == MAXIMUM_LONG_POLLS)
        assert long_polling.request().get(timeout=5) == [b"answered"]
        long_polling.is_stopping = True
        assert {request.get(timeout=5)[0] for request in requests} == {b"over"}

    def test_one_more_than_may_wait_does_not(self, long_polling: AdmissionHarness) -> None:
        for _ in range(MAXIMUM_LONG_POLLS):
            long_polling.request("/wait")
        wait_until(lambda: long_polling.waiting == MAXIMUM_LONG_POLLS)
        assert long_polling.request("/wait").get(timeout=5) == [b"no slot"]

    def test_the_end_of_a_wait_frees_its_slot(self, long_polling: AdmissionHarness) -> None:
        for _ in range(2):
            requests = [long_polling.request("/wait") for _ in range(MAXIMUM_LONG_POLLS)]
            wait_until(lambda: long_polling.waiting == MAXIMUM_LONG_POLLS)
            long_polling.is_stopping = True
            assert {request.get(timeout=5)[0] for request in requests} == {b"over"}
            long_polling.is_stopping = False

    def test_a_client_that_leaves_ends_its_wait(
        self, long_polling: AdmissionHarness, sockets: tuple[socket.socket, socket.socket]
    ) -> None:
        request = long_polling.request("/wait")
        wait_until(lambda: long_polling.waiting)
        sockets[1].close()
        assert request.get(timeout=5) == [b"over"]

    def test_a_server_that_stops_ends_every_wait(
        self, long_polling: AdmissionHarness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        request = long_polling.request("/wait")
        wait_until(lambda: long_polling.waiting)
        monkeypatch.setattr(shutdown, "in_progress", lambda: True)
        assert request.get(timeout=5) == [b"over"]


class TestDisconnected:
    def test_a_silent_client_is_there(self) -> None:
        client, server = socket.socketpair()
        with client, server:
            assert not has_disconnected(server)

    def test_a_client_that_has_sent_more_is_there(self) -> None:
        client, server = socket.socketpair()
        with client, server:
            client.sendall(b"more")
            assert not has_disconnected(server)
            assert server.recv(9) == b"more"

    def test_a_client_that_closed_is_not(self) -> None:
        client, server = socket.socketpair()
        with server:
            client.close()
            assert has_disconnected(server)

    def test_nor_is_one_that_reset(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            client = socket.create_connection(listener.getsockname())
            server, _ = listener.accept()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            client.close()
            with server:
                assert has_disconnected(server)

    def test_its_descriptor_may_be_above_those_that_select_takes(self) -> None:
        soft, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        client, server = socket.socketpair()
        try:
            with client, server, socket.socket(fileno=os.dup2(server.fileno(), DESCRIPTOR)) as high:
                assert not has_disconnected(high)
                client.close()
                assert has_disconnected(high)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, most))


def test_a_permit_that_another_request_took_meanwhile_is_an_overload(monkeypatch: pytest.MonkeyPatch) -> None:
    permit = Permit(BoundedSemaphore(1))
    assert permit.acquire()
    monkeypatch.setattr(permit, "acquire", lambda: False)
    with pytest.raises(Overloaded), permit.released():
        pass
