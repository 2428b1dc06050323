"""Single reads answered in a worker's main loop, where MongoDB is near: to hand them to a thread would take longer."""

from __future__ import annotations

import re
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from customer_service.database import count_deadline_from
from customer_service.reception import ReceivingWorker, parser_of
from customer_service.standin import StandIn

if TYPE_CHECKING:
    from gunicorn.workers.gthread import TConn

    from customer_service.arrivals import Arrival

READ = re.compile(rb"GET [^ ?]*+(?<=/customers/[0-9a-fA-F]{24}) ")
CROWD = 64
"""The most events of a turn of the loop that may be answered in it, one behind the other."""

TRIAL_SECONDS = 0.03
WAIT_SHARE = 1.0


class Promptness:
    """Whether reads work rather than wait: whether most of them wait for at most WAIT_SHARE of what they work.

    It is found out anew in each second, from all its reads; during its first TRIAL_SECONDS any is worth a try. The
    seconds are those of the system's clock, so that all workers try at once, and none measures the others' threads.
    """

    def __init__(self) -> None:
        """Begin with a trial."""
        self._second = self._seen = self._prompt = 0

    def is_worth_it(self, now: float) -> bool:
        """Whether the next read is expected to be prompt, or to be tried, at this moment of the monotonic clock."""
        second = int(now)
        if second != self._second:
            self._second, self._seen, self._prompt = second, 0, 0
        return now - second < TRIAL_SECONDS or 2 * self._prompt >= self._seen

    def note(self, took: float, worked: float) -> None:
        """Count a read that took so many seconds in all, and so many of the processor's."""
        self._seen += 1
        self._prompt += took <= (1 + WAIT_SHARE) * worked


class InlineWorker(ReceivingWorker):
    """A worker whose main loop answers single reads itself, and has a stand-in while one of them takes its time.

    The threads are for everything else, and for the reads where MongoDB is far: there they can wait side by side.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Begin with nobody there."""
        super().__init__(*args, **kwargs)
        self.stand_in = StandIn(self._turn, lambda: self.method_queue.defer(lambda: None))
        self.promptness = Promptness()
        self.polled_at = 0.0
        self.is_crowded = False

    def wait_for_and_dispatch_events(self, timeout: float | None) -> None:
        """Do what there is to do, after up to so many seconds; what a stand-in may have done is left alone."""
        events = self.poller.select(timeout)
        self.polled_at, self.is_crowded = time.monotonic(), len(events) > CROWD
        turns = self.stand_in.turns
        for key, _ in events:
            key.data(key.fileobj)
            if self.stand_in.turns != turns:
                return

    def _admit(self, conn: TConn, arrival: Arrival) -> None:
        if not self._is_inline(conn, arrival):
            super()._admit(conn, arrival)
            return
        count_deadline_from(self.polled_at)
        is_alone = not self.inside
        began, worked = time.monotonic(), time.thread_time()
        keep = self.stand_in.during(partial(self.handle, conn))
        if is_alone:  # else it may have waited for another thread, not for MongoDB
            self.promptness.note(time.monotonic() - began, time.thread_time() - worked)
        self._finish(conn, keep)

    def _is_inline(self, conn: TConn, arrival: Arrival) -> bool:
        """Whether to answer it here: a read, on a kept connection, and nobody else has to wait for it."""
        return bool(
            READ.match(arrival.data)
            and not arrival.has_rest
            and parser_of(conn).req_count
            and self.cfg.threads > 1
            and not self.is_crowded
            and not self.stand_in.is_active()
            and self.promptness.is_worth_it(self.polled_at)
        )

    def _turn(self) -> None:
        self.notify()
        self.wait_for_and_dispatch_events(1.0)
        self.murder_keepalived()
        self.murder_pending()
