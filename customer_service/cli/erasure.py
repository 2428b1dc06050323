"""The command that erases the blocked customers whose retention is over."""

from __future__ import annotations

import sys
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from customer_service.cli.console import EXIT_FAILURE, advancing, open_database, progress_bar
from customer_service.errors import CustomerNotFound, MalformedDocument
from customer_service.fiscal.retention import last_unretained
from customer_service.repository import ErasureRepository, Writer
from customer_service.repository.erasures import find_due, find_reduced_since
from customer_service.services import erasure

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pymongo.database import Database

    from customer_service.repository.database import Document
    from customer_service.repository.erasures import CustomerKey

WRITER = Writer("cli:erase-due", None)
CHECKED_AGAIN = timedelta(days=2)
"""Erasures that are not older have their traces removed again: a writer that was killed may have left a copy."""


@click.command("erase-due")
@click.option("--dry-run", is_flag=True, help="Print how many are due, and erase none.")
def erase_due(*, dry_run: bool) -> None:
    """Erase the blocked customers of all organizations whose retention is over and that are not held. Run it daily.

    It also removes again what a killed process may have left of the customers that were blocked or erased in the last
    two days. It prints counts and no names.

    \b
    Examples:
      customer-service erase-due --dry-run
      MONGODB_URI=mongodb://localhost:27017 customer-service erase-due
    """
    database, now = open_database(), datetime.now(UTC)
    due = find_due(database, last_unretained(now))
    if dry_run:
        click.echo(f"due {len(due)}")
        return
    recent = find_reduced_since(database, now - CHECKED_AGAIN)
    with progress_bar("erasing", lambda: len(due) + len(recent)) as bar:
        erased = sum(_is_erased(database, each) for each in advancing(due, bar, 1))
        _remove_traces(database, advancing(recent, bar, 1))
    click.echo(f"due {len(due)}  erased {erased}")
    if erased < len(due):
        sys.exit(EXIT_FAILURE)


def _is_erased(database: Database[Document], key: CustomerKey) -> bool:
    """Erase the customer; return whether it is erased now: it may be held since it was found, or be malformed."""
    with suppress(MalformedDocument, CustomerNotFound):
        return erasure.is_erased(erasure.erase(_customers(database, key), key.customer_id))
    return False


def _remove_traces(database: Database[Document], keys: Iterable[CustomerKey]) -> None:
    for key in keys:
        customers = _customers(database, key)
        with suppress(CustomerNotFound):
            customers.remove_traces(customers.get_any(key.customer_id))


def _customers(database: Database[Document], key: CustomerKey) -> ErasureRepository:
    return ErasureRepository(database, key.scope, WRITER)
