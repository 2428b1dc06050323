"""From rows to customers: some hundred at a time, each judged as the API would, the good ones kept."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from customer_service import fiscal
from customer_service.database import deadline
from customer_service.errors import CustomerServiceError, Duplicate, DuplicateTaxId, Finding, InvalidRequest
from customer_service.inputs import CONTROL_CHARACTER, MESSAGES
from customer_service.problems import PROBLEMS
from customer_service.repository.customers import COLLISIONS
from customer_service.transfer.formats import Unreadable
from customer_service.transfer.seen import Seen
from customer_service.upserts import keyed, put_many

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from customer_service.repository import CustomerBatchRepository
    from customer_service.transfer.checkpoint import Tally
    from customer_service.transfer.formats import Row
    from customer_service.upserts import Keyed, Outcome

BATCH = 500
BATCH_SECONDS = 60.0
"""How long one batch may take in the database: more than a request may, for it stores more."""

KEYS = tuple(COLLISIONS)


class Importer:
    """Imports the rows of one file."""

    def __init__(
        self,
        customers: CustomerBatchRepository,
        tally: Tally,
        tell: Callable[[str], object],
        on_batch: Callable[[], object],
    ) -> None:
        """Add to the tally, tell of each row that is refused, and say when a batch is stored and in the tally."""
        self._customers, self._tally, self._tell, self._on_batch = customers, tally, tell, on_batch
        self._seen = Seen()

    def run(self, rows: Iterator[Row]) -> None:
        """Store the rows behind those that the tally has; raises DatabaseUnavailable and Unreadable."""
        for row in islice(rows, self._tally.rows):
            self._is_repeated(row.body)
        for batch in _batches(rows):
            self._store(batch)

    def _store(self, batch: list[Row]) -> None:
        with deadline(BATCH_SECONDS):
            outcomes = put_many(self._customers, batch, self._judge)
        for row, outcome in zip(batch, outcomes, strict=True):
            self._count(row, outcome)
        self._on_batch()

    def _judge(self, row: Row) -> Keyed:
        if row.finding:
            raise InvalidRequest([row.finding])
        if path := self._is_repeated(row.body):
            raise InvalidRequest([Finding(path, "repeated", MESSAGES["repeated"])])
        return keyed(row.body, KEYS)

    def _is_repeated(self, body: object) -> str | None:
        """Return the path of a key that an earlier row has, if any, and remember the row's own, right or wrong."""
        keys = fiscal.unique_keys(body) if isinstance(body, dict) else {}
        paths = [f"/{name}" for name, value in keys.items() if self._seen.add(f"{name} {value}")]
        return paths[0] if paths else None

    def _count(self, row: Row, outcome: Outcome) -> None:
        self._tally.rows += 1
        if not isinstance(outcome, CustomerServiceError):
            setattr(self._tally, outcome.status, getattr(self._tally, outcome.status) + 1)
            return
        self._tally.failed += 1
        for complaint in complaints(outcome):
            self._tell(f"line {row.line}: {complaint}")


def _batches(rows: Iterator[Row]) -> Iterator[list[Row]]:
    """Yield the rows, some hundred at a time; those before a place that cannot be read come before the error."""
    batch: list[Row] = []
    unreadable: Unreadable | None = None
    try:
        for row in rows:
            batch.append(row)
            if len(batch) == BATCH:
                yield batch
                batch = []
    except Unreadable as error:
        unreadable = error
    if batch:
        yield batch
    if unreadable:
        raise unreadable


def complaints(error: CustomerServiceError) -> Iterator[str]:
    """Yield what to tell of an error: where, its code, and what to do; never a value."""
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
