"""What a worker keeps in memory: bounded, never longer than it was told to, and never older than what was dropped."""

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
    """Values by their keys, at most `entries` of them, the oldest dropped first; safe for threads.

    A value is kept under the stamp that its slot had when its loading began, and is good only while the slot has it
    still. Whoever drops something after a change thus knows that no older value comes back, not even one that is
    being loaded; that now and then another value shares the slot and is loaded again costs little.
    """

    def __init__(
        self, entries: int, seconds: float = float("inf"), clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Keep each value for at most this many seconds of the clock."""
        self.hits = self.misses = 0
        self._maximum_entries = entries
        self._seconds = seconds
        self._clock = clock
        self._entries: dict[Hashable, _Entry[V]] = {}
        self._stamps = [0] * STAMP_SLOTS
        self._lock = Lock()

    def get(self, key: Hashable) -> V | None:
        """Return the value that is kept, or None."""
        entry = self._entries.get(key)
        if entry is not None and self._stamps[entry.slot] == entry.stamp and entry.expires > self._clock():
            self.hits += 1
            return entry.value
        self.misses += 1
        return None

    @overload
    def load(self, key: Hashable, load: Callable[[], V], subject: Hashable = None) -> V: ...

    @overload
    def load(self, key: Hashable, load: Callable[[], V | None], subject: Hashable = None) -> V | None: ...

    def load(self, key: Hashable, load: Callable[[], V | None], subject: Hashable = None) -> V | None:
        """Return what `load` returns, and keep it unless it is None, until its subject is dropped."""
        slot = hash(subject) % STAMP_SLOTS
        stamp, began = self._stamps[slot], self._clock()
        value = load()
        if value is not None:
            self._store(key, _Entry(value, began + self._seconds, slot, stamp))
        return value

    def invalidate(self, subject: Hashable) -> None:
        """Forget what was loaded of this subject, or is being loaded."""
        with self._lock:
            self._stamps[hash(subject) % STAMP_SLOTS] += 1

    def clear(self) -> None:
        """Forget everything, and what is being loaded too."""
        with self._lock:
            self._stamps = [stamp + 1 for stamp in self._stamps]
            self._entries.clear()

    def _store(self, key: Hashable, entry: _Entry[V]) -> None:
        with self._lock:
            self._entries.pop(key, None)
            self._entries[key] = entry
            if len(self._entries) > self._maximum_entries:
                del self._entries[next(iter(self._entries))]
