"""What the commands share: the database of their settings, their exit codes, and how they complain."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from customer_service.database import connect
from customer_service.settings import MongoSettings

if TYPE_CHECKING:
    from pymongo.database import Database

    from customer_service.database import Document

EXIT_FAILURE = 1
EXIT_USAGE = 2


def open_database() -> Database[Document]:
    """Return the database of the settings, to be closed when the command ends; raises SettingsError."""
    database = connect(MongoSettings.from_environment())
    click.get_current_context().call_on_close(database.client.close)
    return database


def complain(message: str, code: int) -> int:
    """Say on standard error what is wrong, and return the code to exit with."""
    click.echo(f"customer-service: {message}", err=True)
    return code
