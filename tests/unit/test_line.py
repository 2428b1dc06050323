"""How long one more would wait: by the pace of those who were taken, and of those who should have been."""

from __future__ import annotations

import pytest

from customer_service.line import Line


def test_nobody_waits() -> None:
    assert Line(8).expected_wait(100) == 0


def test_the_pace_of_the_last_who_was_taken() -> None:
    line = Line(2)
    for _ in range(5):
        line.join(100)
    line.leave(100.2)
    assert line.expected_wait(100.2) == pytest.approx(4 * 0.1)


def test_who_should_have_been_taken_tells_that_the_threads_hang() -> None:
    line = Line(2)
    for _ in range(5):
        line.join(100)
    assert line.expected_wait(100) == 0
    assert line.expected_wait(101) == 5 * 0.5
    line.leave(101)
    assert line.expected_wait(103) == 4 * 1.0


def test_an_empty_line_forgets() -> None:
    line = Line(2)
    line.join(100)
    line.leave(110)
    assert line.expected_wait(110) == 0
    line.join(111)
    assert line.expected_wait(111) == 5
    line.leave(111)
    line.join(112)
    assert line.expected_wait(112) == 0
