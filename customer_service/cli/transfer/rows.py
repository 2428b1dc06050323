"""The rows of a file by their line numbers: the content of each, or why it cannot be read."""

from __future__ import annotations

import csv
import zlib
from typing import IO, Any, NamedTuple

from customer_service.errors.findings import Finding

MAXIMUM_LINE = 1_000_000
"""The longest line, in bytes of NDJSON or characters of CSV: the longest body that the API takes."""

READ_ERRORS = (EOFError, OSError, UnicodeDecodeError, zlib.error)
LINE_ENDS = (b"\n", "\n", "\r")
UNREADABLE_MESSAGES = {
    "invalid-json": "Give one JSON value in UTF-8 on each line.",
    "invalid-csv": "Quote the cells as RFC 4180 says, and keep each within 131,072 characters.",
    "unclosed-quote": "An earlier line opens a quote that is not closed. Close it, and import the file again.",
    "invalid-encoding": 'Save the file as "CSV UTF-8": the letters of this line are not in the encoding of the others.',
    "column-count": "Remove the cells that no column of the header names, or quote a cell that holds the separator.",
    "line-too-long": f"Keep each line within {MAXIMUM_LINE:,} bytes.",
}


class Unreadable(ValueError):
    """The rest of the file cannot be read; the message gives the reason, and holds no value."""


def unreadable_after(line: int, error: Exception) -> Unreadable:
    """Return the error for a file whose rest, after this line, cannot be read."""
    reason = error.reason if isinstance(error, UnicodeDecodeError) else error  # its text holds a byte
    return Unreadable(f"After line {line}: {reason}")


class LineTooLong(csv.Error):
    """A line is longer than any row."""


class Row(NamedTuple):
    """A row: the number of its first line, from 1, its content, the findings about it, and its cells in a CSV."""

    line: int
    body: object
    findings: tuple[Finding, ...] = ()
    cells: tuple[str, ...] = ()


def unreadable(line: int, code: str) -> Row:
    """Return the row for a line that cannot be read."""
    return Row(line, None, (Finding("", code, UNREADABLE_MESSAGES[code]),))


class Lines:
    """The lines of a stream, counted from 1; raises LineTooLong instead of such a line, and Unreadable."""

    def __init__(self, stream: IO[Any]) -> None:
        """Read lines of bytes or of text."""
        self._stream = stream
        self.number = 0

    def __iter__(self) -> Lines:
        """Return itself."""
        return self

    def __next__(self) -> Any:
        """Return the next line with its end."""
        line = self._read()
        if not line:
            raise StopIteration
        self.number += 1
        if len(line) <= MAXIMUM_LINE:
            return line
        while line and line[-1:] not in LINE_ENDS:
            line = self._read()
        raise LineTooLong

    def _read(self) -> Any:
        try:
            return self._stream.readline(MAXIMUM_LINE + 1)
        except READ_ERRORS as error:
            raise unreadable_after(self.number, error) from error
