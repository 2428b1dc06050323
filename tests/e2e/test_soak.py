"""The workers hold no more memory or sockets after many requests: the short form of `make faults`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.faults.soak import EXPECTED, soak

if TYPE_CHECKING:
    from pymongo.database import Database

    from customer_service.repository.database import Document
    from tests.support.server import Server

REQUESTS = 1000
FLAT = 1.2


def test_memory_and_sockets_hardly_grow(server: Server, mongodb_of_session: Database[Document]) -> None:
    mongodb_of_session.memberships.update_many({}, {"$set": {"role": "editor"}})
    seen = soak(server, REQUESTS)
    served = {answer for answer in seen.answers if not answer.endswith(" 503")}  # a busy machine makes requests wait
    assert served == EXPECTED
    assert seen.growth() < FLAT
