"""A CSV as spreadsheets save it: the separator and the columns are found in the header."""

from __future__ import annotations

import csv
import io
import re
from contextlib import contextmanager, suppress
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from customer_service.cli.transfer import cells, columns
from customer_service.cli.transfer.columns import REASON
from customer_service.cli.transfer.encodings import UTF_8, WINDOWS_1252, decoding, is_utf_8
from customer_service.cli.transfer.rows import MAXIMUM_LINE, Lines, LineTooLong, Row, Unreadable, unreadable
from customer_service.fiscal.characters import CONTROL_CHARACTER

if TYPE_CHECKING:
    from _csv import Reader
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from customer_service.cli.transfer.encodings import LineDecoder

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
SEPARATOR_LINE = re.compile(r'"?sep=([,;\t])"?[,;\t]*[\r\n]*', re.IGNORECASE)
"""The line before the header that names the separator; some spreadsheets write it."""

BLANK = " \t\r\n,;"
ASCII_BEFORE = "the lines before have only ASCII, which is the same in both"


class Layout(NamedTuple):
    """How a CSV is laid out: its separator, and the name and the field of each column, None for one without a name."""

    separator: str
    names: Sequence[str]
    fields: Sequence[str | None]

    @property
    def header(self) -> list[str]:
        """Return the names of the columns that are read."""
        return [name for name, field in zip(self.names, self.fields, strict=True) if field not in {None, REASON}]

    def assumed(self, encoding: str | None) -> str | None:
        """Return what was assumed of the file, or None if it is written as an export is."""
        fields = [field for field in self.fields if field]
        if encoding in {None, UTF_8} and self.separator == "," and fields == self.names:
            return None
        shown = CONTROL_CHARACTER.sub("?", ", ".join(field for field in fields if field != REASON))
        ignored = f"; {REASON} is ignored" if REASON in fields else ""
        return f"read as {encoding or UTF_8}, separated by {SEPARATORS[self.separator]}: {shown}{ignored}"


class Sheet:
    """The rows of a CSV."""

    def __init__(
        self, lines: Lines, decoder: LineDecoder, given: Mapping[str, str], notify: Callable[[str], object]
    ) -> None:
        """Read the header; raises Unreadable. `given` has fields by the keys of their columns."""
        self._lines, self._decoder, self._notify = lines, decoder, notify
        self._text: Iterator[str] = map(decoder, lines)
        self.layout = _layout(self._text, given)

    def rows(self) -> Iterator[Row]:
        """Yield the rows that are not blank.

        Notify of what was assumed: before the first row, or at the row that shows the encoding.
        """
        known: str | None = None
        for place, row in enumerate(self._read()):
            encoding = self._decoder.encoding
            if place == 0:
                self._report(self.layout.assumed(encoding))
            elif encoding != known and encoding == WINDOWS_1252:
                self._report(f"from line {row.line} read as {WINDOWS_1252}; {ASCII_BEFORE}")
            known = encoding
            yield row

    def _report(self, assumption: str | None) -> None:
        if assumption:
            self._notify(assumption)

    def _read(self) -> Iterator[Row]:
        rows: Reader = csv.reader(self._text, delimiter=self.layout.separator, strict=True)
        row: list[str] | None = []
        while row is not None:
            line = self._lines.number + 1
            try:
                row = next(rows, None)
            except csv.Error as error:
                yield from self._unread(line, error)
                continue
            if row and (read := self._row(line, row)):
                yield read

    def _unread(self, first: int, error: csv.Error) -> Iterator[Row]:
        """Yield a row for each line of a row that cannot be read: an unclosed quote swallows the lines after it."""
        yield unreadable(first, "line-too-long" if isinstance(error, LineTooLong) else "invalid-csv")
        for line in range(first + 1, self._lines.number + 1):
            yield unreadable(line, "unclosed-quote")

    def _row(self, line: int, row: Sequence[str]) -> Row | None:
        """Return the row of these cells, or None if all are empty."""
        known = zip_longest(self.layout.fields, map(cells.trimmed, row))
        pairs = [(field, cell or "") for field, cell in known if field != REASON]
        if not any(cell for _, cell in pairs):
            return None
        if any(cell for field, cell in pairs if field is None):
            return unreadable(line, "column-count")
        if not is_utf_8("".join(row)):
            return unreadable(line, "invalid-encoding")
        content = {field: cell for field, cell in pairs if field}
        return Row(line, _body(content), cells.findings(content), tuple(content.values()))


@contextmanager
def reading(stream: BinaryIO, given: Mapping[str, str], notify: Callable[[str], object]) -> Iterator[Sheet]:
    """Yield the sheet of a stream, which stays open; raises Unreadable."""
    with decoding(stream) as (text, decoder):
        yield Sheet(Lines(text), decoder, given, notify)


def _layout(lines: Iterator[str], given: Mapping[str, str]) -> Layout:
    try:
        text = _header(lines)
        named = SEPARATOR_LINE.fullmatch(text)
        headers = _split(_header(lines), named[1]) if named else _split(text, "".join(SEPARATORS))
    except csv.Error:
        headers = {}
    if not headers:
        raise Unreadable("The header is not a line of a CSV.")
    separator = max(headers, key=lambda each: sum(columns.is_known(name, given) for name in headers[each]))
    if not is_utf_8("".join(headers[separator])):
        raise Unreadable('The header is in another encoding: save the file as "CSV UTF-8".')
    return Layout(separator, headers[separator], columns.fields_of(headers[separator], given))


def _header(lines: Iterator[str]) -> str:
    """Return the lines of the first row that is not blank; raises csv.Error for one that does not end."""
    text, quotes = io.StringIO(), 0
    for line in lines:
        if text.tell() or line.strip(BLANK):
            quotes += line.count('"')
            text.write(line)
        if text.tell() > MAXIMUM_LINE:
            raise LineTooLong
        if text.tell() and quotes % 2 == 0:
            break
    return text.getvalue()


def _split(text: str, separators: str) -> dict[str, list[str]]:
    """Return the cells of a header by each of these separators that it can be split by."""
    headers = {}
    for separator in separators:
        with suppress(csv.Error):
            headers[separator] = next(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True), [])
    return headers


def _body(content: Mapping[str, str]) -> dict[str, Any]:
    body: dict[str, Any] = {"address": {}}
    for column, cell in content.items():
        part, dot, name = column.partition(".")
        if cell:
            (body.setdefault(part, {}) if dot else body)[name or column] = cells.text_of(column, cell)
    return body
