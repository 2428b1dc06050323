"""The worker drains once, and gives a client up that does not read."""

from __future__ import annotations

import errno
import signal
import socket
from contextlib import ExitStack, closing
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import gevent
import gevent.socket
import pytest
from gevent.event import Event
from gunicorn.config import Config
from gunicorn.http.errors import LimitRequestHeaders
from gunicorn.workers.ggevent import GeventWorker

from customer_service.errors import SettingsError
from customer_service.server import worker as worker_module
from customer_service.server.admission import Admission, Permit
from customer_service.server.limits import ACCEPTED_AT_ONCE, MAXIMUM_IN_FLIGHT
from customer_service.server.worker import ClientSocket, DrainingWorker
from customer_service.web import shutdown
from customer_service.web.limits import MAXIMUM_HEAD_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def worker() -> DrainingWorker:
    """A worker that no master process started."""
    made = DrainingWorker.__new__(DrainingWorker)
    made.is_draining = False
    made.started, made.drained = Event(), Event()
    made.alive, made.worker_connections = True, 100
    made.servers, made.pools, made.idle = [], [], set()
    made.wsgi = Admission(lambda *_: [], lambda: False)
    return made


@pytest.fixture
def served(worker: DrainingWorker, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The connections that the worker has served."""
    served: list[object] = []
    monkeypatch.setattr(worker, "handle", lambda _listener, client, _address: served.append(client.close()))
    return served


@pytest.fixture
def listener() -> Iterator[gevent.socket.socket]:
    """A socket with twenty connections that no server has accepted yet."""
    with gevent.socket.socket() as listener, ExitStack() as clients:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        for _ in range(20):
            clients.enter_context(socket.create_connection(listener.getsockname()))
        yield listener


def test_a_second_signal_starts_no_second_drain(worker: DrainingWorker, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[object] = []
    monkeypatch.setattr(gevent, "spawn", lambda *call: started.append(call))
    for _ in range(2):
        worker.handle_exit(signal.SIGTERM, None)
    assert len(started) == 1


def test_a_quick_stop_ends_the_drain(worker: DrainingWorker, monkeypatch: pytest.MonkeyPatch) -> None:
    joined: list[float] = []
    monkeypatch.setattr(worker_module, "HEARTBEAT_SECONDS", 60)
    monkeypatch.setattr(worker, "notify", lambda: None)
    monkeypatch.setattr(worker, "_join", joined.append)
    worker.sockets, worker.is_draining = [], True
    running = gevent.spawn(worker.run)
    worker.started.wait()
    worker.handle_quit(signal.SIGINT, None)
    running.join(timeout=30)
    assert running.successful()
    assert joined == []


def test_a_stop_reads_no_setting_again(worker: DrainingWorker, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of a setting may be gone by then."""
    started: list[tuple[object, ...]] = []
    monkeypatch.setattr(gevent, "spawn", lambda *call: started.append(call))
    monkeypatch.setattr(shutdown, "in_progress", lambda: True)
    monkeypatch.setenv("DRAIN_SECONDS_FILE", "/missing")
    worker.drain_seconds = 7
    worker.handle_exit(signal.SIGTERM, None)
    assert started == [(worker._drain, 7)]


def test_a_worker_reads_its_settings_in_its_own_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """gunicorn creates the worker in the master, which an error would end, with all requests in flight."""
    monkeypatch.setenv("DRAIN_SECONDS_FILE", "/missing")
    created = DrainingWorker(0, 0, [], None, 1, Config(), None)
    with closing(created.tmp), pytest.raises(SettingsError, match="DRAIN_SECONDS_FILE"):
        created.init_process()


def test_a_client_that_does_not_read_its_response_is_given_up(
    worker: DrainingWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wait(*_: object) -> None:
        raise TimeoutError

    monkeypatch.setattr(GeventWorker, "handle_request", wait)
    request: Any = SimpleNamespace(req_number=1, version=(1, 1), headers=[])
    with socket.socket() as client, pytest.raises(StopIteration):
        worker.handle_request(None, request, client, None)


def test_a_worker_that_is_stopped_while_it_starts_serves_those_that_wait_for_it(
    worker: DrainingWorker, monkeypatch: pytest.MonkeyPatch, listener: gevent.socket.socket, served: list[object]
) -> None:
    monkeypatch.setattr(worker, "notify", lambda: None)
    monkeypatch.setattr("customer_service.server.worker.OTHER_WORKERS_SECONDS", 0)
    worker.sockets = [listener]
    worker.handle_exit(signal.SIGTERM, None)
    gevent.sleep(0.01)
    worker.run()
    assert (len(served), worker.alive) == (20, False)


@pytest.mark.parametrize(
    ("in_flight", "accepted"), [(MAXIMUM_IN_FLIGHT - 1, ACCEPTED_AT_ONCE), (MAXIMUM_IN_FLIGHT, 20)]
)
def test_a_full_worker_accepts_more_connections_at_once(
    worker: DrainingWorker,
    listener: gevent.socket.socket,
    monkeypatch: pytest.MonkeyPatch,
    in_flight: int,
    accepted: int,
) -> None:
    for _ in range(in_flight):
        assert Permit(worker.wsgi._permits).acquire()
    before: list[int] = []
    monkeypatch.setattr(worker, "handle", lambda *_: before.append(len(worker.pools[0])))
    server = worker._listen(listener)
    while len(before) < 20:
        gevent.sleep(0)
    server.close()
    assert before[0] == accepted


def test_connections_that_the_kernel_accepted_before_a_drain_are_served(
    worker: DrainingWorker, listener: gevent.socket.socket, served: list[object]
) -> None:
    worker.servers = [worker._listen(listener)]
    worker.started.set()
    worker._drain(0)
    assert (len(served), worker.alive) == (20, False)


def test_a_drain_ends_if_no_more_connection_can_be_accepted(
    worker: DrainingWorker, listener: gevent.socket.socket, served: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    worker.servers = [worker._listen(listener)]
    monkeypatch.setattr(worker.servers[0], "do_read", refuse)
    worker.started.set()
    worker._drain(0)
    assert (served, worker.alive) == ([], False)


def test_a_drain_does_not_wait_for_connections_beyond_the_most(
    worker: DrainingWorker, listener: gevent.socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker.worker_connections = 5
    monkeypatch.setattr(worker, "handle", lambda *_: gevent.sleep(5))
    worker.servers = [worker._listen(listener)]
    worker.started.set()
    with gevent.Timeout(4):
        worker._drain(0)
    assert not worker.alive
    worker.pools[0].kill()


def test_a_connection_that_has_got_a_request_is_not_closed_as_idle(worker: DrainingWorker) -> None:
    settings: Any = SimpleNamespace(keepalive=5)
    worker.cfg = settings
    request, done = Event(), list[str]()

    def serve(name: str) -> None:
        with ClientSocket(gevent.socket.socket()) as client, ExitStack() as stack:
            worker_module._client.set(client)
            stack.enter_context(worker.timeout_ctx())
            if name == "busy":
                request.wait()
            else:
                gevent.sleep(5)
            done.append("a request")
        gevent.sleep(0)
        done.append(name)

    connections = [gevent.spawn(serve, name) for name in ("busy", "idle")]
    gevent.sleep(0)
    request.set()
    gevent.get_hub().loop.run_callback(worker._close_idle)
    gevent.joinall(connections, timeout=4)
    assert sorted(done) == ["a request", "busy", "idle"]


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, ClientSocket]]:
    """The two ends of a connection: the client's, and the worker's."""
    theirs, accepted = gevent.socket.socketpair()
    ours = ClientSocket(accepted)
    yield theirs, ours
    theirs.close()
    ours.close()


class TestHeads:
    def test_a_head_that_is_too_long_is_not_received(self, ends: tuple[socket.socket, ClientSocket]) -> None:
        theirs, ours = ends
        with ours.receiving_head(5):
            for _ in range(MAXIMUM_HEAD_BYTES // 8192):
                theirs.sendall(b"x" * 8192)
                assert len(ours.recv(8192)) == 8192
            with pytest.raises(LimitRequestHeaders):
                ours.recv(8192)

    def test_a_body_is_received_whole(self, ends: tuple[socket.socket, ClientSocket]) -> None:
        theirs, ours = ends
        with ours.receiving_head(5):
            theirs.sendall(b"x")
            ours.recv(8192)
        for _ in range(20):
            theirs.sendall(b"x" * 8192)
            assert len(ours.recv(8192)) == 8192

    def test_only_an_idle_connection_may_wait_long(
        self, ends: tuple[socket.socket, ClientSocket], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        theirs, ours = ends
        monkeypatch.setattr(worker_module, "SILENT_SECONDS", 0.01)
        with pytest.raises(gevent.Timeout), ours.receiving_head(10):
            ours.recv(8192)
        with ours.receiving_head(10):
            gevent.spawn_later(0.1, theirs.sendall, b"GET / HTTP/1.1\r\n")
            assert ours.recv(8192) == b"GET / HTTP/1.1\r\n"
            with pytest.raises(gevent.Timeout):
                ours.recv(8192)
        with ours.receiving_head(10):
            gevent.spawn_later(0.1, theirs.sendall, b"x")
            assert ours.recv(8192) == b"x"


def test_the_application_is_behind_admission_control(worker: DrainingWorker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GeventWorker, "load_wsgi", lambda self: setattr(self, "wsgi", None))
    worker.load_wsgi()
    assert isinstance(worker.wsgi, Admission)
