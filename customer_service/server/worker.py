"""gunicorn's gevent worker with three additions: it drains, bounds every wait for a client, and returns problems.

design: each connection has a greenlet, in which gunicorn's `handle` serves request after request. Greenlets switch only
when they wait, so a keep-alive connection yields before its next request: else a client whose next request is already
there would be served again and again. Nothing here parses HTTP.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from contextvars import ContextVar
from socket import SHUT_WR
from typing import TYPE_CHECKING, Any, cast

import gevent
import gevent.socket
from gevent.event import Event
from gevent.pool import Pool
from gevent.server import StreamServer
from gunicorn.http.errors import LimitRequestHeaders
from gunicorn.workers.ggevent import GeventWorker

from customer_service.server.admission import Admission
from customer_service.server.limits import (
    ACCEPTED_AT_ONCE,
    ACCEPTED_AT_ONCE_IF_FULL,
    FINISH_SECONDS,
    IDLE_SECONDS,
    LINGER_SECONDS,
    OTHER_WORKERS_SECONDS,
    RESPONSE_SECONDS,
    SILENT_SECONDS,
)
from customer_service.settings import ServerSettings
from customer_service.web import connection_errors, shutdown
from customer_service.web.limits import MAXIMUM_HEAD_BYTES

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator
    from types import FrameType

    from gunicorn.http.message import Request

HEARTBEAT_SECONDS = 1.0
RECEIVE_BYTES = 65_536
HTTP_1_1 = (1, 1)

_client: ContextVar[ClientSocket] = ContextVar("client")
"""The connection of this greenlet."""


class DrainingWorker(GeventWorker):
    """A gevent worker that continues to serve for DRAIN_SECONDS after SIGTERM, and loses no request."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Start without connections."""
        super().__init__(*args, **kwargs)
        self.drain_seconds = 0.0
        self.is_draining = False
        self.started = Event()
        self.drained = Event()
        self.idle: set[Any] = set()
        self.servers: list[StreamServer] = []
        self.pools: list[Pool] = []

    def init_process(self) -> None:
        """Read the settings and serve; raises SettingsError. gunicorn calls this in the worker's own process."""
        self.drain_seconds = ServerSettings.from_environment().drain_seconds
        super().init_process()

    def load_wsgi(self) -> None:
        """Load the application behind admission control."""
        super().load_wsgi()
        self.wsgi: Any = Admission(self.wsgi, lambda: not self.alive)

    def run(self) -> None:
        """Serve until the worker has drained, or must stop at once."""
        self.servers = [self._listen(listener) for listener in self.sockets]
        self.started.set()
        while self.alive:
            self.notify()
            self.drained.wait(HEARTBEAT_SECONDS)
        if self.is_draining:
            self._join(IDLE_SECONDS)
            gevent.get_hub().loop.run_callback(self._close_idle)
            self._join(FINISH_SECONDS)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - gunicorn's signature
        """Start to drain on SIGTERM: for DRAIN_SECONDS if the server shuts down, without delay if it reloads."""
        if not self.is_draining:
            self.is_draining = True
            gevent.spawn(self._drain, self.drain_seconds if shutdown.in_progress() else 0)

    def handle_quit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - gunicorn's signature
        """Stop at once on SIGINT or SIGQUIT; gunicorn's handler prints the traceback of its SystemExit."""
        self.is_draining = self.alive = False
        gevent.spawn(self.drained.set)

    @contextmanager
    def timeout_ctx(self) -> Iterator[None]:  # type: ignore[override]  # gunicorn's stub says None
        """Bound the wait for a request; gunicorn closes the connection if none arrived within the context."""
        connection = gevent.getcurrent()
        self.idle.add(connection)
        try:
            with suppress(gevent.GreenletExit, gevent.Timeout), _client.get().receiving_head(self.cfg.keepalive):
                yield
        finally:
            self.idle.discard(connection)

    def handle_request(self, listener_name: Any, req: Request, sock: socket.socket, addr: Any) -> bool:
        """Serve a request; if its body was not read to the end, the response closes the connection."""
        if req.req_number > 1:
            gevent.sleep(0)
        sock.settimeout(RESPONSE_SECONDS)
        req.version = min(req.version or HTTP_1_1, HTTP_1_1)  # the response repeats it (RFC 9110, section 6.2)
        body = UnreadBody(req) if has_body(req) else None
        try:
            return super().handle_request(listener_name, req, sock, addr)
        except TimeoutError:  # the client does not read its response
            raise StopIteration from None
        finally:
            sock.settimeout(None)
            if body is not None and body.is_unread:
                with suppress(OSError):
                    linger(sock)

    def handle_error(self, req: object, client: socket.socket, addr: object, exc: BaseException) -> None:  # noqa: ARG002 - gunicorn's signature
        """Send a problem if a request cannot be read or its response fails; gunicorn would send HTML, and log it."""
        client.settimeout(RESPONSE_SECONDS)
        with suppress(OSError):  # the client may be gone
            client.sendall(connection_errors.response_to(exc))
            linger(client)

    def _listen(self, listener: socket.socket) -> StreamServer:
        pool = Pool(self.worker_connections)
        self.pools.append(pool)
        server = ConnectionServer(self.wsgi.is_full, listener, self._serve, spawn=pool)
        server.start()
        return server

    def _serve(self, accepted: gevent.socket.socket, address: Any) -> None:
        """Serve a connection.

        gunicorn asks the listener for its name, but that may be closed by now: the connection itself knows it too.
        """
        with ClientSocket(accepted) as client:
            _client.set(client)
            self.handle(client, client, address)

    def _drain(self, seconds: float) -> None:
        """Stop listening after so many seconds, and close idle connections when every worker has stopped listening.

        A worker that is still starting listens first: connections may wait for it, which the kernel would reset.
        """
        gevent.sleep(seconds)
        self.started.wait()
        for server in self.servers:
            with suppress(OSError):  # such as too many open files
                self._accept_queue(server)
            server.close()
        gevent.sleep(OTHER_WORKERS_SECONDS)
        self.alive = False
        self.drained.set()

    def _accept_queue(self, server: StreamServer) -> None:
        """Accept the connections that the kernel has accepted: it would reset them when the server is closed."""
        while not server.full() and (accepted := server.do_read()) is not None:
            server.do_handle(*accepted)

    def _close_idle(self) -> None:
        """Close the connections that wait for a request.

        It runs in the hub, between greenlets, so none of them can receive one meanwhile.
        """
        for connection in list(self.idle):
            connection.throw(gevent.GreenletExit)

    def _join(self, seconds: float) -> None:
        """Wait until every connection is closed, for at most so many seconds."""
        with suppress(gevent.Timeout), gevent.Timeout(seconds):
            for pool in self.pools:
                pool.join()
        self.notify()


class ConnectionServer(StreamServer):
    """Accepts the connections of a worker."""

    def __init__(self, is_full: Callable[[], bool], *args: Any, **kwargs: Any) -> None:
        """Accept more at once if `is_full` returns that the worker serves as many requests as it may."""
        self._is_full = is_full
        super().__init__(*args, **kwargs)

    @property
    def max_accept(self) -> int:  # type: ignore[override]  # gevent reads it each time
        """How many connections to accept at once."""
        return ACCEPTED_AT_ONCE_IF_FULL if self._is_full() else ACCEPTED_AT_ONCE


class ClientSocket(gevent.socket.socket):
    """A client's connection, which bounds the size and the time of the head of a request: its line and its headers."""

    def __init__(self, accepted: gevent.socket.socket) -> None:
        """Take over a connection that was accepted."""
        super().__init__(accepted.family, accepted.type, accepted.proto, accepted.detach())
        self._head_bytes: int | None = None
        self._may_be_idle = False
        self._timer = gevent.Timeout()

    @contextmanager
    def receiving_head(self, idle_seconds: float) -> Iterator[None]:
        """Raise gevent.Timeout in this context if the head takes too long.

        The first one on a connection may take SILENT_SECONDS. A later one may begin within `idle_seconds`, and its
        rest may take SILENT_SECONDS.
        """
        self._head_bytes = 0
        self._start_timer(idle_seconds if self._may_be_idle else SILENT_SECONDS)
        try:
            yield
        finally:
            self._timer.close()
            self._head_bytes, self._may_be_idle = None, True

    def recv(self, *args: Any) -> bytes:
        """Return what arrives next; raises LimitRequestHeaders if it would belong to a head that is too long."""
        if self._head_bytes is None:
            return super().recv(*args)
        if self._head_bytes >= MAXIMUM_HEAD_BYTES:
            raise LimitRequestHeaders("the head is too long")
        if self._head_bytes and self._may_be_idle:
            self._may_be_idle = False
            self._start_timer(SILENT_SECONDS)
        part = super().recv(*args)
        self._head_bytes += len(part)
        return part

    def _start_timer(self, seconds: float) -> None:
        self._timer.close()
        self._timer = gevent.Timeout.start_new(seconds)


class UnreadBody:
    """A request's body; the connection is closed after the response unless the body was read to its end.

    gunicorn would read the rest of any length before the next request, and serve no other request meanwhile.
    """

    def __init__(self, req: Request) -> None:
        """Replace the request's body."""
        self.is_unread = True
        self._body: Any = req.body
        self._req = req
        self._closes_anyway = req.must_close
        req.body, req.must_close = cast("Any", self), True

    def read(self, size: int) -> bytes:
        """Return at most so many bytes; none at the end."""
        data: bytes = self._body.read(size)
        if not data:
            self.is_unread = False
            self._req.must_close = self._closes_anyway
        return data


def has_body(req: Request) -> bool:
    """Return whether the request has a body that is not empty."""
    return any(
        name == "TRANSFER-ENCODING" or (name == "CONTENT-LENGTH" and value != "0") for name, value in req.headers
    )


def linger(client: socket.socket) -> None:
    """Read and drop what the client still sends, for at most LINGER_SECONDS; raises OSError."""
    client.shutdown(SHUT_WR)
    with suppress(gevent.Timeout), gevent.Timeout(LINGER_SECONDS):
        while client.recv(RECEIVE_BYTES):
            gevent.sleep(0)
