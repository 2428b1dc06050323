"""A second thread for a loop: it takes the loop over while the first one is held up."""

from __future__ import annotations

import time
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
PATIENCE_SECONDS = 0.02


class StandIn:
    """Runs a loop while the thread that runs it otherwise is held up by a step.

    A step that ends in time costs no system call. The stand-in looks every PATIENCE_SECONDS whether the step is still
    the one that it saw, and sleeps where there is none. `turns` counts those that it ran.
    """

    def __init__(self, turn: Callable[[], object], wake: Callable[[], object]) -> None:
        """Take what runs the loop once, and what ends a turn that waits for something to do."""
        self.turns = 0
        self._turn = turn
        self._wake = wake
        self._step: object = None
        self._failure: Exception | None = None
        self._loop = Lock()
        self._wanted = Event()
        self._thread: Thread | None = None

    def is_active(self) -> bool:
        """Whether it runs the loop at this moment."""
        return self._loop.locked()

    def during(self, step: Callable[[], T]) -> T:
        """Return what the step returns, once the loop is this thread's again; raises what a turn raised meanwhile."""
        self._step = step
        if not self._wanted.is_set():
            self._call()
        try:
            return step()
        finally:
            self._take_back()

    def _call(self) -> None:
        self._wanted.set()
        if self._thread is None:  # not before: a fork would leave it behind
            self._thread = Thread(target=self._watch, name="stand-in", daemon=True)
            self._thread.start()

    def _take_back(self) -> None:
        self._step = None
        if not self._loop.acquire(blocking=False):
            self._wake()
            self._loop.acquire()
        self._loop.release()
        if self._failure is not None:
            raise self._failure

    def _watch(self) -> None:
        while True:
            self._wanted.wait()
            step = self._step
            time.sleep(PATIENCE_SECONDS)
            if step is not None:
                self._stand_in(step)
            else:
                self._sleep()

    def _sleep(self) -> None:
        self._wanted.clear()
        if self._step is not None:  # it began before anybody could see that it has to call
            self._wanted.set()

    def _stand_in(self, step: object) -> None:
        with self._loop:
            try:
                while self._step is step:
                    self.turns += 1
                    self._turn()
            except Exception as error:  # noqa: BLE001 - told to the loop's own thread
                self._failure = error
