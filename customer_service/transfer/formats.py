"""Customers as rows: JSON, one on each line, or the cells of a CSV that no spreadsheet runs."""

from __future__ import annotations

import csv
import io
import re
import zlib
from typing import IO, TYPE_CHECKING, Any, BinaryIO, NamedTuple

import orjson

from customer_service import changes
from customer_service.errors import Finding

if TYPE_CHECKING:
    from _csv import Reader
    from collections.abc import Iterable, Iterator, Sequence

    from customer_service.transfer.files import Format

BOM = b"\xef\xbb\xbf"
MAXIMUM_LINE = 1_000_000
"""The longest line, in bytes of NDJSON or characters of CSV: the longest body that the API takes."""

LINE_ENDS = (b"\n", "\n", "\r")

COLUMNS = (
    *(name for name in changes.ALWAYS_STORED if name != "address"),
    *(f"address.{name}" for name in changes.ADDRESS_FIELDS),
    "externalId",
)
"""The columns of a CSV, before those of the metadata."""

METADATA = "metadata."
RUN = "[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]"  # what a cell begins with that a spreadsheet runs (OWASP, CSV injection)
TO_DEFUSE = re.compile(f"'*(?:{RUN}|\\Z)")
DEFUSED = re.compile(f"'+(?:{RUN}|\\Z)")
MESSAGES = {
    "invalid-json": "Give one JSON value in UTF-8 on each line.",
    "invalid-csv": "Quote the cells as RFC 4180 says, and keep each within 131,072 characters.",
    "invalid-encoding": "Give UTF-8.",
    "column-count": "Give as many cells as the header has.",
    "line-too-long": f"Keep each line within {MAXIMUM_LINE:,} bytes.",
}


class Unreadable(ValueError):
    """The file cannot be read on; the message says why, and holds no value."""


class Row(NamedTuple):
    """A row by its first line, from 1: what it holds, or why it cannot be read."""

    line: int
    body: object
    finding: Finding | None = None


class LineTooLong(csv.Error):
    """A line is longer than any row."""


def read(stream: BinaryIO, form: Format) -> Iterator[Row]:
    """Yield the rows that are not blank; raises Unreadable."""
    return _read_csv(stream) if form == "csv" else _read_ndjson(stream)


def write(customers: Iterable[dict[str, Any]], stream: BinaryIO, form: Format, metadata: Sequence[str]) -> None:
    """Write the customers; a CSV has a column for each of these names of their metadata."""
    if form == "ndjson":
        stream.writelines(orjson.dumps(customer, option=orjson.OPT_APPEND_NEWLINE) for customer in customers)
        return
    columns = (*COLUMNS, *(METADATA + name for name in metadata))
    text = io.TextIOWrapper(stream, "utf-8", newline="")
    rows = csv.writer(text)
    rows.writerow(columns)
    for customer in customers:
        flat = _flat(customer)
        rows.writerow([_defused(flat.get(column)) for column in columns])
    text.detach()


def _read_ndjson(stream: BinaryIO) -> Iterator[Row]:
    lines = _Lines(stream)
    line: bytes | None = b""
    while line is not None:
        try:
            line = next(lines, None)
        except LineTooLong:
            yield _unreadable(lines.number, "line-too-long")
            continue
        text = (line or b"").removeprefix(BOM if lines.number == 1 else b"")
        if text.strip():
            yield _parsed(lines.number, text)


def _parsed(line: int, text: bytes) -> Row:
    try:
        return Row(line, orjson.loads(text))
    except orjson.JSONDecodeError:
        return _unreadable(line, "invalid-json")


def _read_csv(stream: BinaryIO) -> Iterator[Row]:
    text = io.TextIOWrapper(stream, "utf-8-sig", "surrogateescape", newline="")
    try:
        lines = _Lines(text)
        rows = csv.reader(lines, strict=True)
        yield from _rows(rows, lines, _header(rows))
    finally:
        text.detach()  # else it would close the stream, which is not its own


def _rows(rows: Reader, lines: _Lines, columns: list[str]) -> Iterator[Row]:
    cells: list[str] | None = []
    while cells is not None:
        line = lines.number + 1
        try:
            cells = next(rows, None)
        except csv.Error as error:
            yield _unreadable(line, "line-too-long" if isinstance(error, LineTooLong) else "invalid-csv")
            continue
        if cells and any(cells):
            yield _row(line, columns, cells)


def _row(line: int, columns: list[str], cells: list[str]) -> Row:
    if len(cells) != len(columns):
        return _unreadable(line, "column-count")
    try:
        "".join(cells).encode()
    except UnicodeEncodeError:
        return _unreadable(line, "invalid-encoding")
    body: dict[str, Any] = {"address": {}}
    for column, cell in zip(columns, cells, strict=True):
        part, dot, name = column.partition(".")
        if cell:
            (body.setdefault(part, {}) if dot else body)[name or column] = _as_it_was(cell)
    return Row(line, body)


def _header(rows: Reader) -> list[str]:
    """Return the header; raises Unreadable, which names a column by its place: it may hold a customer's data."""
    try:
        columns = next(rows, [])
    except csv.Error:
        raise Unreadable("The header is no line of a CSV.") from None
    for place, column in enumerate(columns, 1):
        if column in columns[: place - 1]:
            raise Unreadable(f"Column {place} of the header is there twice.")
        if column not in COLUMNS and not (column.startswith(METADATA) and column != METADATA):
            known = f"{', '.join(COLUMNS)}, {METADATA}*"
            raise Unreadable(f"Column {place} of the header is none of these, in UTF-8 and parted by commas: {known}.")
    return columns


class _Lines:
    """The lines of a stream, counted from 1; raises LineTooLong in the place of one, and Unreadable."""

    def __init__(self, stream: IO[Any]) -> None:
        self._stream = stream
        self.number = 0

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> Any:
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
        except (EOFError, OSError, zlib.error) as error:
            raise Unreadable(f"Behind line {self.number}: {error}") from error


def _flat(customer: dict[str, Any]) -> dict[str, str | None]:
    parts = ((part, customer.get(part, {})) for part in ("address", "metadata"))
    return customer | {f"{part}.{name}": text for part, texts in parts for name, text in texts.items()}


def _defused(text: str | None) -> str:
    """Return the cell of a text; an empty cell is none, and so an empty text needs a mark too."""
    if text is None:
        return ""
    return f"'{text}" if TO_DEFUSE.match(text) else text


def _as_it_was(cell: str) -> str:
    return cell[1:] if DEFUSED.match(cell) else cell


def _unreadable(line: int, code: str) -> Row:
    return Row(line, None, Finding("", code, MESSAGES[code]))
