"""The time of a response does not show whether another organization's customer exists.

It takes minutes, so only `make attack` runs it.
"""

from __future__ import annotations

import os
import random
import statistics
import time
from typing import TYPE_CHECKING

import pytest

from tests import support
from tests.attacks import tenants
from tests.support.server import Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pymongo.database import Database

    from customer_service.repository.database import Document

ROUNDS = int(os.environ.get("ATTACK_ROUNDS", "4000"))
TOLERANCE = 0.10
CUSTOMERS = 1_000


@pytest.fixture(scope="module")
def ids(mongodb_of_session: Database[Document]) -> dict[str, list[str]]:
    for name in mongodb_of_session.list_collection_names():
        mongodb_of_session[name].delete_many({})
    return tenants.fill(mongodb_of_session, CUSTOMERS, 2)


@pytest.fixture(scope="module")
def server(mongodb_uri: str, mongodb_of_session: Database[Document], ids: dict[str, list[str]]) -> Iterator[Server]:
    with Server(mongodb_uri, mongodb_of_session.name) as running:
        yield running


@pytest.mark.parametrize(
    ("caller", "organization"),
    [("member-of-a", "organization-a"), ("member-of-a", "organization-b"), ("stranger", "organization-b")],
)
def test_mean_times_differ_by_less_than_a_tenth(
    server: Server,
    ids: dict[str, list[str]],
    caller: str,
    organization: str,
    record_property: Callable[[str, object], None],
) -> None:
    """Request a customer of organization B and an unknown one alternately, in random order."""
    chance = random.Random(3)  # noqa: S311 - a run that can be repeated
    missing = [chance.randbytes(12).hex() for _ in range(CUSTOMERS)]
    headers = support.bearer(caller)
    times: dict[str, list[float]] = {"existing": [], "missing": []}
    connection = server.connect()
    for turn in range(ROUNDS + 200):
        for kind in chance.sample(sorted(times), 2):
            customer_id = chance.choice(ids["organization-b"] if kind == "existing" else missing)
            started = time.perf_counter()
            connection.request("GET", support.url(organization, customer_id), headers=headers)
            response = connection.getresponse()
            response.read()
            elapsed = time.perf_counter() - started
            assert response.status in {403, 404}
            if turn >= 200:  # what comes first warms up
                times[kind].append(elapsed)
    connection.close()
    existing, nobodys = (statistics.fmean(times[kind]) * 1000 for kind in ("existing", "missing"))
    difference = abs(existing - nobodys) / nobodys
    figure = f"{caller} in {organization}: {existing:.3f} and {nobodys:.3f} ms, {difference:.1%} apart"
    record_property("figure", figure)
    assert difference < TOLERANCE, figure
