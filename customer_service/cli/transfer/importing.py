"""The rows of an import: validated as the API would, some hundred at a time; the valid ones are stored."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from customer_service.cli.transfer.fingerprints import FingerprintSet
from customer_service.cli.transfer.rows import Unreadable
from customer_service.errors import CustomerServiceError, Duplicate, DuplicateTaxId, InvalidRequest
from customer_service.errors.findings import Finding
from customer_service.fiscal import rules
from customer_service.fiscal.characters import CONTROL_CHARACTER
from customer_service.repository.customers import DUPLICATE_ERRORS
from customer_service.repository.database import deadline
from customer_service.services import validation
from customer_service.services.upserts import to_upsert, validate_many
from customer_service.web.problems import PROBLEMS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future

    from customer_service.cli.transfer.checkpoint import ImportCounts
    from customer_service.cli.transfer.rows import Row
    from customer_service.services.upserts import Outcome, Upsert, UpsertBatch

    Refused = tuple[Row, list[str]]

T = TypeVar("T")
IMPORT_BATCH_LENGTH = 500
IMPORT_BATCH_SECONDS = 60.0
"""The deadline of one batch in the database: longer than that of a request, since it stores more."""

KEYS = tuple(DUPLICATE_ERRORS)
PATIENCE_SECONDS = 2.0  # how long an interrupted import waits for its last batch before it says so
LAST_BATCH = f"storing the last batch; this takes at most {IMPORT_BATCH_SECONDS:.0f} seconds"


class Importer:
    """Imports the rows of one file."""

    def __init__(
        self,
        upsert: UpsertBatch,
        counts: ImportCounts,
        save: Callable[[Sequence[Refused]], object],
        print_line: Callable[[str], object],
    ) -> None:
        """Upsert with this function; `save` the counts after each batch, with its refused rows."""
        self._upsert, self._counts, self._save, self._print_line = upsert, counts, save, print_line
        self._fingerprints = FingerprintSet()
        self._storing: tuple[list[Row], Future[list[Outcome]]] | None = None

    def run(self, rows: Iterator[Row]) -> None:
        """Store the rows after those that are counted already; raises DatabaseUnavailable and Unreadable.

        A thread stores a batch while the next one is validated: both take about as long. So a batch is counted, or its
        error raised, when the next one has been read.
        """
        for row in islice(rows, self._counts.rows):
            self._repeated(row.body)
        with ThreadPoolExecutor(1) as thread:
            try:
                self._run(rows, thread)
            except KeyboardInterrupt:
                if self._storing is not None and wait([self._storing[1]], PATIENCE_SECONDS).not_done:
                    self._print_line(LAST_BATCH)
                self._count_stored()
                raise

    def _run(self, rows: Iterator[Row], thread: ThreadPoolExecutor) -> None:
        try:
            for batch in batches(map(self._validated, rows)):
                self._count_stored()
                self._storing = [row for row, _ in batch], thread.submit(self._store, [each for _, each in batch])
        except Unreadable:
            self._count_stored()
            raise
        self._count_stored()

    def _count_stored(self) -> None:
        """Wait for the batch that is being stored, print its refused rows, and count and save it as a whole.

        If Ctrl-C interrupts the first two, it is called again.
        """
        if self._storing is None:
            return
        batch, storing = self._storing
        outcomes = storing.result()
        refused = [
            (row, list(reasons_of(outcome)))
            for row, outcome in zip(batch, outcomes, strict=True)
            if isinstance(outcome, CustomerServiceError)
        ]
        for row, reasons in refused:
            for reason in reasons:
                self._print_line(f"line {row.line}: {reason}")
        with uninterrupted():
            self._storing = None
            for outcome in outcomes:
                self._count(outcome)
            self._save(refused)

    def _store(self, validated: Sequence[Upsert | InvalidRequest]) -> list[Outcome]:
        with deadline(IMPORT_BATCH_SECONDS):
            return self._upsert(validated)

    def _validated(self, row: Row) -> tuple[Row, Upsert | InvalidRequest]:
        """Return the row without its body, which may be large and is no longer needed, and its upsert or its error."""
        (validated,) = validate_many([row], self._validate)
        return row._replace(body=None), validated

    def _validate(self, row: Row) -> Upsert:
        return to_upsert(row.body, KEYS, partial(self._errors_of, row))

    def _errors_of(self, row: Row, body: object) -> list[Finding]:
        """Return everything that is wrong with a row: a finding about the cell replaces one about the value."""
        found = {finding.path for finding in row.findings}
        errors = [error for error in validation.errors_of(body) if error.path not in found]
        return [*row.findings, *errors, *self._repeated(body)]

    def _repeated(self, body: object) -> list[Finding]:
        """Return a finding if an earlier row has a key of this row, and add the row's keys, valid or not."""
        keys = rules.unique_keys(body) if isinstance(body, dict) else {}
        repeated = [f"/{name}" for name, value in keys.items() if self._fingerprints.add(f"{name} {value}")]
        return [Finding.of_shape(path, "repeated") for path in repeated[:1]]

    def _count(self, outcome: Outcome) -> None:
        name = "failed" if isinstance(outcome, CustomerServiceError) else outcome.status
        setattr(self._counts, name, getattr(self._counts, name) + 1)
        self._counts.rows += 1


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Let Ctrl-C wait until the end of the block, which then raises KeyboardInterrupt."""
    pressed: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: pressed.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if pressed:
        raise KeyboardInterrupt


def batches(rows: Iterator[T]) -> Iterator[list[T]]:
    """Yield the rows, some hundred at a time; the rows before an unreadable place come before the error."""
    batch: list[T] = []
    unreadable: Unreadable | None = None
    try:
        for row in rows:
            batch.append(row)
            if len(batch) == IMPORT_BATCH_LENGTH:
                yield batch
                batch = []
    except Unreadable as error:
        unreadable = error
    if batch:
        yield batch
    if unreadable:
        raise unreadable


def reasons_of(error: CustomerServiceError) -> Iterator[str]:
    """Yield the lines for an error: the path, the code, and what to do; never a value."""
    if isinstance(error, InvalidRequest):
        findings: Any = error.members["errors"]
        for each in findings:
            yield f"{CONTROL_CHARACTER.sub('?', each['path']) or '/'} {each['code']} {each['message']}"
        return
    path, reason = "/", str(error)
    if isinstance(error, Duplicate):
        path = "/taxId" if isinstance(error, DuplicateTaxId) else "/externalId"
        reason = f"Customer {error.customer_id} has it."
    yield f"{path} {PROBLEMS[type(error)].slug} {reason}"
