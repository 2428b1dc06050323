"""Who runs a loop while its own thread does something else: nobody for a moment, then the stand-in, and never two."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from customer_service import standin
from customer_service.standin import StandIn
from tests.support import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.alone


class Loop:
    """A loop whose turns wait for something to do, and in which no two threads may be at once."""

    def __init__(self) -> None:
        self.woken = threading.Event()
        self.threads: list[str] = []
        self.is_shared = False
        self.failure: Exception | None = None
        self._inside = threading.Lock()

    def turn(self) -> None:
        self.is_shared |= not self._inside.acquire(blocking=False)
        self.threads.append(threading.current_thread().name)
        if self.failure:
            self._inside.release()
            raise self.failure
        self.woken.wait(0.5)
        self.woken.clear()
        self._inside.release()


@pytest.fixture
def loop() -> Loop:
    return Loop()


@pytest.fixture
def stand_in(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    monkeypatch.setattr(standin, "PATIENCE_SECONDS", 0.01)
    made = StandIn(loop.turn, loop.woken.set)
    yield made
    assert not made.is_active()
    assert not loop.is_shared


def test_a_step_that_ends_in_time_is_answered_without_it(stand_in: StandIn, loop: Loop) -> None:
    assert [stand_in.during(lambda number=number: number) for number in range(100)] == list(range(100))  # type: ignore[misc]
    assert (stand_in.turns, loop.threads) == (0, [])


def test_a_step_that_takes_its_time_is_stood_in_for_until_it_ends(stand_in: StandIn, loop: Loop) -> None:
    def take_time() -> float:
        wait_until(stand_in.is_active)
        return time.monotonic()

    ended = stand_in.during(take_time)
    assert time.monotonic() - ended < 0.25, "the turn that waited was not ended"
    assert set(loop.threads) == {"stand-in"}
    assert stand_in.turns == len(loop.threads)


def test_what_a_step_raises_is_raised_with_the_loop_taken_back(stand_in: StandIn) -> None:
    def fail() -> None:
        wait_until(stand_in.is_active)
        raise LookupError

    with pytest.raises(LookupError):
        stand_in.during(fail)
    assert not stand_in.is_active()


def test_what_a_turn_raises_is_raised_where_the_loop_belongs(stand_in: StandIn, loop: Loop) -> None:
    loop.failure = OSError("too many open files")
    with pytest.raises(OSError, match="too many open files"):
        stand_in.during(lambda: wait_until(lambda: stand_in.turns))
    assert stand_in.turns == 1


def test_it_sleeps_where_there_is_no_step(stand_in: StandIn) -> None:
    stand_in.during(lambda: None)
    wait_until(lambda: not stand_in._wanted.is_set())
    stand_in.during(lambda: wait_until(stand_in.is_active))
    assert stand_in.turns


def test_a_step_that_begins_while_it_falls_asleep_is_watched(stand_in: StandIn) -> None:
    stand_in._step = object()
    stand_in._sleep()
    assert stand_in._wanted.is_set()


def test_steps_of_any_length_never_share_the_loop(stand_in: StandIn, loop: Loop) -> None:
    patience = standin.PATIENCE_SECONDS
    for number in range(60):
        stand_in.during(lambda: time.sleep(patience * (number % 7) / 3))  # noqa: B023 - called at once
        turns = stand_in.turns
        loop.woken.set()
        loop.turn()
        assert stand_in.turns == turns
    assert stand_in.turns
