"""Primaries are killed under POSTs with idempotency keys: no acknowledged write is lost or doubled."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tests.faults.failover import (
    DATABASE,
    WEAK_WRITE_CONCERN,
    cut_off_primary,
    kill_primaries,
    majority_committed,
    replica_set,
)
from tests.support.server import DeadlineServer
from tests.support.writers import DirectWriter, doubled, lost

if TYPE_CHECKING:
    from collections.abc import Callable

KILLS = int(os.environ.get("FAULT_KILLS", "20"))
POSTS = int(os.environ.get("FAULT_POSTS", "10000"))
GAP_SECONDS = 3.0
ALONE_SECONDS = 3.0


def test_killed_primaries_lose_and_double_nothing(measured: Callable[[str, str], None]) -> None:
    with replica_set() as members, DeadlineServer(members.uri, DATABASE) as server:
        with DirectWriter(members.uri) as direct_writer:
            writers = kill_primaries(members, server, KILLS, POSTS)
        with majority_committed(members) as database:
            gone, twice = lost(database, writers.acknowledged), doubled(database)
        assert (gone, twice) == ([], 0)
        assert writers.statuses() <= {"201", "409", "503"}
    gaps = f"longest gap {writers.longest_gap():.2f} s, of the driver alone {direct_writer.longest_gap():.2f} s"
    assert writers.longest_gap() <= GAP_SECONDS, gaps
    measured(
        "kill -9 of the primary under keyed POSTs with retries: none lost, none doubled, a write gap of at most 3 s",
        f"{KILLS} kills, {len(writers.acknowledged):,} acknowledged, 0 lost, 0 doubled, {gaps}; "
        f"answers {dict(sorted(writers.answers.items()))}",
    )


def test_a_primary_without_replication_acknowledges_nothing(measured: Callable[[str, str], None]) -> None:
    with replica_set() as members, DeadlineServer(members.uri, DATABASE) as server:
        writers = cut_off_primary(members, server, ALONE_SECONDS)
        with majority_committed(members) as database:
            assert (lost(database, writers.acknowledged), doubled(database)) == ([], 0)
    assert writers.answers["503 database-unavailable"] > 0
    measured(
        "what the primary alone has is never acknowledged",
        f"{ALONE_SECONDS:.0f} s alone, then killed: {len(writers.acknowledged)} acknowledged, 0 lost",
    )


def test_lost_writes_of_a_weak_write_concern_are_detected(measured: Callable[[str, str], None]) -> None:
    with replica_set() as members, DeadlineServer(members.uri, DATABASE, command=WEAK_WRITE_CONCERN) as server:
        writers = cut_off_primary(members, server, ALONE_SECONDS)
        with majority_committed(members) as database:
            gone = lost(database, writers.acknowledged)
    assert gone
    measured(
        "the same with `w: 1` in place of majority loses writes, and the test detects it",
        f"{len(gone)} of {len(writers.acknowledged)} acknowledged writes lost",
    )
