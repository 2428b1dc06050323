"""Who waits for a thread, and how long one more would have to."""

from __future__ import annotations

from collections import deque


class Line:
    """The requests that wait for one of so many threads; joined in one thread, left in any."""

    def __init__(self, threads: int) -> None:
        """Begin with nobody there."""
        self._threads = threads
        self._waiting: deque[tuple[float, int]] = deque()
        self._pace = 0.0

    def expected_wait(self, now: float) -> float:
        """Return how many seconds one more would wait, at the pace of whom a thread took last or should have taken.

        The pace is what one waited, shared out among those who were in front and in the threads: a mean would be
        late to notice that the threads hang.
        """
        ahead = len(self._waiting)
        try:
            joined, were_ahead = self._waiting[0]
        except IndexError:  # a thread took the last one
            return 0.0
        return ahead * max(self._pace, (now - joined) / (were_ahead + self._threads))

    def join(self, now: float) -> None:
        """Wait from now on."""
        self._waiting.append((now, len(self._waiting)))

    def leave(self, now: float) -> None:
        """Let the first one go to a thread."""
        joined, were_ahead = self._waiting.popleft()
        self._pace = (now - joined) / (were_ahead + self._threads)
