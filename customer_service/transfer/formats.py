"""Customers as rows: JSON, one on each line, or the cells of a CSV that no spreadsheet runs."""

from __future__ import annotations

import csv
import io
import re
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
}


class Unreadable(ValueError):
    """The file cannot be read on; the message says why, and holds no value."""


class Row(NamedTuple):
    """A row by its first line, from 1: what it holds, or why it cannot be read."""

    line: int
    body: object
    finding: Finding | None = None


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
    for number, line in enumerate(_lines(stream), 1):
        text = line.removeprefix(BOM) if number == 1 else line
        if not text.strip():
            continue
        try:
            yield Row(number, orjson.loads(text))
        except orjson.JSONDecodeError:
            yield _unreadable(number, "invalid-json")


def _read_csv(stream: BinaryIO) -> Iterator[Row]:
    text = io.TextIOWrapper(stream, "utf-8-sig", "surrogateescape", newline="")
    try:
        rows = csv.reader(_lines(text), strict=True)
        yield from _rows(rows, _header(rows))
    finally:
        text.detach()  # else it would close the stream, which is not its own


def _rows(rows: Reader, columns: list[str]) -> Iterator[Row]:
    cells: list[str] | None = []
    while cells is not None:
        line = rows.line_num + 1
        try:
            cells = next(rows, None)
        except csv.Error:
            yield _unreadable(line, "invalid-csv")
            continue
        if cells:
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
            raise Unreadable(f"Column {place} of the header is none of: {', '.join(COLUMNS)}, {METADATA}*.")
    return columns


def _lines(stream: IO[Any]) -> Iterator[Any]:
    while line := stream.readline(MAXIMUM_LINE + 1):
        if len(line) > MAXIMUM_LINE:
            raise Unreadable(f"A line is longer than {MAXIMUM_LINE:,}.")
        yield line


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
