"""The refused rows of an import, as a CSV to correct and import again."""

from __future__ import annotations

import codecs
import csv
import os
from typing import TYPE_CHECKING

from customer_service.cli.transfer import cells
from customer_service.cli.transfer.columns import REASON

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from customer_service.cli.transfer.importing import Refused
    from customer_service.cli.transfer.sheets import Layout

FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
OWNER_ONLY = 0o600


class Rejects:
    """A CSV with the separator and the columns of the input, and the reason in its last column."""

    def __init__(self, path: Path, layout: Layout, *, resumed: bool) -> None:
        """Create the file, or append to that of the run before; raises FileExistsError, and OSError.

        An empty file is accepted: a run that was killed before its first refused row leaves one.
        """
        may_exist = resumed or (path.is_file() and path.stat().st_size == 0)
        descriptor = os.open(path, FLAGS | (0 if may_exist else os.O_EXCL), OWNER_ONLY)
        os.fchmod(descriptor, OWNER_ONLY)
        self._file = os.fdopen(descriptor, "a", encoding="utf-8", newline="")
        self._rows = csv.writer(self._file, delimiter=layout.separator)
        self._path, self._header = path, layout.header
        self._is_empty = os.fstat(descriptor).st_size == 0

    def __enter__(self) -> Rejects:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file, and remove it if it has no row."""
        self._file.close()
        if self._is_empty:
            self._path.unlink()

    def write(self, refused: Iterable[Refused]) -> None:
        """Write the rows to the operating system; an unreadable row has only its reason, with the line of the input."""
        for row, reasons in refused:
            if self._is_empty:
                self._file.write(codecs.BOM_UTF8.decode())
                self._rows.writerow([*map(cells.marked, self._header), REASON])
                self._is_empty = False
            read = map(cells.marked, row.cells or [""] * len(self._header))
            self._rows.writerow([*read, f"line {row.line}: {'; '.join(reasons)}"])
        self._file.flush()
