"""The set of the keys that a file had so far, in few bytes for each."""

from __future__ import annotations

from array import array

from customer_service.digests import digest

SLOTS = 1024
BYTES = 8


class FingerprintSet:
    """A set of texts that cannot be listed: a table of their fingerprints, 12 to 24 bytes for each.

    Of a million texts, two have the same fingerprint with a probability of 1 in 36 million.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self._slots = array("Q", bytes(SLOTS * BYTES))
        self._used = 0

    def add(self, text: str) -> bool:
        """Add a text; return whether it was in the set already."""
        mark = int.from_bytes(digest(text.encode("utf-8", "surrogatepass"), BYTES), "big") or 1  # 0 is an empty slot
        slot = self._slot_of(mark)
        if self._slots[slot] == mark:
            return True
        self._slots[slot] = mark
        self._used += 1
        if self._used * 3 > len(self._slots) * 2:
            self._grow()
        return False

    def _slot_of(self, mark: int) -> int:
        """Return the slot of the mark, or the empty one for it."""
        mask = len(self._slots) - 1
        slot = mark & mask
        while self._slots[slot] not in (0, mark):
            slot = slot + 1 & mask
        return slot

    def _grow(self) -> None:
        marks, self._slots = self._slots, array("Q", bytes(len(self._slots) * 2 * BYTES))
        for mark in marks:
            if mark:
                self._slots[self._slot_of(mark)] = mark
