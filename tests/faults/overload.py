"""Scenarios of overload and of clients that never finish their requests, at any size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from customer_service.server.limits import QUEUE_SECONDS
from tests.support import constant_rate
from tests.support.failpoints import SERVICE, failing
from tests.support.processes import footprint, workers

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from pymongo.database import Database

    from customer_service.repository.database import Document
    from tests.support.server import Server

FIND_MS = 100
CLIENTS = 32
TIMES = 4
DEADLINE_SECONDS = 2.0
CLIENT_SECONDS = 0.5
REFUSAL_SECONDS = QUEUE_SECONDS + CLIENT_SECONDS


@dataclass(frozen=True, slots=True)
class Overload:
    """What became of a service that was asked four times as much as it can answer."""

    capacity: float
    answered: constant_rate.LoadResult
    liveness: constant_rate.LoadResult
    growth: float


def slow_finds(database: Database[Document], milliseconds: int = FIND_MS) -> AbstractContextManager[None]:
    """Let each of the service's finds take so long, so that few requests are as much as it can carry."""
    return failing(database, "find", appName=SERVICE, blockConnection=True, blockTimeMS=milliseconds)


def overload(server: Server, database: Database[Document], seconds: float) -> Overload:
    """Measure what it can carry, and ask four times as much for so long; `growth` is that of its memory, from 1."""
    with slow_finds(database):
        capacity = constant_rate.measure_capacity(server.port, CLIENTS, seconds / 2)
        constant_rate.send_reads(server.port, capacity * TIMES, seconds / 2)
        before = memory(server)
        liveness = constant_rate.probe(server.port, constant_rate.liveness_probe(), seconds)
        answered = constant_rate.send_reads(server.port, capacity * TIMES, seconds)
        return Overload(capacity, answered, liveness(), memory(server) / before)


def hold_promises(seen: Overload) -> str:
    """Check that every request was answered in time, and with which status; return the figures."""
    worst = seen.answered.worst
    assert set(seen.answered.answers) <= {"200", "503", "503 overloaded"}
    assert seen.answered.answers["503 overloaded"] > 0
    assert seen.answered.without_retry_after == []
    assert worst["200"] < DEADLINE_SECONDS + CLIENT_SECONDS
    assert worst["503 overloaded"] < REFUSAL_SECONDS
    assert seen.answered.answers["200"] / seen.answered.seconds > seen.capacity / 2
    assert set(seen.liveness.answers) == {"200"}
    answers = {
        status: f"{count:,}, at worst in {worst[status]:.2f} s" for status, count in seen.answered.answers.items()
    }
    return (
        f"it carries {seen.capacity:.0f}/s; asked {TIMES} times as much: {answers}; "
        f"/livez at worst {seen.liveness.worst['200'] * 1000:.0f} ms; memory grew to {seen.growth:.0%}"
    )


def memory(server: Server) -> int:
    """Return what the workers hold together, in KiB."""
    return sum(footprint(pid).memory for pid in workers(server))
