"""The primary of a replica set is killed once: the short form of what `make faults` does twenty times."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pymongo
import pytest
from bson import ObjectId

from tests import support
from tests.faults import failover
from tests.support import mongod
from tests.support.change_consumer import ChangeConsumer
from tests.support.server import DeadlineServer, Server
from tests.support.writers import doubled, lost

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

POSTS = 100
ENOUGH_FOR_BOTH = 20
OLDEST_SECONDS = 10.0
"""The deadline, after which a silent member is given up, and what a busy machine takes for the election."""


@pytest.fixture(scope="module")
def members() -> Iterator[mongod.ReplicaSet]:
    """A replica set that these tests may kill."""
    if mongod.executable() is None and not mongod.required():
        pytest.skip("no mongod on this machine")
    with failover.replica_set() as running:
        yield running


@pytest.fixture(scope="module")
def service(members: mongod.ReplicaSet) -> Iterator[Server]:
    with DeadlineServer(members.uri, failover.DATABASE) as running:
        yield running


@pytest.fixture(scope="module")
def caching_server(members: mongod.ReplicaSet) -> Iterator[Server]:
    """The service, whose workers cache customers."""
    with DeadlineServer(members.uri, failover.DATABASE, CUSTOMER_CACHE_ENTRIES="100") as running:
        yield running


def names(server: Server, requests: int = ENOUGH_FOR_BOTH) -> set[str | None]:
    """Return the names that the workers answer for the customer, None if one answers 503."""
    answers = [server.get(support.url(), support.bearer()) for _ in range(requests)]
    assert {answer.status for answer in answers} <= {200, 503}
    return {json.loads(answer.body)["legalName"] if answer.status == 200 else None for answer in answers}


def listed(server: Server) -> Iterator[dict[str, Any]]:
    """Yield the whole list."""
    cursor = ""
    while cursor is not None:
        answer = server.get(support.customers_url(f"?limit=100{cursor and '&cursor='}{cursor}"), support.bearer())
        page = json.loads(answer.body)
        yield from page["data"]
        cursor = page["nextCursor"]


def rename(client: pymongo.MongoClient[dict[str, Any]], name: str) -> None:
    """Give the customer a name behind the service's back."""
    key = {"_id": ObjectId(support.CUSTOMER_ID)}
    client[failover.DATABASE].customers.update_one(key, {"$set": {"legalName": name}})


def test_a_repeated_put_is_never_confirmed_by_a_dying_primary(
    members: mongod.ReplicaSet, service: Server, measured: Callable[[str, str], None]
) -> None:
    assert failover.put_twice_without_replication(members, service) == (503, 503, "before")
    measured(
        "a PUT repeated while the first hangs is not answered 200 for what only a dying primary has",
        "503 to both, and the new primary has neither",
    )


def test_a_killed_primary_loses_and_doubles_nothing(
    members: mongod.ReplicaSet, service: Server, measured: Callable[[str, str], None]
) -> None:
    """Nor does it for who follows the changes meanwhile."""
    members.wait_until_whole()
    with ChangeConsumer(service) as consumer:
        writers = failover.kill_primaries(members, service, 1, POSTS)
        members.wait_until_whole()
    with failover.majority_committed(members) as database:
        assert (lost(database, writers.acknowledged), doubled(database)) == ([], 0)
    assert writers.statuses() <= {"201", "409", "503"}
    whole = {customer["id"]: customer for customer in listed(service)}
    assert len(whole) > POSTS
    assert consumer.held == whole
    assert consumer.answers.keys() <= {"200", "503"}
    measured(
        "a consumer of the change feed has the whole list after a primary was killed",
        f"{len(whole)} customers, the same as listed; answered {dict(consumer.answers)}",
    )


def test_what_an_election_rolls_back_is_never_answered(members: mongod.ReplicaSet, caching_server: Server) -> None:
    members.wait_until_whole()
    seen = names(caching_server)
    primary = members.primary()
    with (
        failover.replication_stopped(members.secondaries()),
        pymongo.MongoClient[dict[str, Any]](primary.uri, w=1) as client,
    ):
        failover.wait_until_no_majority(primary)
        rename(client, "PHANTOM")
        seen |= names(caching_server, 4)  # each waits for its deadline
        primary.kill()
    members.primary()
    seen |= names(caching_server)
    primary.launch()
    members.wait_until_whole()
    assert seen | names(caching_server) <= {support.EXAMPLE["legalName"], None}


@pytest.mark.timed
def test_cached_customers_are_fresh_after_an_election(
    members: mongod.ReplicaSet, caching_server: Server, measured: Callable[[str, str], None]
) -> None:
    members.wait_until_whole()
    names(caching_server)
    primary = members.primary()
    primary.kill()
    delays = []
    with pymongo.MongoClient[dict[str, Any]](members.uri, w="majority") as client:
        for name in ("ONE", "TWO", "THREE"):
            rename(client, name)
            acknowledged = time.monotonic()
            while names(caching_server) != {name}:
                assert time.monotonic() - acknowledged < OLDEST_SECONDS
            delays.append(time.monotonic() - acknowledged)
    primary.launch()
    measured(
        "cached customers are read again after an election",
        f"both workers answered the newest name {max(delays):.2f} s after it was acknowledged, at the latest",
    )
