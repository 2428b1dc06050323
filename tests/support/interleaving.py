"""Run processes that share a database one operation at a time, in every possible order."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, cast

import greenlet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pymongo.database import Database

    from customer_service.repository.database import Document

    Work = Callable[[Database[Document]], object]


class Process:
    """Some work that waits before each operation on the database until it is given a turn.

    It is a greenlet: a switch between threads takes longer than most operations.
    """

    def __init__(self, database: Database[Document], work: Work) -> None:
        """Begin the work, up to its first operation."""
        self.outcome: object = None
        self._greenlet = greenlet.greenlet(self._run)
        self._greenlet.switch(cast("Database[Document]", _Watched(database, self.wait_for_turn)), work)

    @property
    def is_done(self) -> bool:
        """Whether the work has ended."""
        return self._greenlet.dead

    def go_on(self) -> None:
        """Let it do one operation, and go on to its next or to its end."""
        self._greenlet.switch()

    def wait_for_turn(self) -> None:
        """Give the turn back, and wait for the next."""
        parent = self._greenlet.parent
        assert parent is not None
        parent.switch()

    def _run(self, database: Database[Document], work: Work) -> None:
        try:
            self.outcome = work(database)
        except Exception as error:  # noqa: BLE001 - an outcome too, for the test to judge
            self.outcome = type(error)


class _Watched:
    """A database or a collection whose operations wait for a turn."""

    def __init__(self, watched: Any, wait_for_turn: Callable[[], None]) -> None:
        self._watched, self._wait_for_turn = watched, wait_for_turn

    @property  # type: ignore[misc] # isinstance asks for it
    def __class__(self) -> type:
        return type(self._watched)

    def __getitem__(self, name: str) -> _Watched:
        return _Watched(self._watched[name], self._wait_for_turn)

    def __getattr__(self, name: str) -> Any:
        operation = getattr(self._watched, name)
        if name == "database":  # of a collection
            return _Watched(operation, self._wait_for_turn)
        if name == "with_options":
            return lambda **options: _Watched(operation(**options), self._wait_for_turn)
        if not inspect.ismethod(operation):
            return operation

        def in_turn(*args: Any, **options: Any) -> Any:
            self._wait_for_turn()
            return operation(*args, **options)

        return in_turn


class Killed(BaseException):
    """The end of a process, which no code of it handles."""


def killed_after(database: Database[Document], operations: int) -> Database[Document]:
    """Return the database for a process that is killed when it has done so many operations."""
    turns = iter(range(operations))

    def end_or_continue() -> None:
        if next(turns, None) is None:
            raise Killed

    return cast("Database[Document]", _Watched(database, end_or_continue))


def interleavings(
    fresh: Callable[[], Database[Document]], works: Sequence[Work], switches: int
) -> Iterator[tuple[Database[Document], list[object], str]]:
    """Run the works in every order with at most so many switches to another while the one could have gone on.

    Yields the database, each work's outcome, and the order, such as 00110.
    """
    plan: list[int] | None = []
    while plan is not None:
        database = fresh()
        processes = [Process(database, work) for work in works]
        order: list[int] = []
        choices: list[list[int]] = []
        left = switches
        while running := [number for number, process in enumerate(processes) if not process.is_done]:
            last = order[-1] if order and order[-1] in running else None
            options = running if last is None else [last, *(each for each in running if each != last and left)]
            step = len(order)
            chosen = plan[step] if step < len(plan) else options[0]
            left -= last is not None and chosen != last
            order.append(chosen)
            choices.append(options)
            processes[chosen].go_on()
        yield database, [process.outcome for process in processes], "".join(map(str, order))
        plan = _next(order, choices)


def _next(order: list[int], choices: list[list[int]]) -> list[int] | None:
    """Return the beginning of the next order: the last choice that has an alternative, changed."""
    for step in reversed(range(len(order))):
        later = choices[step][choices[step].index(order[step]) + 1 :]
        if later:
            return [*order[:step], later[0]]
    return None
