"""Long polling: a request that waits for a change, if its server allows it."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from flask import request

from customer_service.web.wsgi_environ import LONG_POLLING

if TYPE_CHECKING:
    from collections.abc import Callable

MAXIMUM_WAIT_SECONDS = 20
MAXIMUM_LONG_POLLS = 32
"""How many requests of a worker may wait for changes at once; they do not count as in flight."""


def slot() -> AbstractContextManager[Callable[[], bool] | None]:
    """Return a context in which the current request may wait; it yields a function that returns whether to stop.

    It yields None if the request must not wait, because all slots are taken or the server has none.
    """
    slots: Callable[[], AbstractContextManager[Callable[[], bool] | None]] = request.environ.get(
        LONG_POLLING, nullcontext
    )
    return slots()


def keep_waiting(seconds: float, must_stop: Callable[[], bool]) -> Callable[[], bool]:
    """Return a function that returns whether to continue to wait, for at most so many seconds, in any thread."""
    ends = time.monotonic() + seconds
    return lambda: time.monotonic() < ends and not must_stop()
