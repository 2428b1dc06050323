"""How far an import came: saved beside its file, and removed once the import is done."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import orjson

from customer_service.digests import digest

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

NAME_BYTES = 4


@dataclass(slots=True)
class ImportCounts:
    """How many rows were done, and with what result."""

    rows: int = 0
    created: int = 0
    changed: int = 0
    unchanged: int = 0
    failed: int = 0


class Checkpoint:
    """The counts of an import, in a file of its own; it holds no customer's data."""

    def __init__(self, source: Path, target: Sequence[str], *options: str) -> None:
        """Store the counts beside the source, in a file for each target.

        They are valid only for its present size and time, and for this target and these options.
        """
        state = source.stat()
        names: Sequence[object] = (state.st_size, state.st_mtime_ns, *target, *options)
        self._fingerprint = digest(repr(names).encode()).hex()
        # Without the options: with others, an import into this target replaces the position of the one before.
        name = digest(repr(tuple(target)).encode(), NAME_BYTES).hex()
        self._path = source.with_name(f"{source.name}.{name}.progress")
        self._new = self._path.with_name(f"{self._path.name}.{os.getpid()}.new")  # two imports may have one target too

    def load(self) -> ImportCounts | None:
        """Return the counts of the run before, or None if there was none, or of another file or target."""
        try:
            saved = orjson.loads(self._path.read_bytes())
            return ImportCounts(**saved["counts"]) if saved["fingerprint"] == self._fingerprint else None
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def require_writable(self) -> None:
        """Raise OSError if the counts cannot be saved."""
        self._new.touch()
        self._new.unlink()

    def save(self, counts: ImportCounts) -> None:
        """Replace the saved counts; a kill meanwhile leaves the earlier ones."""
        self._new.write_bytes(orjson.dumps({"fingerprint": self._fingerprint, "counts": asdict(counts)}))
        self._new.replace(self._path)

    def remove(self) -> None:
        """Remove the saved counts: the import is done."""
        self._path.unlink(missing_ok=True)
