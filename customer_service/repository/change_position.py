"""The position in the change feed: a cluster time and an offset, and no data of any organization."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from bson import Timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from customer_service.repository.database import Document

RESUME_TOKEN = re.compile("82([0-9A-Fa-f]{8})([0-9A-Fa-f]{8})")
"""The start of a resume token: the key type of a timestamp, then its seconds and its increment.

The rest of the token is dropped: it may hold the id of another organization's customer.
"""


class ChangePosition(NamedTuple):
    """The point where a consumer of the feed continues.

    `seconds` and `increment` are a cluster time. `place` is the number of events of that time that were read. During
    the first pages, which list the customers that exist at that time, `place` is the id of the last one listed.
    """

    seconds: int
    increment: int
    place: int | str


class EventReader:
    """Skips the events that the consumer has read, and counts the others; several may share a cluster time."""

    def __init__(self, position: ChangePosition) -> None:
        """Continue after this position, which must not be one of the first pages; it skips `skipped` events."""
        self._start = self._time = Timestamp(position.seconds, position.increment)
        self.skipped = position.place if isinstance(position.place, int) else 0
        self._count = 0

    def unread(self, batch: Sequence[Document]) -> list[Document]:
        """Return the events of the next batch that are after the start position."""
        return [event for event in batch if self._is_unread(event["clusterTime"])]

    def position(self, token: Mapping[str, Any] | None) -> ChangePosition:
        """Return the position after the last event, or the server's own position if that is later."""
        reached = _time_of(token)
        if reached is not None and reached > self._time:
            return ChangePosition(reached.time, reached.inc, 0)
        count = max(self._count, self.skipped) if self._time == self._start else self._count
        return ChangePosition(self._time.time, self._time.inc, count)

    def _is_unread(self, moment: Timestamp) -> bool:
        self._count = self._count + 1 if moment == self._time else 1
        self._time = moment
        return moment != self._start or self._count > self.skipped


def _time_of(token: Mapping[str, Any] | None) -> Timestamp | None:
    """Return the cluster time at the start of a resume token, or None if the token has another format."""
    found = RESUME_TOKEN.match(token["_data"]) if token else None
    return Timestamp(int(found[1], 16), int(found[2], 16)) if found else None
