"""Measure what an upsert of a batch costs without the patterns that accept plain emails and phones.

`python -m tests.tools.measure_shortcuts ROUNDS`: each round upserts one batch in each variant, against a real MongoDB.
The figures are processor time of the service, as a ratio to the batch with both patterns.
"""

from __future__ import annotations

import re
import statistics
import sys
import time
from typing import TYPE_CHECKING, Any

import pymongo
import pytest

from customer_service.fiscal import contacts
from customer_service.repository import CustomerBatchRepository, OrganizationScope
from customer_service.services.upserts import UpsertResult, to_upsert, upsert_many, validate_many
from tests.support import ORGANIZATION, WRITER, mongod
from tests.tools.measure_import import BATCH, row

if TYPE_CHECKING:
    from pymongo.database import Database

    from customer_service.repository.database import Document

NEVER = re.compile(r"(?!)")
VARIANTS = {
    "both": (),
    "no email": ("PLAIN_EMAIL",),
    "no phone": ("PLAIN_PHONE",),
    "none": ("PLAIN_EMAIL", "PLAIN_PHONE"),
}


def upsert_batch(database: Database[Document], start: int, without: tuple[str, ...]) -> float:
    """Upsert a batch of new customers without these patterns; return the seconds of processor time."""
    rows = [row(number) for number in range(start, start + BATCH)]
    customers = CustomerBatchRepository(database, OrganizationScope(ORGANIZATION), WRITER)
    with pytest.MonkeyPatch.context() as patch:
        for name in without:
            patch.setattr(contacts, name, NEVER)
        began = time.process_time()
        outcomes = upsert_many(customers, validate_many(rows, to_upsert))
        seconds = time.process_time() - began
    assert all(isinstance(each, UpsertResult) for each in outcomes)
    return seconds


def main(rounds: int) -> None:
    """Measure the variants in turn, and print the median of each one's ratios."""
    server = mongod.Mongod()
    server.start()
    seconds: dict[str, list[float]] = {name: [] for name in VARIANTS}
    try:
        with pymongo.MongoClient[dict[str, Any]](server.uri, w="majority") as client:
            for number in range(rounds):
                for place, (name, without) in enumerate(VARIANTS.items()):
                    start = (number * len(VARIANTS) + place) * BATCH
                    seconds[name].append(upsert_batch(client["shortcuts"], start, without))
    finally:
        server.close()
    for name, each in seconds.items():
        ratio = statistics.median(one / both for one, both in zip(each, seconds["both"], strict=True))
        sys.stdout.write(f"{name}: {ratio:.2f}\n")


if __name__ == "__main__":
    main(int(sys.argv[1]))
