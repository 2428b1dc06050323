"""Rate limit counters: the requests of each caller in the current minute, shared by all workers."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

from pymongo import ASCENDING, IndexModel, ReturnDocument, WriteConcern

from customer_service.digests import digest
from customer_service.repository.driver_errors import translates_errors

if TYPE_CHECKING:
    from collections.abc import Callable

    from pymongo.database import Database

    from customer_service.repository.database import Document

WINDOW_SECONDS = 60
EXPIRY_SECONDS = 60


@dataclass(frozen=True, slots=True)
class RateLimit:
    """The state of a caller's minute: the requests allowed, those counted, and the seconds until it ends."""

    allowed: int
    counted: int
    seconds_left: int

    @property
    def remaining(self) -> int:
        """The number of requests that the caller may still make in this minute."""
        return max(0, self.allowed - self.counted)

    @property
    def exceeded(self) -> bool:
        """Whether the last request was above the limit."""
        return self.counted > self.allowed


class RateLimitRepository:
    """The counters of all callers, one document for each minute of the clock.

    Writes wait only for the primary: a counter that a failover loses lets a caller make a few more requests.
    """

    COLLECTION = "requestCounts"
    INDEXES = (IndexModel([("until", ASCENDING)], expireAfterSeconds=EXPIRY_SECONDS),)

    def __init__(self, database: Database[Document], allowed: int, clock: Callable[[], float] = time.time) -> None:
        """Allow each caller this many requests in a minute."""
        self._collection = database[self.COLLECTION].with_options(write_concern=WriteConcern(w=1))
        self._allowed = allowed
        self._clock = clock

    @translates_errors
    def consume(self, subject: str) -> RateLimit:
        """Count one request of the caller, and return the state of its minute."""
        now = self._clock()
        until = (now // WINDOW_SECONDS + 1) * WINDOW_SECONDS
        caller = digest(subject.encode()).hex()
        change = {"$inc": {"count": 1}, "$setOnInsert": {"until": datetime.fromtimestamp(until, UTC)}}
        document = self._collection.find_one_and_update(
            {"_id": f"{caller}:{until:.0f}"}, change, upsert=True, return_document=ReturnDocument.AFTER
        )
        return RateLimit(self._allowed, cast("Document", document)["count"], math.ceil(until - now))
