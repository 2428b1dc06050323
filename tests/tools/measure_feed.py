"""How a consumer catches up with many changes, and what it costs the database that others wait for one.

`python -m tests.tools.measure_feed CHANGES`: so many changes of an organization, and as many of another one between.
"""

from __future__ import annotations

import random
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pymongo
from bson import ObjectId

from customer_service.client import CustomerClient
from customer_service.repository import ensure_indexes
from tests import support
from tests.support import mongod
from tests.support.lists import living
from tests.support.processes import workers
from tests.support.server import Server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pymongo.database import Database

    from customer_service.client import ChangePage
    from customer_service.repository.database import Document

BATCH = 1000
KNOWN = 10_000
OTHERS = 10_000_000
WAITERS = (0, 16, 64)
WATCHED_SECONDS = 10.0
PACE_SECONDS = 0.005

Write = pymongo.InsertOne[dict[str, Any]] | pymongo.UpdateOne


def writes(count: int, organization: str, first: int) -> Iterator[Write]:
    """Yield changes: three in ten create, one deletes, and six change something."""
    chance, created = random.Random(organization), KNOWN  # noqa: S311 - the same in every run
    for number in range(count):
        match number % 10:
            case 0 | 1 | 2:
                yield pymongo.InsertOne(living(first + created, organization))
                created += 1
            case 3:
                ended = {"$set": {"deletedAt": 1}, "$unset": {"search": "", "unique": ""}}
                yield pymongo.UpdateOne({"_id": ObjectId(f"{first + chance.randrange(created):024x}")}, ended)
            case _:
                key = {"_id": ObjectId(f"{first + chance.randrange(created):024x}")}
                yield pymongo.UpdateOne(key, {"$set": {"phone": str(number)}})


def fill(database: Database[Document]) -> None:
    """Store what both organizations begin with."""
    ensure_indexes(database)
    member = {"userId": support.MEMBER, "organizationId": support.ORGANIZATION, "role": "viewer"}
    database.memberships.insert_one(member)
    for first, organization in ((0, support.ORGANIZATION), (OTHERS, support.OTHER_ORGANIZATION)):
        database.customers.insert_many((living(first + each, organization) for each in range(KNOWN)), ordered=False)


def change(database: Database[Document], count: int) -> int:
    """Make the changes of both organizations in turns; return how many of the first one's changed something."""
    own = writes(count, support.ORGANIZATION, 0)
    others = writes(count, support.OTHER_ORGANIZATION, OTHERS)
    done = 0
    for _ in range(0, count, BATCH):
        result = database.customers.bulk_write([next(own) for _ in range(BATCH)])
        done += result.inserted_count + result.modified_count
        database.customers.bulk_write([next(others) for _ in range(BATCH)])
    return done


def follow(client: CustomerClient, held: dict[str, Any], cursor: str | None = None) -> tuple[int, str, list[float]]:
    """Follow to the end; return how many changes there were, the cursor behind them, and the seconds of each page.

    The last page, for which the client waits if nothing is left, is not counted.
    """
    changes, seconds, began = 0, [], time.perf_counter()
    for page in client.follow(cursor):
        if page.data:
            seconds.append(time.perf_counter() - began)
        apply(page, held)
        changes, cursor = changes + len(page.data), page.cursor
        if not page.hasMore:
            break
        began = time.perf_counter()
    assert cursor is not None
    return changes, cursor, seconds


def apply(page: ChangePage, held: dict[str, Any]) -> None:
    """Do what a consumer does."""
    for each in page.data:
        held.pop(each.id, None)
        if each.customer is not None:
            held[each.id] = each.customer


def peak(server: Server) -> float:
    """Return the most memory that a worker had, in megabytes."""
    lines = (Path(f"/proc/{pid}/status").read_text() for pid in workers(server))
    return max(int(text.partition("VmHWM:")[2].split()[0]) for text in lines) / 1024


def processor(pid: int) -> float:
    """Return the seconds that a process has taken of the processors."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def catch_up(server: Server, client: CustomerClient, database: Database[Document], count: int) -> str:
    """Measure a consumer that was away while all the changes were made."""
    held: dict[str, Any] = {}
    present, cursor, _ = follow(client, held)
    before = peak(server)
    made = change(database, count)
    received, cursor, seconds = follow(client, held, cursor)
    took = sum(seconds)
    whole = {customer.id: customer for customer in client.search()}
    sys.stdout.write(
        f"{present:,} customers from the beginning; then {received:,} of {made:,} changes, between as many of another "
        f"organization's, in {took:.1f} s and {len(seconds):,} pages ({received / took:,.0f}/s, the longest page "
        f"{max(seconds) * 1000:.0f} ms); {'the same' if held == whole else 'NOT the same'} {len(whole):,} customers as "
        f"listed; peak memory of a worker {peak(server):.0f} MB, {before:.0f} before\n"
    )
    assert (received, held) == (made, whole)
    return cursor


def wait(server: Server, database: Database[Document], pid: int, cursor: str, waiters: int) -> None:
    """Measure what MongoDB takes of a processor while so many wait, and others' customers are changed or not."""
    path = support.customers_url(f"/changes?wait=20&cursor={cursor}")
    with ExitStack() as stack, ThreadPoolExecutor() as threads:
        for _ in range(waiters):
            connection = server.connect(timeout=60)
            stack.callback(connection.close)
            connection.request("GET", path, headers=support.bearer())
        time.sleep(2)
        shares = []
        for written in (False, True):
            began, before, ends = time.perf_counter(), processor(pid), time.perf_counter() + WATCHED_SECONDS / 2
            if written:
                threads.submit(write_until, database, ends).result()
            time.sleep(max(0.0, ends - time.perf_counter()))
            shares.append((processor(pid) - before) / (time.perf_counter() - began))
    sys.stdout.write(f"{waiters} wait: MongoDB takes {shares[0]:.3f} of a processor, {shares[1]:.3f} among writes\n")


def write_until(database: Database[Document], ends: float) -> None:
    """Change the other organization's customers at a pace."""
    number = 0
    while time.perf_counter() < ends:
        number += 1
        key = {"_id": ObjectId(f"{OTHERS + number % KNOWN:024x}")}
        database.customers.update_one(key, {"$set": {"phone": f"w{number}"}})
        time.sleep(PACE_SECONDS)


def main(count: int) -> None:
    """Measure, and print what was measured."""
    database_server = mongod.Mongod()
    database_server.start()
    try:
        with pymongo.MongoClient[dict[str, Any]](database_server.uri, w="majority") as mongodb:
            fill(mongodb.tests)
            with Server(database_server.uri, "tests") as server:
                token = support.token(exp=4_000_000_000)
                with CustomerClient(f"http://127.0.0.1:{server.port}", token, support.ORGANIZATION) as client:
                    cursor = catch_up(server, client, mongodb.tests, count)
                for waiters in WAITERS:
                    wait(server, mongodb.tests, database_server.pid, cursor, waiters)
    finally:
        database_server.close()


if __name__ == "__main__":
    main(int(sys.argv[1]))
