"""Long polling: a request that waits until something happens, if its server lets it."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from flask import request

from customer_service.web.wsgi_environ import LONG_POLLING

if TYPE_CHECKING:
    from collections.abc import Callable


def slot() -> AbstractContextManager[Callable[[], bool] | None]:
    """Return a context in which the current request may wait: what it yields returns whether waiting is over.

    It yields None if the request must not wait: because as many wait as may, or because the server has no slots.
    """
    slots: Callable[[], AbstractContextManager[Callable[[], bool] | None]] = request.environ.get(
        LONG_POLLING, nullcontext
    )
    return slots()


def keep_waiting(seconds: float, is_over: Callable[[], bool]) -> Callable[[], bool]:
    """Return what returns, in any thread, whether to go on waiting: for so many seconds at most."""
    ends = time.monotonic() + seconds
    return lambda: time.monotonic() < ends and not is_over()
