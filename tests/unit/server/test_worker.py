"""The worker drains once, however often it is asked to stop."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import gevent

from customer_service.server.worker import DrainingWorker

if TYPE_CHECKING:
    import pytest


def test_a_second_signal_starts_no_second_drain(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[object] = []
    monkeypatch.setattr(gevent, "spawn", lambda *call: started.append(call))
    worker = DrainingWorker.__new__(DrainingWorker)
    worker.is_draining = False
    for _ in range(2):
        worker.handle_exit(signal.SIGTERM, None)
    assert len(started) == 1
