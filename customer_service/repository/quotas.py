"""How many requests each caller made in the current minute, counted once for all workers."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

from pymongo import ASCENDING, IndexModel, ReturnDocument, WriteConcern

from customer_service.digests import digest
from customer_service.repository.database import translates_errors

if TYPE_CHECKING:
    from collections.abc import Callable

    from pymongo.database import Database

    from customer_service.repository.database import Document

WINDOW_SECONDS = 60
EXPIRY_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Quota:
    """What a caller has left of a minute: the requests allowed in it, those counted, and the seconds to its end."""

    allowed: int
    counted: int
    seconds_left: int

    @property
    def remaining(self) -> int:
        """The requests that may still be made; 0 where there were too many."""
        return max(0, self.allowed - self.counted)

    @property
    def exceeded(self) -> bool:
        """Whether the last request counted was one too many."""
        return self.counted > self.allowed


class QuotaRepository:
    """The requests of every caller, by the minutes of the clock.

    A counter that a failover loses lets a caller make more requests in one minute, so it waits for no majority.
    """

    COLLECTION = "requestCounts"
    INDEXES = (IndexModel([("until", ASCENDING)], expireAfterSeconds=EXPIRY_SECONDS),)

    def __init__(self, database: Database[Document], allowed: int, clock: Callable[[], float] = time.time) -> None:
        """Allow each caller this many requests in a minute."""
        self._collection = database[self.COLLECTION].with_options(write_concern=WriteConcern(w=1))
        self._allowed = allowed
        self._clock = clock

    @translates_errors
    def consume(self, subject: str) -> Quota:
        """Count one request of the caller, and return what is left of the minute."""
        now = self._clock()
        until = (now // WINDOW_SECONDS + 1) * WINDOW_SECONDS
        caller = digest(subject.encode()).hex()
        change = {"$inc": {"count": 1}, "$setOnInsert": {"until": datetime.fromtimestamp(until, UTC)}}
        document = self._collection.find_one_and_update(
            {"_id": f"{caller}:{until:.0f}"}, change, upsert=True, return_document=ReturnDocument.AFTER
        )
        return Quota(self._allowed, cast("Document", document)["count"], math.ceil(until - now))
