"""The deadline of a request: a bound on all its MongoDB operations together, its time in the queue included."""

from __future__ import annotations

import time
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, cast

from customer_service.repository.database import deadline
from customer_service.web.wsgi_environ import DEADLINE, RECEIVED_AT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from contextlib import AbstractContextManager
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment


class RequestDeadline:
    """A bound on all MongoDB operations of its context together; it can be paused."""

    def __init__(self, ends: float) -> None:
        """End at this moment of the monotonic clock."""
        self._ends = ends
        self._bound: AbstractContextManager[None] = nullcontext()

    def __enter__(self) -> None:
        """Bound the operations by the time that is left."""
        self._bound = deadline(self._ends - time.monotonic())
        self._bound.__enter__()

    def __exit__(self, *error: object) -> None:
        """Remove the bound."""
        self._bound.__exit__(*cast("Any", error))

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Stop the clock in this context, which must not have MongoDB operations."""
        started = time.monotonic()
        self.__exit__(None, None, None)
        try:
            yield
        finally:
            self._ends += time.monotonic() - started
            self.__enter__()


def with_deadline(wsgi_app: WSGIApplication, seconds: float) -> WSGIApplication:
    """Return the application with all MongoDB operations of one request bounded by `seconds` together.

    The time counts from when the server received the request, if the server sets it, else from the call.
    """

    def bounded(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        own = environ[DEADLINE] = RequestDeadline(environ.get(RECEIVED_AT, time.monotonic()) + seconds)
        with own:
            return wsgi_app(environ, start_response)

    return bounded
