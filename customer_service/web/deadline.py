"""The deadline of a request: all its MongoDB operations together are bounded, and what it waited counts."""

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


class Deadline:
    """A bound on all MongoDB operations within its context together; it can stand still for a while."""

    def __init__(self, ends: float) -> None:
        """End at this moment of the monotonic clock."""
        self._ends = ends
        self._bound: AbstractContextManager[None] = nullcontext()

    def __enter__(self) -> None:
        """Bound the operations by what is left."""
        self._bound = deadline(self._ends - time.monotonic())
        self._bound.__enter__()

    def __exit__(self, *error: object) -> None:
        """Bound them no more."""
        self._bound.__exit__(*cast("Any", error))

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Stand still within this context, in which there are no MongoDB operations."""
        started = time.monotonic()
        self.__exit__(None, None, None)
        try:
            yield
        finally:
            self._ends += time.monotonic() - started
            self.__enter__()


def with_deadline(wsgi_app: WSGIApplication, seconds: float) -> WSGIApplication:
    """Return the application with all MongoDB operations of one request bounded by `seconds` together.

    They count from when the server received the request, if it says so, else from the call.
    """

    def bounded(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        own = environ[DEADLINE] = Deadline(environ.get(RECEIVED_AT, time.monotonic()) + seconds)
        with own:
            return wsgi_app(environ, start_response)

    return bounded
