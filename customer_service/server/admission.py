"""Admission control: a bounded number of requests of one worker are in flight, first come first served.

gevent serves any number of connections at once, so without a bound an overload would make every request late. A
request takes a place before the application sees it, waits for one at most PATIENCE_SECONDS, and is refused then. It
gives the place up while it waits for its own client or for a change, which cost the other requests nothing.
"""

from __future__ import annotations

import socket
import time
from collections import Counter
from contextlib import contextmanager
from functools import partial
from io import BytesIO
from typing import TYPE_CHECKING

import gevent
from gevent.lock import BoundedSemaphore
from gevent.select import select
from werkzeug.exceptions import ClientDisconnected

from customer_service.errors import Overloaded, RequestTimeout
from customer_service.web import shutdown
from customer_service.web.limits import MAXIMUM_BODY_BYTES
from customer_service.web.wsgi_environ import LONG_POLLING, OVERLOADED, RECEIVED_AT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Protocol
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    class Readable(Protocol):
        """A stream of bytes."""

        def read(self, size: int, /) -> bytes:
            """Return at most so many bytes; none at the end."""


PLACES = 16
PATIENCE_SECONDS = 1.0
BODY_SECONDS = 10.0
BODY_STEP_BYTES = 1024
"""How much of a body is read before other requests are served: in chunks of one byte, some five milliseconds' worth."""

ARRIVING_BYTES = 32_000_000
"""How many bytes of bodies that have not arrived whole a worker holds; it refuses a body that would exceed them."""

LONG_POLLING_REQUESTS = 32
UNBOUNDED_PATHS = frozenset(base + path for base in ("", "/api") for path in ("/livez", "/readyz", "/metrics"))
"""Probes and metrics must be answered while every place is taken."""


class Admission:
    """A WSGI application that passes a bounded number of requests at a time to another one."""

    def __init__(self, application: WSGIApplication, is_stopping: Callable[[], bool]) -> None:
        """Bound the requests of the application; they stop waiting for changes once `is_stopping` says so."""
        self._application = application
        self._is_stopping = is_stopping
        self._places = BoundedSemaphore(PLACES)
        self._long_polling = BoundedSemaphore(LONG_POLLING_REQUESTS)
        self._arriving = Counter[str]()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer the request; one that gets no place in time is marked as OVERLOADED, for the application to refuse."""
        if environ["PATH_INFO"] in UNBOUNDED_PATHS:
            return self._application(environ, start_response)
        environ[RECEIVED_AT] = time.monotonic()
        place = Place(self._places)
        environ["wsgi.input"] = RequestBody(environ["wsgi.input"], place, self._arriving)
        environ[LONG_POLLING] = partial(self._wait, place, environ["gunicorn.socket"])
        environ[OVERLOADED] = not place.take()
        try:
            return self._application(environ, start_response)
        finally:
            place.give_up()

    @contextmanager
    def _wait(self, place: Place, client: socket.socket) -> Iterator[Callable[[], bool] | None]:
        """Yield whether the request should stop waiting, or None if as many requests wait as may."""
        if not self._long_polling.acquire(blocking=False):
            yield None
            return
        try:
            with place.given_up():
                yield lambda: self._is_stopping() or shutdown.in_progress() or has_disconnected(client)
        finally:
            self._long_polling.release()


class Place:
    """A request's place among those in flight."""

    def __init__(self, places: BoundedSemaphore) -> None:
        """Begin without one."""
        self._places = places
        self._is_taken = False

    def take(self) -> bool:
        """Wait for a place; return False if there was none within PATIENCE_SECONDS."""
        self._is_taken = self._places.acquire(timeout=PATIENCE_SECONDS)
        return self._is_taken

    def give_up(self) -> None:
        """Leave the place to the request that has waited longest."""
        if self._is_taken:
            self._is_taken = False
            self._places.release()

    @contextmanager
    def given_up(self) -> Iterator[None]:
        """Give the place up within this context, and take one again behind it; raises Overloaded."""
        self.give_up()
        yield
        if not self.take():
            raise Overloaded


class RequestBody:
    """A request's body, received whole at the first read while the request gives up its place."""

    def __init__(self, stream: Readable, place: Place, arriving: Counter[str]) -> None:
        """Read from the server's stream; `arriving` counts the `bytes` of all bodies that have not arrived whole."""
        self._stream = stream
        self._place = place
        self._arriving = arriving
        self._received: BytesIO | None = None

    def read(self, size: int = -1, /) -> bytes:
        """Return at most so many bytes of the body.

        Raises RequestTimeout if the body does not arrive within BODY_SECONDS, ClientDisconnected if it breaks off, and
        Overloaded if the worker holds too many bytes of other bodies, or has no place for the request.
        """
        if self._received is None:
            with self._place.given_up():
                self._received = BytesIO(self._receive())
        return self._received.read(size)

    def _receive(self) -> bytes:
        """Receive the body, or one byte more than is allowed; other requests are served between the steps."""
        received = bytearray()
        try:
            with gevent.Timeout(BODY_SECONDS, RequestTimeout()):
                while len(received) <= MAXIMUM_BODY_BYTES and (piece := self._stream.read(BODY_STEP_BYTES)):
                    received += piece
                    self._arriving["bytes"] += len(piece)
                    if self._arriving["bytes"] > ARRIVING_BYTES:
                        raise Overloaded
                    if len(piece) == BODY_STEP_BYTES:
                        gevent.sleep(0)
        except OSError:
            raise ClientDisconnected from None
        finally:
            self._arriving["bytes"] -= len(received)
        return bytes(received)


def has_disconnected(client: socket.socket) -> bool:
    """Return whether the client has closed the connection, or lost it."""
    readable, _, _ = select([client], [], [], 0)
    try:
        return bool(readable) and not client.recv(1, socket.MSG_PEEK)
    except OSError:
        return True
