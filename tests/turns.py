"""Processes that share a database and take turns, one operation at a time, in an order that the test chooses."""

from __future__ import annotations

import itertools
import threading
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pymongo.database import Database

    from customer_service.database import Document

PATIENCE_SECONDS = 10


class Turns:
    """One process: it waits before each operation on the database until it is given a turn."""

    def __init__(self, database: Database[Document], work: Callable[[Database[Document]], object]) -> None:
        """Begin the work, up to its first operation."""
        self.outcome: object = None
        self.operations = 0
        self._turn, self._back = threading.Semaphore(0), threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, args=(cast("Any", _Watched(database, self)), work), daemon=True)
        self._thread.start()
        self._wait(self._back)

    @property
    def is_done(self) -> bool:
        """Whether the work has ended."""
        return not self._thread.is_alive()

    def take(self) -> None:
        """Let the process do one operation, and go on to its next or to its end."""
        self.operations += 1
        self._turn.release()
        self._wait(self._back)

    def before_operation(self) -> None:
        """Wait for a turn."""
        self._back.release()
        self._wait(self._turn)

    def _run(self, database: Database[Document], work: Callable[[Database[Document]], object]) -> None:
        try:
            self.outcome = work(database)
        except Exception as error:  # noqa: BLE001 - the outcome, for the test to judge
            self.outcome = type(error)
        self._back.release()

    def _wait(self, semaphore: threading.Semaphore) -> None:
        assert semaphore.acquire(timeout=PATIENCE_SECONDS)


class _Watched:
    """A database or a collection whose operations wait for a turn."""

    def __init__(self, watched: Any, turns: Turns) -> None:
        self._watched, self._turns = watched, turns

    def __getitem__(self, name: str) -> _Watched:
        return _Watched(self._watched[name], self._turns)

    def __getattr__(self, name: str) -> Any:
        operation = getattr(self._watched, name)

        def in_turn(*args: Any, **options: Any) -> Any:
            self._turns.before_operation()
            return operation(*args, **options)

        return in_turn
