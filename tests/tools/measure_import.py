"""How fast an import is beside the driver's own bulk_write of the same documents, and how much memory it takes.

`python -m tests.tools.measure_import ROWS PARTS`: the rows come in so many parts, and for each the two take turns.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pymongo

from customer_service.repository import CustomerBatchRepository, MembershipRepository, ensure_indexes
from customer_service.services import validation
from tests.support import MEMBER, ORGANIZATION, WRITER, mongod, new_customer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pymongo.database import Database

    from customer_service.repository.database import Document

BATCH = 500
COMMAND = "from customer_service.cli import run_command"
WORDS = ("COMERCIALIZADORA", "GRUPO", "INDUSTRIAL", "NORTE", "GARCIA", "LOPEZ", "HERNANDEZ", "PAPELERA", "SERVICIOS")


def row(number: int) -> dict[str, Any]:
    """Return a customer to send, unlike every other."""
    words = (WORDS[number // len(WORDS) ** place % len(WORDS)] for place in range(3))
    letters = "".join(chr(65 + number // 33_600_000 // 26**place % 26) for place in range(3))
    date = f"{number // 336_000 % 100:02}{number // 28_000 % 12 + 1:02}{number // 1000 % 28 + 1:02}"
    return new_customer(
        legalName=f"{' '.join(words)} {number}",
        taxId=f"{letters}{date}{number % 1000:03}",
        externalId=f"crm-{number}",
        email=f"box{number}@example{number % 1000}.com",
        phone=str(6_000_000_000 + number),
        metadata={"segment": "paper"},
    )


def driver(database: Database[Document], numbers: range) -> float:
    """Insert the documents as the driver alone does, and return the seconds that it took."""
    (member,) = MembershipRepository(database).all_of(ORGANIZATION)
    new = CustomerBatchRepository(database, member.scope, WRITER)._new
    seconds = 0.0
    for start in range(numbers.start, numbers.stop, BATCH):
        batch = range(start, min(start + BATCH, numbers.stop))
        inserts = [pymongo.InsertOne(new(validation.validate(row(number)))) for number in batch]
        began = time.perf_counter()
        database.customers.bulk_write(inserts, ordered=False)
        seconds += time.perf_counter() - began
    return seconds


def command(uri: str, name: str, numbers: range) -> float:
    """Import the rows with the command, and return the seconds that it took, its start included."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, "customers.ndjson")
        with file.open("w") as lines:
            lines.writelines(json.dumps(row(number)) + "\n" for number in numbers)
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, "-c", f"{COMMAND}; run_command()", "import", ORGANIZATION, str(file)],
            env={**os.environ, "MONGODB_URI": uri, "MONGODB_DATABASE": name},
            check=True,
        )
        return time.perf_counter() - began


def parts(rows: int, count: int) -> Iterator[range]:
    """Split the rows."""
    for part in range(count):
        yield range(rows * part // count, rows * (part + 1) // count)


def main(rows: int, count: int) -> None:
    """Measure, and print what was measured."""
    server = mongod.Mongod()
    server.start()
    try:
        with pymongo.MongoClient[dict[str, Any]](server.uri, w="majority") as client:
            for name in ("driver", "command"):
                ensure_indexes(client[name])
                MembershipRepository(client[name]).set_role(MEMBER, ORGANIZATION, "admin")
            seconds = {"driver": 0.0, "command": 0.0}
            for numbers in parts(rows, count):
                seconds["driver"] += driver(client["driver"], numbers)
                seconds["command"] += command(server.uri, "command", numbers)
            assert client["command"].customers.count_documents({}) == rows
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss  # of the commands: the server is not done yet
    finally:
        server.close()
    rate = {name: rows / each for name, each in seconds.items()}
    sys.stdout.write(
        f"{rows:,} rows in {count} parts: driver {rate['driver']:,.0f} a second, import {rate['command']:,.0f}, "
        f"ratio {rate['command'] / rate['driver']:.2f}; peak memory of the import {peak / 1024:.0f} MB\n"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
