"""From customers to the text files that the SAT's validator takes."""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING

from customer_service.cli.sat.receivers import faults, receiver_of, registrable
from customer_service.cli.transfer import files
from customer_service.cli.transfer.exporting import walk
from customer_service.errors import MalformedDocument
from customer_service.fiscal.rules import SAT_STATUSES
from customer_service.repository.search import UNCHECKED, CustomerQuery

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime
    from pathlib import Path

    from customer_service.cli.sat.receivers import Receiver
    from customer_service.repository import CustomerRepository
    from customer_service.repository.database import Document

FILE_ROWS = 5000
"""The rows that the validator takes in one file."""

NUMBER = "-([2-9]|[1-9][0-9]{1,2})"  # of a file from the second on; `sat-2025.txt` is another file


def queries(checked_before: datetime | None) -> list[CustomerQuery]:
    """Return the queries of the customers that may be due; `_is_due` leaves out those that were checked since."""
    statuses = (UNCHECKED,) if checked_before is None else (UNCHECKED, *SAT_STATUSES)
    return [CustomerQuery(sat_status=status) for status in statuses]


def due(customers: CustomerRepository, checked_before: datetime | None) -> Iterator[Document]:
    """Yield the customers that are unchecked, or were checked before this time if one is given."""
    for query in queries(checked_before):
        for document in walk(customers, query):
            if checked_before is None or _is_due(document, checked_before):
                yield document


def receivers(documents: Iterable[Document], on_skipped: Callable[[str], object]) -> Iterator[Receiver]:
    """Yield what the SAT compares of each customer; notify of those that it cannot be asked about."""
    for document in documents:
        try:
            customer = registrable(document)
        except MalformedDocument as error:
            on_skipped(f"customer {document['_id']}: {error}")
            continue
        if customer is None:
            continue
        reasons = faults(customer)
        if reasons:
            on_skipped(f"customer {document['_id']}: {'; '.join(reasons)}")
        else:
            yield receiver_of(customer)


def following(file: Path) -> list[Path]:
    """Return the files that an earlier export wrote after this one: a shorter export does not replace all of them."""
    name = re.compile(re.escape(file.stem) + NUMBER + re.escape(file.suffix))
    return sorted(each for each in file.parent.glob("*") if name.fullmatch(each.name))


def write(asked: Iterator[Receiver], file: Path) -> Iterator[tuple[Path, int]]:
    """Write as many files as it takes, numbered from the second; yield the path and the length of each."""
    number = 1
    while part := list(islice(asked, FILE_ROWS)):
        path = file if number == 1 else file.with_name(f"{file.stem}-{number}{file.suffix}")
        with files.writing(str(path)) as stream:
            stream.writelines(f"{row}|{'|'.join(each)}\n".encode() for row, each in enumerate(part, 1))
        yield path, len(part)
        number += 1


def _is_due(document: Document, checked_before: datetime) -> bool:
    """Return whether the customer has no answer, or one from before this time; one that cannot be read is due."""
    try:
        return bool(document["satValidation"]["checkedAt"] < checked_before)
    except (KeyError, TypeError):
        return True
