"""Two workers count a caller's requests together, for one rate limit."""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from tests import support
from tests.support.server import Server

if TYPE_CHECKING:
    from collections.abc import Callable

    from pymongo.database import Database

    from customer_service.repository.database import Document

ALLOWED = 50
ASKED = 150


def test_no_worker_lets_more_through(
    mongodb_uri: str, mongodb: Database[Document], record_property: Callable[[str, object], None]
) -> None:
    support.fill(mongodb)
    with Server(mongodb_uri, mongodb.name, RATE_LIMIT_PER_MINUTE=str(ALLOWED)) as server:
        minute = -1.0
        while minute != time.time() // 60:  # until all are asked within one minute of the clock
            minute = time.time() // 60
            mongodb.requestCounts.delete_many({})
            with ThreadPoolExecutor(12) as pool:
                answers = list(pool.map(lambda _: server.get(support.url(), support.bearer()), range(ASKED)))
    assert Counter(answer.status for answer in answers) == {200: ALLOWED, 429: ASKED - ALLOWED}
    remaining = sorted(int(answer.headers["RateLimit"].split(";")[1][2:]) for answer in answers)
    assert remaining == [0] * (ASKED - ALLOWED) + list(range(ALLOWED))
    record_property("figure", f"{ALLOWED} a minute allowed, {ASKED} sent to two workers at once: {ALLOWED} answered")
