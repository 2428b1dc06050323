"""What the commands share: the database of the settings, the exit codes, and how a command ends."""

from __future__ import annotations

import os
import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, TypeVar

import click

from customer_service.cli.transfer.encodings import is_utf_8
from customer_service.repository import CustomerBatchRepository, MembershipRepository, Writer
from customer_service.repository.database import connect
from customer_service.settings import MongoSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from contextlib import AbstractContextManager

    from pymongo.database import Database

    from customer_service.repository.database import Document
    from customer_service.repository.memberships import Membership

T = TypeVar("T")
CLEAR_LINE = "\r\033[K"  # of a terminal, with a progress bar in it
EXIT_FAILURE = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130  # 128 and SIGINT, as a shell reports it
EXIT_CLOSED_PIPE = 141  # 128 and SIGPIPE


class Commands(click.Group):
    """A group of commands that end as a shell expects: quietly on a closed pipe, in one line on Ctrl-C."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command of the context."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            sys.exit(print_error("interrupted; run the same command again", EXIT_INTERRUPTED))
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python fails once more when it ends
            sys.exit(EXIT_CLOSED_PIPE)


def _in_utf_8(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    """Return the argument, if its bytes are UTF-8: no stored name has others."""
    if not is_utf_8(value):
        raise click.BadParameter("is not in UTF-8")
    return value


ORGANIZATION = click.argument("organization", callback=_in_utf_8)
USER = click.argument("user", callback=_in_utf_8)


def open_database() -> Database[Document]:
    """Return the database of the settings, to be closed when the command ends; raises SettingsError."""
    database = connect(MongoSettings.from_environment())
    click.get_current_context().call_on_close(database.client.close)
    return database


def members_of(database: Database[Document], organization: str) -> list[Membership]:
    """Return the organization's members; raises click.BadParameter if it has none.

    Its name is probably misspelt then.
    """
    members = MembershipRepository(database).all_of(organization)
    if not members:
        raise click.BadParameter("has no members; `customer-service members add` makes one", param_hint="ORGANIZATION")
    return members


def customers_of(organization: str) -> CustomerBatchRepository:
    """Return the customers of an organization, which has members; the current command is their writer."""
    database = open_database()
    return CustomerBatchRepository(database, members_of(database, organization)[0].scope, Writer(_command_name(), None))


def _command_name() -> str:
    """Return the name of the current command as a writer, such as `cli:sat-import`."""
    _, *names = click.get_current_context().command_path.split()
    return f"cli:{'-'.join(names)}"


def progress_bar(label: str, length: Callable[[], int]) -> AbstractContextManager[Any]:
    """Return a progress bar on a terminal's standard error, or a context of None."""
    if not is_terminal():
        return nullcontext()
    return click.progressbar(length=length(), label=label, file=sys.stderr)


def advancing(items: Iterable[T], bar: Any, step: int) -> Iterator[T]:
    """Yield the items, and advance the progress bar, if there is one, behind so many of them."""
    for number, item in enumerate(items, 1):
        yield item
        if bar and number % step == 0:
            bar.update(step)


def is_terminal() -> bool:
    """Return whether a person sees the standard error."""
    return sys.stderr.isatty()


def print_line(text: str, bar: Any) -> None:
    """Print a line on standard error, over the progress bar if there is one."""
    click.echo(f"{CLEAR_LINE if bar else ''}{text}", err=True)


def print_error(message: str, code: int) -> int:
    """Print the error on standard error; return the exit code."""
    click.echo(f"customer-service: {message}", err=True)
    return code
