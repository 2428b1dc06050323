"""From the files that the SAT's validator answers to what is stored: each answer by its values, never by its place."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from customer_service.cli.sat.receivers import Receiver, comparable_name, receiver_of, registrable
from customer_service.cli.transfer.files import position
from customer_service.cli.transfer.importing import batches
from customer_service.cli.transfer.rows import Lines, LineTooLong, Unreadable
from customer_service.errors import CustomerNotFound, DocumentRefused, MalformedDocument, VersionMismatch
from customer_service.fiscal import rules
from customer_service.fiscal.characters import CONTROL_CHARACTER, folded
from customer_service.services import sat_validation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from customer_service.cli.sat.legends import Legend
    from customer_service.repository import CustomerBatchRepository
    from customer_service.repository.database import Document

SOURCE = "sat-file"
COLUMNS = "consecutivo|RFC|nombre|CP|leyenda"
MAXIMUM_ROW_LENGTH = 2000
SHOWN = 100
"""How many characters of an unknown legend are printed."""

LINE_TOO_LONG = f"Keep each line within {MAXIMUM_ROW_LENGTH:,} characters: {COLUMNS}."
COLUMN_COUNT = f"Give {COLUMNS.count('|') + 1} cells, as the validator does: {COLUMNS}."
INVALID_RFC = "The second cell is no RFC."
GENERIC_RFC = "A generic RFC is not in the SAT's register."
NO_CUSTOMER = "No customer has this RFC."
CHANGED = (
    "The customer with this RFC has another name or zip now: it changed after the export, or the answer is about "
    "another organization's customer."
)
CONTRADICTED = "Another line of this file answers differently about the same RFC, name and zip; the first one counts."


class SatRow(NamedTuple):
    """A row of an answer: its line, what was compared, and the legend."""

    line: int
    receiver: Receiver
    legend: str


@dataclass(slots=True)
class SatCounts:
    """How many rows were read, and what became of them."""

    rows: int = 0
    stored: int = 0
    unchanged: int = 0
    skipped: int = 0


class SatImporter:
    """Stores the answers of one file."""

    def __init__(
        self,
        customers: CustomerBatchRepository,
        legends: Mapping[str, Legend],
        checked_at: str,
        on_skipped: Callable[[int, str], object],
    ) -> None:
        """Notify of each row that is skipped, by its line, with the reason; raises InvalidRequest for a future time."""
        self._customers, self._on_skipped = customers, on_skipped
        self._answers = {text: answer_of(legend, checked_at) for text, legend in legends.items()}
        self._first: dict[Receiver, Mapping[str, Any]] = {}
        self.counts = SatCounts()

    def run(self, stream: BinaryIO, on_progress: Callable[[int], object]) -> None:
        """Store the answers of a file; raises Unreadable, and DatabaseUnavailable.

        `on_progress` is called with the bytes that were read since the last time.
        """
        done = 0
        for batch in batches(self._rows(stream)):
            found = self._customers.find_by_tax_ids({row.receiver.tax_id for row in batch})
            for row in batch:
                self._store(row, found.get(row.receiver.tax_id, []))
            on_progress(position(stream) - done)
            done = position(stream)
        if not self.counts.rows:
            raise Unreadable("has no row")

    def _rows(self, stream: BinaryIO) -> Iterator[SatRow]:
        for line, text in _lines(stream):
            self.counts.rows += 1
            cells = [cell.strip() for cell in text.split("|")]
            if reason := _fault(text, cells):
                self._skip(line, reason)
            else:
                receiver = Receiver(cells[1].upper(), comparable_name(cells[2]), cells[3])
                yield SatRow(line, receiver, cells[4])

    def _store(self, row: SatRow, documents: Sequence[Document]) -> None:
        answer = self._answers.get(folded(row.legend))
        meant = [document for document in documents if _is_meant(document, row.receiver)]
        if answer is None:
            self._skip(row.line, _unknown(row.legend))
        elif not meant:
            self._skip(row.line, CHANGED if documents else NO_CUSTOMER)
        elif self._first.setdefault(row.receiver, answer) != answer:
            self._skip(row.line, CONTRADICTED)
        else:
            self._store_all(row, meant, answer)

    def _store_all(self, row: SatRow, documents: Sequence[Document], answer: Mapping[str, Any]) -> None:
        """Store the answer with each customer that has these values: another program may have stored twins."""
        try:
            outcomes = {self._store_one(document, row.receiver, answer) for document in documents}
        except (DocumentRefused, MalformedDocument) as error:
            self._skip(row.line, f"The customer with this RFC cannot be written: {error}.")
            return
        if None in outcomes:
            self._skip(row.line, CHANGED)
        elif True in outcomes:
            self.counts.stored += 1
        else:
            self.counts.unchanged += 1

    def _store_one(self, document: Document, receiver: Receiver, answer: Mapping[str, Any]) -> bool | None:
        """Return True if the answer was stored, False if the customer has it or a newer one.

        Return None if its values changed.
        """
        while _is_meant(document, receiver):
            if _is_answered(document, answer):
                return False
            try:
                self._customers.set_sat_validation(document, answer)
            except VersionMismatch:
                document = self._newest(document)
            else:
                return True
        return None

    def _newest(self, document: Document) -> Document:
        """Return the customer as it is now; an empty document if it is deleted."""
        with suppress(CustomerNotFound):
            return self._customers.get(str(document["_id"]))
        return {}

    def _skip(self, line: int, reason: str) -> None:
        self.counts.skipped += 1
        self._on_skipped(line, reason)


def answer_of(legend: Legend, checked_at: str) -> dict[str, Any]:
    """Return the answer of a legend as it is stored; raises InvalidRequest for a time that has not passed."""
    mismatches = {"mismatches": list(legend.mismatches)} if legend.mismatches else {}
    return sat_validation.validate({"status": legend.status, **mismatches, "checkedAt": checked_at, "source": SOURCE})


def _lines(stream: BinaryIO) -> Iterator[tuple[int, str]]:
    """Yield the lines that are not blank, each by its number, without its end; raises Unreadable for no text."""
    lines = Lines(stream)
    line: bytes | None = b""
    while line is not None:
        try:
            line = next(lines, None)
        except LineTooLong:
            yield lines.number, " " * (MAXIMUM_ROW_LENGTH + 1)
            continue
        if b"\0" in (line or b""):
            raise Unreadable(f"Line {lines.number} is no text: give the file that the validator answered.")
        text = _decode(line or b"")
        if text.strip():
            yield lines.number, text


def _decode(line: bytes) -> str:
    """Return the text of a line in UTF-8, else in Windows-1252.

    A wrong guess stores nothing: no customer has such a name.
    """
    try:
        return line.decode("utf-8-sig")
    except UnicodeDecodeError:
        return line.decode("cp1252", "replace")


def _fault(text: str, cells: Sequence[str]) -> str | None:
    """Return why a row is no answer, or None."""
    if len(text) > MAXIMUM_ROW_LENGTH:
        return LINE_TOO_LONG
    if len(cells) != COLUMNS.count("|") + 1:
        return COLUMN_COUNT
    if cells[1].upper() in rules.GENERIC_RFCS:  # of many customers, and none of them could have this answer
        return GENERIC_RFC
    return None if rules.RFC_PATTERN.fullmatch(cells[1].upper()) else INVALID_RFC


def _unknown(legend: str) -> str:
    shown = CONTROL_CHARACTER.sub("?", legend[:SHOWN])
    return f'The legend is not known: "{shown}". If you know what it means, add --legend "{shown}=STATUS".'


def _is_meant(document: Document, receiver: Receiver) -> bool:
    """Return whether the SAT's answer about the receiver is about this customer as it is."""
    with suppress(MalformedDocument):
        customer = registrable(document) if document else None
        return customer is not None and receiver_of(customer) == receiver
    return False


def _is_answered(document: Document, answer: Mapping[str, Any]) -> bool:
    """Return whether the customer has this answer, or a newer one."""
    stored = document.get("satValidation")
    return stored is not None and (stored == answer or stored["checkedAt"] > answer["checkedAt"])
