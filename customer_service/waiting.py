"""Who may wait until something happens: a request in a thread that no other request needs."""

from __future__ import annotations

import time
from contextlib import nullcontext
from contextvars import ContextVar
from threading import BoundedSemaphore
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

TURNS = 2
"""How many of those that may wait work at a time: they are not counted among those that the others wait for."""

_turns = BoundedSemaphore(TURNS)
_is_over: ContextVar[Callable[[], bool] | None] = ContextVar("is_over", default=None)


def allow(is_over: Callable[[], bool] | None) -> None:
    """Let the next request in this thread wait until this says that it is over; None lets it not wait at all."""
    _is_over.set(is_over)


def is_allowed() -> bool:
    """Whether the request in this thread may wait."""
    return _is_over.get() is not None


def turn() -> AbstractContextManager[object]:
    """Return what holds up all but TURNS of those that may wait, for as long as they do something else."""
    return _turns if is_allowed() else nullcontext()


def granted(seconds: float) -> Callable[[], bool]:
    """Return what tells, in any thread, whether to go on waiting: for so many seconds at most, if at all."""
    is_over, ends = _is_over.get(), time.monotonic() + seconds
    return lambda: is_over is not None and time.monotonic() < ends and not is_over()
