"""Where a feed of changes goes on, told by cluster times alone."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from bson import Timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from customer_service.repository.database import Document

RESUME_TOKEN = re.compile("82([0-9A-Fa-f]{8})([0-9A-Fa-f]{8})")
"""How a resume token begins: the type of a timestamp in an index key, its seconds and its increment.

Of the token nothing else is kept: it may name a customer of another organization.
"""


class ChangePosition(NamedTuple):
    """Where a feed goes on: behind so many events of a cluster time, whose two numbers come first.

    In place of the number stands a customer's id while those are told who were there at that time, in their order.
    """

    seconds: int
    increment: int
    place: int | str


class EventReader:
    """Tells the events that were not read before, and where they end: several may share a cluster time."""

    def __init__(self, position: ChangePosition) -> None:
        """Go on behind this position, which is none of the first pages'."""
        self._start = self._time = Timestamp(position.seconds, position.increment)
        self._read = position.place if isinstance(position.place, int) else 0
        self._count = 0

    def unread(self, batch: Sequence[Document]) -> list[Document]:
        """Return those of the next events that were not read before the position was told."""
        return [event for event in batch if self._is_unread(event["clusterTime"])]

    def position(self, token: Mapping[str, Any] | None) -> ChangePosition:
        """Return where to go on, which is where the server has got to, if that is further."""
        reached = _time_of(token)
        if reached is not None and reached > self._time:
            return ChangePosition(reached.time, reached.inc, 0)
        count = max(self._count, self._read) if self._time == self._start else self._count
        return ChangePosition(self._time.time, self._time.inc, count)

    def _is_unread(self, moment: Timestamp) -> bool:
        self._count = self._count + 1 if moment == self._time else 1
        self._time = moment
        return moment != self._start or self._count > self._read


def _time_of(token: Mapping[str, Any] | None) -> Timestamp | None:
    """Return the cluster time that a resume token begins with, or None where it begins otherwise."""
    found = RESUME_TOKEN.match(token["_data"]) if token else None
    return Timestamp(int(found[1], 16), int(found[2], 16)) if found else None
