"""Scenarios of writes while primaries are killed; long and short tests run them at their own sizes."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pymongo
from pymongo import WriteConcern
from pymongo.errors import WTimeoutError
from pymongo.read_concern import ReadConcern

from tests import support
from tests.support.mongod import Mongod, ReplicaSet
from tests.support.writers import Writers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pymongo.database import Database

    from customer_service.repository.database import Document
    from tests.support.server import Answer, Server

DATABASE = "customer_service"
WEAK_WRITE_CONCERN = ("tests.faults.weak_write_concern", "wsgi:app")


@contextmanager
def replica_set(election_ms: int = 1000) -> Iterator[ReplicaSet]:
    """Run three members, filled with the example, whose caller is an editor."""
    members = ReplicaSet(election_ms)
    try:
        members.start()
        with pymongo.MongoClient[dict[str, Any]](members.uri) as client:
            support.fill(client[DATABASE])
            client[DATABASE].memberships.update_many({}, {"$set": {"role": "editor"}})
        yield members
    finally:
        members.close()


@contextmanager
def majority_committed(members: ReplicaSet, *, lacking: Mongod | None = None) -> Iterator[Database[Document]]:
    """Yield the database as a majority has stored it, once every member but the lacking one is back."""
    if lacking is None:
        members.wait_until_whole()
    with pymongo.MongoClient[dict[str, Any]](members.uri) as client:
        yield client.get_database(DATABASE, read_concern=ReadConcern("majority"))


def kill_primaries(members: ReplicaSet, server: Server, kills: int, posts: int) -> Writers:
    """Kill the primary so many times, each after the last is back, while at least so many customers are created."""
    with Writers(server) as writers:
        for kill in range(1, kills + 1):
            writers.wait_for(posts * kill // (kills + 1))
            primary = members.primary()
            primary.kill()
            writers.wait_for_another_primary()
            primary.launch()
            members.wait_until_whole()
        writers.wait_for(posts)
    return writers


def cut_off_primary(members: ReplicaSet, server: Server, seconds: float) -> Writers:
    """Stop replication from the primary for a while, then kill it: the secondaries never get its last writes."""
    with Writers(server) as writers:
        writers.wait_for(50)
        primary = members.primary()
        with replication_stopped(members.secondaries()):
            time.sleep(seconds)
            primary.kill()
        writers.wait_for(len(writers.acknowledged) + 50)
        primary.launch()
    return writers


def put_twice_without_replication(members: ReplicaSet, server: Server) -> tuple[int, int, str]:
    """Change a customer while no secondary replicates, repeat the PUT before the first response, and kill the primary.

    Returns the two statuses, and the name that is stored once another primary is there.
    """
    put(server, "before")
    primary = members.primary()
    with replication_stopped(members.secondaries()), ThreadPoolExecutor() as threads:
        wait_until_no_majority(primary)
        first = threads.submit(put, server, "after")
        time.sleep(0.5)
        statuses = put(server, "after").status, first.result().status
        primary.kill()
    with majority_committed(members, lacking=primary) as database:
        stored = database.customers.find_one({"externalId": "ours"})
    primary.launch()
    assert stored is not None
    return *statuses, stored["legalName"]


def put(server: Server, name: str) -> Answer:
    """Give a customer this name."""
    body = json.dumps(support.NEW_CUSTOMER | {"legalName": name}).encode()
    headers = support.bearer() | {"Content-Type": "application/json"}
    return server.request("PUT", support.customers_url("/by-external-id/ours"), headers, body)


def wait_until_no_majority(primary: Mongod) -> None:
    """Return once what the primary writes reaches no majority: what was fetched before may still be applied."""
    with pymongo.MongoClient[dict[str, Any]](primary.uri) as client, suppress(WTimeoutError):
        scratch = client[DATABASE].get_collection("scratch", write_concern=WriteConcern("majority", wtimeout=500))
        while True:
            scratch.insert_one({})


@contextmanager
def replication_stopped(secondaries: list[Mongod]) -> Iterator[None]:
    """Stop these secondaries from fetching the writes of the primary."""
    with ExitStack() as stack:
        admins = [stack.enter_context(pymongo.MongoClient[dict[str, Any]](each.uri)).admin for each in secondaries]
        for admin in admins:
            admin.command("configureFailPoint", "stopReplProducer", mode="alwaysOn")
            stack.callback(admin.command, "configureFailPoint", "stopReplProducer", mode="off")
        yield
