"""Workers of two servers are killed between the two writes of a change: no version is lost, doubled or out of order."""

from __future__ import annotations

import os
import random
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pymongo

from customer_service.web.responses import serialize
from tests.faults.failover import DATABASE, replica_set
from tests.faults.histories import Load, Model
from tests.support import MEMBER, ORGANIZATION, bearer, wait_until
from tests.support.histories import check_moments, check_versions
from tests.support.server import Answer, DeadlineServer, Server

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pymongo.database import Database

    from customer_service.repository.database import Document

CRASHES = int(os.environ.get("FAULT_CRASH_COUNT", "200"))
KILLS = int(os.environ.get("FAULT_HISTORY_KILLS", "10"))
ANSWERS = 100
MOMENTS = int(os.environ.get("FAULT_MOMENTS", "1000"))
CRASHING = ("tests.faults.crashing_writers", "wsgi:app")
PATIENCE_SECONDS = 900


def test_killed_writers_leave_no_gap_in_the_history(
    mongodb: Database[Document], mongodb_uri: str, tmp_path: Path, measured: Callable[[str, str], None]
) -> None:
    mongodb.memberships.insert_one({"userId": MEMBER, "organizationId": ORGANIZATION, "role": "editor"})
    crashes = tmp_path / "crashes"
    crashes.touch()
    options: Any = {"FAULT_CRASHES": str(crashes), "LOG_LEVEL": "critical"}
    with ExitStack() as stack:
        servers = [
            stack.enter_context(Server(mongodb_uri, mongodb.name, command=CRASHING, **options)) for _ in range(2)
        ]
        model = stack.enter_context(Model(mongodb))
        load = stack.enter_context(Load(servers))
        began = time.monotonic()
        while crashes.stat().st_size < CRASHES:
            assert time.monotonic() - began < PATIENCE_SECONDS, load.answers
            time.sleep(0.1)
    assert set(load.answers) & {"500"} == set(), load.answers
    with Server(mongodb_uri, mongodb.name) as server:
        figures = compared(server, model, load)
    measured(
        "workers of two servers killed between the two writes of a change: each version is there once, in order, as it "
        "was, and asOf returns the state of its moment",
        f"{crashes.stat().st_size} kills, {figures}",
    )


def test_killed_primaries_leave_no_gap_in_the_history(measured: Callable[[str, str], None]) -> None:
    with (
        replica_set() as members,
        pymongo.MongoClient[dict[str, Any]](members.uri) as client,
        DeadlineServer(members.uri, DATABASE, LOG_LEVEL="critical") as server,
    ):
        with Model(client[DATABASE]) as model, Load([server]) as load:
            for _ in range(KILLS):
                wait_for_answers(load, ANSWERS)
                primary = members.primary()
                primary.kill()
                wait_for_answers(load, ANSWERS)
                primary.launch()
                members.wait_until_whole()
        figures = compared(server, model, load)
    measured(
        "kill -9 of the primary under changes, whose copies it alone has: each version is there once, in order",
        f"{KILLS} kills, {figures}",
    )


def wait_for_answers(load: Load, count: int) -> None:
    """Wait until so many more requests were answered with 200."""
    wanted = load.answers["200"] + count
    wait_until(lambda: load.answers["200"] >= wanted, 60, 0.02)


def compared(server: Server, model: Model, load: Load) -> str:
    """Compare what the server says with the model, and what readers saw; return the figures."""
    connection = server.connect(timeout=30)

    def get(path: str) -> Answer:
        connection.request("GET", path, headers=bearer())
        response = connection.getresponse()
        return Answer(response.status, dict(response.getheaders()), response.read())

    versions = check_versions(get, model.states)
    found = check_moments(get, model.states, random.Random(1), MOMENTS)  # noqa: S311 - no secret
    connection.close()
    for customer_id, bodies in load.seen.items():
        living = [each for each in model.states[customer_id] if each.get("deletedAt") is None]
        assert bodies <= {serialize(each).body for each in living}
    reads = sum(map(len, load.seen.values()))
    return (
        f"{versions:,} versions of {len(model.states)} customers, {reads:,} of them seen by readers, {MOMENTS:,} "
        f"moments, {found} of them with a customer; 0 differences"
    )
