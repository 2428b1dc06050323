"""Who may wait, for how long, and who works meanwhile."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from customer_service import waiting

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def allowed() -> Iterator[threading.Event]:
    """Let this thread wait until the event is set."""
    over = threading.Event()
    waiting.allow(over.is_set)
    yield over
    waiting.allow(None)


def test_by_default_nobody_waits() -> None:
    assert not waiting.is_allowed()
    assert not waiting.granted(20)()


def test_for_so_many_seconds(allowed: threading.Event) -> None:
    assert waiting.is_allowed()
    assert not waiting.granted(0)()
    go_on = waiting.granted(0.05)
    assert go_on()
    time.sleep(0.06)
    assert not go_on()
    assert not allowed.is_set()


def test_until_it_is_over(allowed: threading.Event) -> None:
    go_on = waiting.granted(20)
    assert go_on()
    allowed.set()
    assert not go_on()


def test_another_thread_can_be_told(allowed: threading.Event) -> None:
    go_on, told = waiting.granted(20), list[bool]()
    for _ in range(2):
        thread = threading.Thread(target=lambda: told.append(go_on()))
        thread.start()
        thread.join()
        allowed.set()
    assert told == [True, False]


def test_only_some_of_those_who_may_wait_work_at_a_time() -> None:
    working, done, go_on = threading.Semaphore(0), threading.Semaphore(0), threading.Event()

    def work(may_wait: bool) -> None:
        waiting.allow(go_on.is_set if may_wait else None)
        with waiting.turn():
            working.release()
            go_on.wait(10)
        done.release()

    def start(may_wait: bool) -> bool:
        """Return whether it works at once."""
        threading.Thread(target=work, args=(may_wait,)).start()
        return working.acquire(timeout=0.2)

    assert [start(may_wait=True) for _ in range(waiting.TURNS + 1)] == [True] * waiting.TURNS + [False]
    assert [start(may_wait=False) for _ in range(3)] == [True] * 3
    go_on.set()
    for _ in range(waiting.TURNS + 4):
        assert done.acquire(timeout=10)
