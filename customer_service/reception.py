"""Who is let into a worker's threads: requests that have arrived whole, and as many as can be answered in time."""

from __future__ import annotations

import re
import socket
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from selectors import EVENT_READ
from typing import TYPE_CHECKING, Any, cast

from gunicorn.workers.gthread import ThreadWorker

from customer_service import cors, drain, observability, reference, refusals, waiting
from customer_service.arrivals import Arrival
from customer_service.database import count_deadline_from
from customer_service.errors import CustomerServiceError, Overloaded, RequestTimeout
from customer_service.line import Line
from customer_service.settings import GatewaySettings
from customer_service.sockets import ClientSocket

if TYPE_CHECKING:
    from collections.abc import Callable

    from gunicorn.http import RequestParser
    from gunicorn.workers.gthread import TConn

WAIT_SECONDS = 1.0
ARRIVAL_SECONDS = 10.0
LEAVE_SECONDS = 2.0
RECEIVED_BYTES = 65_536
HELD_BYTES = 32_000_000
PROBE = b"GET /livez "
WAITERS = 32
WAITS = re.compile(rb"GET [^ ?]*+\?(?<=/customers/changes\?)(?:[^ ]*&)?wait=[1-9]")
REFERENCE = re.compile(rb"GET " + reference.PATH.pattern.encode())
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
KEPT: Future[bool] = Future()
KEPT.set_result(True)


class ReceivingWorker(ThreadWorker):
    """A threaded worker whose threads wait for no client.

    gunicorn's own gives every connection a thread for as long as its bytes take to come, and queues without end: a few
    slow clients stop it. This one collects a request in its main loop and hands it to a thread once it is whole. What
    is more than can be answered in time is refused there and then, and what a request waited for a thread is taken
    from its deadline. The probe of the process has a thread of its own, so that a worker whose threads all wait for
    the database is not taken for dead. So has each of up to WAITERS requests that wait for changes; and so have the
    document and its page, which are large and anybody's: who reads them slowly holds up nobody but others who do.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Begin with nobody there."""
        super().__init__(*args, **kwargs)
        self.line = Line(self.cfg.threads)
        self.probes = ThreadPoolExecutor(1)
        self.waiters = ThreadPoolExecutor(WAITERS)
        self.waiting: set[TConn] = set()
        self.readers = Line(1), ThreadPoolExecutor(1)
        self.origins = GatewaySettings.from_environment().cors_allowed_origins
        self.held = 0
        self.arriving: dict[TConn, Arrival] = {}
        self.parting: dict[TConn, None] = {}
        self.unfinished: set[TConn] = set()
        self.inside: set[TConn] = set()

    def enqueue_req(self, conn: TConn) -> None:
        """Receive a request on a connection that is new, or was kept, or has more behind the request before."""
        if not conn.initialized:
            conn.sock = ClientSocket(conn.sock)
            conn.init()
        arrival = Arrival(parser_of(conn).unreader.take_buffered())
        self.held += len(arrival.data)
        self._go_on(conn, arrival)

    def murder_pending(self) -> None:
        """Let go of those whose time is over; gunicorn's main loop calls this at least every second."""
        now = time.monotonic()
        for conn, arrival in _overdue(self.arriving, now):
            self.poller.unregister(conn.sock)
            self._end_arrival(conn, arrival)
            self._refuse(RequestTimeout(), conn, arrival)
        for conn, _ in _overdue(self.parting, now):
            self._leave(conn)

    def handle(self, conn: TConn) -> bool:
        """Answer a request, in any thread; return whether the connection may be kept."""
        keep = super().handle(conn)
        with suppress(OSError):
            cast("ClientSocket", conn.sock).flush()
            return bool(keep)
        return False

    def _go_on(self, conn: TConn, arrival: Arrival) -> None:
        step = self._take(conn, arrival)
        if step is not None:
            self._end_arrival(conn, arrival)
            step(conn, arrival)
        elif arrival.data:
            self._wait(conn, arrival)
        else:
            self.finish_request(conn, KEPT)

    def _take(self, conn: TConn, arrival: Arrival) -> Callable[[TConn, Arrival], object] | None:
        """Take what has arrived; return what to do now, or None where more is needed."""
        try:
            while not arrival.is_whole():
                data = conn.sock.recv(RECEIVED_BYTES, socket.MSG_DONTWAIT)
                if not data:
                    return self._close
                arrival.data += data
                self.held += len(data)
        except BlockingIOError:
            return partial(self._refuse, Overloaded()) if self.held > HELD_BYTES else None
        except OSError:
            return self._close
        except CustomerServiceError as error:
            return partial(self._refuse, error)
        parser_of(conn).unreader.unread(bytes(arrival.data))
        return self._admit

    def _wait(self, conn: TConn, arrival: Arrival) -> None:
        if conn not in self.arriving:
            conn.timeout = time.monotonic() + ARRIVAL_SECONDS
            self.arriving[conn] = arrival
        if arrival.wants_a_word():
            with suppress(OSError):
                conn.sock.send(CONTINUE, socket.MSG_DONTWAIT)
        self.poller.register(conn.sock, EVENT_READ, partial(self._receive, conn, arrival))

    def _receive(self, conn: TConn, arrival: Arrival, connection: socket.socket) -> None:
        self.poller.unregister(connection)
        self._go_on(conn, arrival)

    def _end_arrival(self, conn: TConn, arrival: Arrival) -> None:
        self.arriving.pop(conn, None)
        self.held -= len(arrival.data)

    def _admit(self, conn: TConn, arrival: Arrival) -> None:
        now = time.monotonic()
        if arrival.has_rest:
            self.unfinished.add(conn)
        line, threads = self.readers if REFERENCE.match(arrival.data) else (self.line, self.tpool)
        if arrival.data.startswith(PROBE):
            answer = self.probes.submit(self.handle, conn)
        elif len(self.waiting) < WAITERS and WAITS.match(arrival.data):
            self.waiting.add(conn)
            answer = self.waiters.submit(self._answer_waiting, conn)
        elif line.expected_wait(now) > WAIT_SECONDS:
            self._refuse(Overloaded(), conn, arrival)
            return
        else:
            line.join(now)
            self.inside.add(conn)
            answer = threads.submit(self._answer, conn, line, now)
        answer.add_done_callback(lambda done: self._finish(conn, done.exception() is None and done.result()))

    def _finish(self, conn: TConn, keep: bool) -> None:
        """Keep the connection at once, in the thread that answered; anything else is for the main loop."""
        self.inside.discard(conn)
        if conn in self.waiting or not keep or parser_of(conn).unreader.buf.getvalue():
            self.method_queue.defer(self._finish_in_loop, conn, keep)
            return
        self.finish_request(conn, KEPT)
        if not self.alive:  # and the main loop may have counted the kept connections before this one
            self.method_queue.defer(self._cap_keepalive, time.monotonic() + LEAVE_SECONDS)

    def _finish_in_loop(self, conn: TConn, keep: bool) -> None:
        """Keep the connection or part from it; where gunicorn parts it stops the main loop, for up to two seconds."""
        self.waiting.discard(conn)
        if keep:
            self.finish_request(conn, KEPT)
        else:
            self._part(conn)

    def _cap_keepalive(self, deadline: float) -> None:
        """Part from kept connections by then; threads may be adding some."""
        for conn in list(self.keepalived_conns):
            conn.timeout = min(conn.timeout or deadline, deadline)

    def _answer(self, conn: TConn, line: Line, admitted: float) -> bool:
        line.leave(time.monotonic())
        count_deadline_from(admitted)
        return self.handle(conn)

    def _answer_waiting(self, conn: TConn) -> bool:
        waiting.allow(lambda: drain.in_progress() or not self.alive or cast("ClientSocket", conn.sock).has_left())
        return self.handle(conn)

    def _keepalive_after(self, conn: TConn, keepalive: object) -> bool:
        """Whether gunicorn may keep the connection: not where the body's rest would have to be waited for."""
        parser: Any = conn.parser  # its published types are those of an earlier gunicorn
        return bool(keepalive and conn not in self.unfinished and parser.finish_body())

    def _refuse(self, error: CustomerServiceError, conn: TConn, arrival: Arrival) -> None:
        given = arrival.names()
        identity = observability.identify(given.get("x-request-id", ""), given.get("traceparent", ""))
        shared = cors.headers_for(given.get("origin", ""), self.origins)
        answer = refusals.answer(error, identity, shared, empty=arrival.data.startswith(b"HEAD "))
        with suppress(OSError):
            conn.sock.send(answer, socket.MSG_DONTWAIT)
        self._part(conn)

    def _part(self, conn: TConn) -> None:
        """Say that nothing more will come, and wait a little for the client to leave first.

        The kernel resets a connection that is closed with bytes unread, and the client may lose its answer.
        """
        try:
            conn.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._close(conn)
            return
        conn.timeout = time.monotonic() + LEAVE_SECONDS
        self.parting[conn] = None
        self.poller.register(conn.sock, EVENT_READ, partial(self._drain, conn))

    def _drain(self, conn: TConn, connection: socket.socket) -> None:
        try:
            is_gone = not connection.recv(RECEIVED_BYTES, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            is_gone = True
        if is_gone:
            self._leave(conn)

    def _leave(self, conn: TConn) -> None:
        del self.parting[conn]
        self.poller.unregister(conn.sock)
        self._close(conn)

    def _close(self, conn: TConn, _arrival: object = None) -> None:
        self.nr_conns -= 1
        self.unfinished.discard(conn)
        conn.close()


def parser_of(conn: TConn) -> RequestParser:
    """Return the parser of a connection that is received."""
    return cast("RequestParser", conn.parser)


def _overdue(conns: dict[TConn, Any], now: float) -> list[tuple[TConn, Any]]:
    return [(conn, value) for conn, value in conns.items() if (conn.timeout or now) <= now]
