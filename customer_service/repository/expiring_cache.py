"""An in-memory cache with a maximum size, a maximum age and safe invalidation."""

from __future__ import annotations

import time
from threading import Lock
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar, overload

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

V = TypeVar("V")
STAMP_SLOTS = 4096


class _Entry(NamedTuple, Generic[V]):
    value: V
    expires: float
    slot: int
    stamp: int


class Cache(Generic[V]):
    """Up to `entries` values by their keys; a full cache drops its oldest entry. It is safe for threads.

    Each subject hashes to one of STAMP_SLOTS stamps. An entry records its slot's stamp from before its value was
    loaded, and is valid while the slot still has that stamp. `invalidate` changes the stamp, so it also covers values
    that are being loaded at that moment. Subjects that share a slot are sometimes loaded again, which costs little.
    """

    def __init__(
        self, entries: int, seconds: float = float("inf"), clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Store up to this many entries, each for at most this many seconds."""
        self.hits = self.misses = 0
        self._maximum_entries = entries
        self._seconds = seconds
        self._clock = clock
        self._entries: dict[Hashable, _Entry[V]] = {}
        self._stamps = [0] * STAMP_SLOTS
        self._lock = Lock()

    def get(self, key: Hashable) -> V | None:
        """Return the cached value, or None."""
        entry = self._entries.get(key)
        if entry is not None and self._stamps[entry.slot] == entry.stamp and entry.expires > self._clock():
            self.hits += 1
            return entry.value
        self.misses += 1
        return None

    @overload
    def load(self, key: Hashable, read: Callable[[], V], subject: Hashable = None) -> V: ...

    @overload
    def load(self, key: Hashable, read: Callable[[], V | None], subject: Hashable = None) -> V | None: ...

    def load(self, key: Hashable, read: Callable[[], V | None], subject: Hashable = None) -> V | None:
        """Return what `read` returns; cache it unless it is None, until its subject is invalidated."""
        slot = hash(subject) % STAMP_SLOTS
        stamp, began = self._stamps[slot], self._clock()
        value = read()
        if value is not None:
            self._store(key, _Entry(value, began + self._seconds, slot, stamp))
        return value

    def invalidate(self, subject: Hashable) -> None:
        """Drop every value of this subject, also one that is being loaded."""
        with self._lock:
            self._stamps[hash(subject) % STAMP_SLOTS] += 1

    def clear(self) -> None:
        """Drop every value, also those that are being loaded."""
        with self._lock:
            self._stamps = [stamp + 1 for stamp in self._stamps]
            self._entries.clear()

    def _store(self, key: Hashable, entry: _Entry[V]) -> None:
        with self._lock:
            self._entries.pop(key, None)
            self._entries[key] = entry
            if len(self._entries) > self._maximum_entries:
                del self._entries[next(iter(self._entries))]
