"""The formats of files, by their names: JSON, one customer on each line, or the cells of a CSV."""

from __future__ import annotations

import codecs
import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

import orjson

from customer_service.cli.transfer import cells
from customer_service.cli.transfer.columns import COLUMNS, METADATA
from customer_service.cli.transfer.rows import Lines, LineTooLong, Row, unreadable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


Format = Literal["ndjson", "csv"]
FORMATS: dict[str, Format] = {".ndjson": "ndjson", ".jsonl": "ndjson", ".csv": "csv"}
"""The formats by the end of a file's name, before any `.gz`."""

GZIP = ".gz"


class NewMetadata(Exception):
    """A customer got a metadata name after the columns of the CSV were chosen."""

    def __init__(self) -> None:
        """Say what to do."""
        super().__init__("a customer got a new metadata name during the export: export again")


def format_of(name: str) -> Format | None:
    """Return the format of a file by its name, or None."""
    return FORMATS.get(Path(name.lower().removesuffix(GZIP)).suffix)


def write(customers: Iterable[dict[str, Any]], stream: BinaryIO, form: Format, metadata: Sequence[str]) -> None:
    """Write the customers; a CSV has a column for each of these names of their metadata. Raises NewMetadata."""
    if form == "ndjson":
        stream.writelines(orjson.dumps(customer, option=orjson.OPT_APPEND_NEWLINE) for customer in customers)
        return
    columns = (*COLUMNS, *(METADATA + name for name in metadata))
    text = io.TextIOWrapper(stream, "utf-8-sig", newline="")  # a spreadsheet needs the mark
    rows = csv.writer(text)
    rows.writerow(columns)
    known = set(metadata)
    for customer in customers:
        if not customer.get("metadata", {}).keys() <= known:
            raise NewMetadata
        flat = _flat(customer)
        rows.writerow([cells.cell_of(column, flat.get(column)) for column in columns])
    text.detach()


def read_ndjson(stream: BinaryIO) -> Iterator[Row]:
    """Yield the rows that are not blank; raises Unreadable."""
    lines = Lines(stream)
    line: bytes | None = b""
    while line is not None:
        try:
            line = next(lines, None)
        except LineTooLong:
            yield unreadable(lines.number, "line-too-long")
            continue
        text = (line or b"").removeprefix(codecs.BOM_UTF8 if lines.number == 1 else b"")
        if text.strip():
            yield _parsed(lines.number, text)


def _parsed(line: int, text: bytes) -> Row:
    try:
        return Row(line, orjson.loads(text))
    except orjson.JSONDecodeError:
        return unreadable(line, "invalid-json")


def _flat(customer: dict[str, Any]) -> dict[str, str | None]:
    parts = ((part, customer.get(part, {})) for part in ("address", "metadata"))
    return customer | {f"{part}.{name}": text for part, texts in parts for name, text in texts.items()}
