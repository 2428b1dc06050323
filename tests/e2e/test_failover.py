"""The primary of three dies, once: the short form of what `make faults` does twenty times."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests import mongod
from tests.e2e.server import Server
from tests.faults import failover
from tests.faults.writers import doubled, lost

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

POSTS = 100


@pytest.fixture(scope="module")
def members() -> Iterator[mongod.ReplicaSet]:
    """A replica set that these tests may kill."""
    if mongod.executable() is None and not mongod.required():
        pytest.skip("no mongod on this machine")
    with failover.replica_set() as running:
        yield running


@pytest.fixture(scope="module")
def service(members: mongod.ReplicaSet) -> Iterator[Server]:
    with Server(members.uri, failover.DATABASE) as running:
        yield running


def test_no_write_is_confirmed_by_what_may_be_lost(
    members: mongod.ReplicaSet, service: Server, measured: Callable[[str, str], None]
) -> None:
    assert failover.put_twice_unheard(members, service) == (503, 503, "before")
    measured(
        "a PUT repeated while the first hangs is not told 200 for what only a dying primary has",
        "503 to both, and the new primary has neither",
    )


def test_a_killed_primary_loses_and_doubles_nothing(members: mongod.ReplicaSet, service: Server) -> None:
    members.wait_until_whole()
    writers = failover.kill_primaries(members, service, 1, POSTS)
    with failover.truth(members) as database:
        assert (lost(database, writers.acknowledged), doubled(database)) == ([], 0)
    assert writers.statuses() <= {"201", "409", "503"}
