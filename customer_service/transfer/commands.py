"""The commands `customer-service import` and `customer-service export`."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from customer_service.repository import CustomerBatchRepository
from customer_service.settings import MongoSettings
from customer_service.terminal import EXIT_FAILURE, EXIT_INTERRUPTED, complain, members_of, open_database
from customer_service.transfer import files, formats
from customer_service.transfer.checkpoint import Checkpoint, Tally
from customer_service.transfer.exporting import EVERYBODY, PAGE, exported, metadata_names
from customer_service.transfer.files import STANDARD
from customer_service.transfer.importing import Importer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from contextlib import AbstractContextManager

    from customer_service.transfer.files import Format

CLEAR_LINE = "\r\033[K"  # of a terminal, with a progress bar in it
FORMAT = click.option(
    "--format",
    "form",
    type=click.Choice(sorted(set(files.FORMATS.values()))),
    help="Where the name of FILE does not end in .ndjson, .jsonl or .csv, each with .gz or without.",
)


@click.command("import")
@click.argument("organization")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@FORMAT
def import_customers(organization: str, file: str, form: Format | None) -> None:
    """Create or replace the customers of ORGANIZATION that FILE holds, or the standard input for `-`.

    Each row is a whole customer. It takes the place of the one with its externalId, or where it has none, with its
    taxId. A row that is refused is told with its line; the others are kept. An import that was cut off goes on where
    it stopped when it is run again, and one that is repeated changes nothing.

    \b
    Examples:
      customer-service import ORGANIZATION customers.csv
      zcat customers.ndjson.gz | customer-service import ORGANIZATION - --format ndjson
    """
    form = _format(file, form)
    customers = _customers(organization)
    settings = MongoSettings.from_environment()
    target = (settings.uri, settings.database, organization, form)
    checkpoint = None if file == STANDARD else Checkpoint(Path(file), *target)
    tally = checkpoint.load() if checkpoint else Tally()
    if tally.rows:
        click.echo(f"going on behind {tally.rows} rows that were done before", err=True)
    try:
        _import(file, form, customers, tally, checkpoint)
    except KeyboardInterrupt:
        sys.exit(complain(_how_to_resume(tally, checkpoint), EXIT_INTERRUPTED))
    except (formats.Unreadable, OSError) as error:
        sys.exit(complain(f"{file}: {error}", EXIT_FAILURE))
    if checkpoint:
        checkpoint.remove()
    click.echo("  ".join(f"{name} {count}" for name, count in asdict(tally).items()), err=True)
    if tally.failed:
        sys.exit(EXIT_FAILURE)


@click.command("export")
@click.argument("organization")
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True), default=STANDARD)
@FORMAT
def export_customers(organization: str, file: str, form: Format | None) -> None:
    """Write the customers of ORGANIZATION to FILE, or to the standard output, so that `import` can read them.

    \b
    Examples:
      customer-service export ORGANIZATION customers.csv.gz
      customer-service export ORGANIZATION | wc -l
    """
    form = form or ("ndjson" if file == STANDARD else _format(file, None))
    customers = _customers(organization)
    unreadable: list[str] = []
    names = metadata_names(customers) if form == "csv" else []
    try:
        with files.writing(file) as stream, _bar(file, "exporting", lambda: customers.count(EVERYBODY)) as bar:
            formats.write(_shown(exported(customers, unreadable.append), bar), stream, form, names)
    except BrokenPipeError:
        raise
    except OSError as error:
        sys.exit(complain(f"{file}: {error.strerror}", EXIT_FAILURE))
    for each in unreadable:
        click.echo(each, err=True)
    if unreadable:
        sys.exit(EXIT_FAILURE)


def _import(
    file: str, form: Format, customers: CustomerBatchRepository, tally: Tally, checkpoint: Checkpoint | None
) -> None:
    def length() -> int:
        return Path(file).stat().st_size

    with files.reading(file) as (stream, raw), _bar(file, "importing", length) as bar:

        def on_batch() -> None:
            if checkpoint:
                checkpoint.save(tally)
            if bar:
                bar.update(raw.tell() - bar.pos)

        def tell(complaint: str) -> None:
            click.echo(f"{CLEAR_LINE if bar else ''}{complaint}", err=True)

        Importer(customers, tally, tell, on_batch).run(formats.read(stream, form))


def _how_to_resume(tally: Tally, checkpoint: Checkpoint | None) -> str:
    if checkpoint is None:
        return "interrupted; import it again from the beginning: nothing is stored twice"
    return f"interrupted after row {tally.rows}; run the same command again to continue there"


def _bar(file: str, label: str, length: Callable[[], int]) -> AbstractContextManager[Any]:
    """Return a progress bar on a terminal's standard error, for all but the standard input and output."""
    if file == STANDARD or not _is_terminal():
        return nullcontext()
    return click.progressbar(length=length(), label=label, file=sys.stderr)


def _shown(customers: Iterable[dict[str, Any]], bar: Any) -> Iterator[dict[str, Any]]:
    """Yield the customers, and let the bar tell of every page of them."""
    for number, customer in enumerate(customers, 1):
        yield customer
        if bar and number % PAGE == 0:
            bar.update(PAGE)


def _is_terminal() -> bool:
    return sys.stderr.isatty()


def _customers(organization: str) -> CustomerBatchRepository:
    database = open_database()
    return CustomerBatchRepository(database, members_of(database, organization)[0].scope)


def _format(file: str, given: Format | None) -> Format:
    form = given or files.format_of(file)
    if form is None:
        raise click.UsageError("Say --format: the name of FILE does not.")
    return form
