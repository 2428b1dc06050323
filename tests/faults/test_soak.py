"""After half a million requests of every kind the workers hold what they held after the first tenth."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tests.faults.soak import EXPECTED, soak

if TYPE_CHECKING:
    from collections.abc import Callable

    from pymongo.database import Database

    from customer_service.repository.database import Document
    from tests.support.server import Server

REQUESTS = int(os.environ.get("FAULT_REQUESTS", "500000"))
FLAT = 1.05


def test_memory_and_sockets_do_not_grow(
    server: Server, mongodb_of_session: Database[Document], measured: Callable[[str, str], None]
) -> None:
    mongodb_of_session.memberships.update_many({}, {"$set": {"role": "editor"}})
    seen = soak(server, REQUESTS)
    figures = (
        f"{sum(seen.answers.values()):,} requests: memory at {seen.growth():.1%} of what it was, descriptors "
        f"{seen.descriptors()[0]} → {seen.descriptors()[1]}, sockets {seen.sockets()[0]} → {seen.sockets()[1]}"
    )
    assert set(seen.answers) == EXPECTED, figures
    assert seen.growth() < FLAT, figures
    for before, after in (seen.descriptors(), seen.sockets()):
        assert abs(after - before) <= 4, figures
    measured("a soak of mixed requests: memory, sockets and descriptors flat from the first tenth to the last", figures)
