"""Admission control: a bounded number of requests of one worker are in flight, served nearly in their order.

design: gevent serves any number of connections at once, so without a bound an overload would make every request late.
A request acquires a permit before the application receives it. If there is none within QUEUE_SECONDS, the request is
refused. While it waits for its own client or for a change, it releases the permit: this wait delays no other request.
"""

from __future__ import annotations

import select
import socket
import time
from collections import Counter
from contextlib import contextmanager
from copy import copy
from functools import partial
from io import BytesIO
from typing import TYPE_CHECKING

import gevent
from gevent.lock import BoundedSemaphore
from gevent.monkey import get_original
from werkzeug.exceptions import ClientDisconnected

from customer_service.errors import Overloaded, RequestTimeout
from customer_service.server.limits import MAXIMUM_BUFFERED_BYTES, MAXIMUM_IN_FLIGHT, QUEUE_SECONDS
from customer_service.web import shutdown
from customer_service.web.limits import MAXIMUM_BODY_BYTES, MAXIMUM_BODY_SECONDS
from customer_service.web.long_polling import MAXIMUM_LONG_POLLS
from customer_service.web.routing import BASE_PATHS
from customer_service.web.wsgi_environ import IS_OVERLOADED, LONG_POLLING, RECEIVED_AT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Protocol
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    class Readable(Protocol):
        """A stream of bytes."""

        def read(self, size: int, /) -> bytes:
            """Return at most so many bytes; none at the end."""


BODY_STEP_BYTES = 1024
"""How much of a body is read before other requests are served: 1,024 chunks of one byte take 5 ms to parse."""

UNBOUNDED_PATHS = frozenset(
    base.rstrip("/") + path for base in BASE_PATHS for path in ("/livez", "/readyz", "/metrics")
)
"""Probes and metrics need no permit: they must work in an overload."""


class Admission:
    """A WSGI middleware that passes a bounded number of requests at a time to the application."""

    def __init__(self, application: WSGIApplication, is_stopping: Callable[[], bool]) -> None:
        """Bound the requests of the application; they stop waiting for changes if `is_stopping` returns true."""
        self._application = application
        self._is_stopping = is_stopping
        self._permits = BoundedSemaphore(MAXIMUM_IN_FLIGHT)
        self._long_polling = BoundedSemaphore(MAXIMUM_LONG_POLLS)
        self._buffered = Counter[str]()
        self._waiting = 0

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Pass the request on, marked as IS_OVERLOADED if it got no permit in time: then the application refuses it."""
        if environ["PATH_INFO"] in UNBOUNDED_PATHS:
            return self._application(environ, start_response)
        environ[RECEIVED_AT] = time.monotonic()
        permit = Permit(self._permits)
        environ["wsgi.input"] = RequestBody(environ["wsgi.input"], permit, self._buffered)
        environ[LONG_POLLING] = partial(self._wait, permit, environ["gunicorn.socket"])
        self._waiting += 1
        try:
            environ[IS_OVERLOADED] = not permit.acquire()
        finally:
            self._waiting -= 1
        try:
            return self._application(environ, start_response)
        finally:
            permit.release()

    def is_full(self) -> bool:
        """Return whether a request waits for its permit, or would have to."""
        return self._waiting > 0 or self._permits.locked()  # a released permit is free until its waiter runs

    @contextmanager
    def _wait(self, permit: Permit, client: socket.socket) -> Iterator[Callable[[], bool] | None]:
        """Yield a function that returns whether to stop waiting, or None if MAXIMUM_LONG_POLLS wait already."""
        if not self._long_polling.acquire(blocking=False):
            yield None
            return
        try:
            with permit.released():
                yield lambda: self._is_stopping() or shutdown.in_progress() or has_disconnected(client)
        finally:
            self._long_polling.release()


class Permit:
    """The permit of one request to be in flight."""

    def __init__(self, permits: BoundedSemaphore) -> None:
        """Take the permit from this semaphore; it is not acquired yet."""
        self._permits = permits
        self._is_acquired = False

    def acquire(self) -> bool:
        """Wait for the permit; return False if it was not available within QUEUE_SECONDS."""
        self._is_acquired = self._permits.acquire(timeout=QUEUE_SECONDS)
        return self._is_acquired

    def release(self) -> None:
        """Release the permit; usually the request that has waited longest gets it."""
        if self._is_acquired:
            self._is_acquired = False
            self._permits.release()

    @contextmanager
    def released(self) -> Iterator[None]:
        """Release the permit within this context, and acquire it again unless there was an error; raises Overloaded."""
        self.release()
        yield
        if not self.acquire():
            raise Overloaded


class RequestBody:
    """A request's body, buffered whole at the first read while the request releases its permit."""

    def __init__(self, stream: Readable, permit: Permit, buffered: Counter[str]) -> None:
        """Read from the server's stream; `buffered` counts the `bytes` of all incomplete bodies."""
        self._stream = stream
        self._permit = permit
        self._buffered = buffered
        self._received: BytesIO | None = None
        self._error: Exception | None = None

    def read(self, size: int = -1, /) -> bytes:
        """Return at most so many bytes of the body.

        Raises RequestTimeout if the body does not arrive within MAXIMUM_BODY_SECONDS, ClientDisconnected if the client
        disconnects, and Overloaded if the worker buffers too many bytes or has no permit for the request. A later call
        raises the same error, and does not wait again.
        """
        if self._error is not None:
            raise copy(self._error)
        if self._received is None:
            try:
                with self._permit.released():
                    self._received = BytesIO(self._receive())
            except Exception as error:
                self._error = copy(error)  # the traceback of the error itself holds the bytes that were received
                raise
        return self._received.read(size)

    def _receive(self) -> bytes:
        """Receive the body, up to the size limit and one step; other requests are served between the steps."""
        received = bytearray()
        try:
            with gevent.Timeout(MAXIMUM_BODY_SECONDS, RequestTimeout()):
                while len(received) <= MAXIMUM_BODY_BYTES and (piece := self._stream.read(BODY_STEP_BYTES)):
                    received += piece
                    self._buffered["bytes"] += len(piece)
                    if self._buffered["bytes"] > MAXIMUM_BUFFERED_BYTES:
                        raise Overloaded
                    if len(piece) == BODY_STEP_BYTES:
                        gevent.sleep(0)
        except OSError:
            raise ClientDisconnected from None
        finally:
            self._buffered["bytes"] -= len(received)
        return bytes(received)


def has_disconnected(client: socket.socket) -> bool:
    """Return whether the client has closed or lost its connection; it does not wait.

    `select` would fail for a descriptor above 1023, and a worker has up to 10,000 connections.
    """
    poll = get_original("select", "poll")()
    poll.register(client, select.POLLIN)
    try:
        return bool(poll.poll(0)) and not client.recv(1, socket.MSG_PEEK)
    except OSError:
        return True
