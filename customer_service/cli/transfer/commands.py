"""The commands `customer-service import` and `customer-service export`."""

from __future__ import annotations

import sys
from contextlib import ExitStack, nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from customer_service.cli.console import (
    EXIT_FAILURE,
    EXIT_INTERRUPTED,
    ORGANIZATION,
    advancing,
    customers_of,
    print_error,
    print_line,
    progress_bar,
)
from customer_service.cli.transfer import files, formats, sheets
from customer_service.cli.transfer.checkpoint import Checkpoint, ImportCounts
from customer_service.cli.transfer.columns import KNOWN, REASON, column_key, field_of
from customer_service.cli.transfer.encodings import is_utf_8
from customer_service.cli.transfer.exporting import ALL_CUSTOMERS, EXPORT_PAGE_LENGTH, exported, metadata_names
from customer_service.cli.transfer.files import STANDARD
from customer_service.cli.transfer.importing import Importer
from customer_service.cli.transfer.rejects import Rejects
from customer_service.cli.transfer.rows import Unreadable
from customer_service.services.upserts import preview_many, upsert_many
from customer_service.settings import MongoSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from customer_service.cli.transfer.formats import Format
    from customer_service.cli.transfer.importing import Refused
    from customer_service.cli.transfer.sheets import Layout
    from customer_service.services.upserts import UpsertBatch

NO_POSITION = (
    "{file}: the position of the import cannot be saved beside it ({reason}); copy the file into a directory that you "
    "can write, or pipe it: customer-service import ORGANIZATION - --format FORMAT < FILE"
)
FORMAT = click.option(
    "--format",
    "form",
    type=click.Choice(sorted(set(formats.FORMATS.values()))),
    help="The format, if FILE does not end in .ndjson, .jsonl or .csv, with or without .gz.",
)


def _fields(_context: click.Context, _parameter: click.Parameter, values: Sequence[str]) -> dict[str, str]:
    """Return the fields of `--column` by the keys of their columns."""
    given: dict[str, str] = {}
    for value in values:
        if not is_utf_8(value):
            raise click.BadParameter("one of the values is not in UTF-8")
        name, _, field = value.rpartition("=")
        if not column_key(name) or column_key(name) in given or (known := field_of(field)) in {None, REASON}:
            raise click.BadParameter(f'{value}: write it as "My header=taxId", each once; the fields are {KNOWN}')
        given[column_key(name)] = known
    return given


@click.command("import")
@ORGANIZATION
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@FORMAT
@click.option(
    "--column",
    "fields",
    multiple=True,
    callback=_fields,
    metavar="HEADER=FIELD",
    help="The field of a CSV column whose name is your own. Repeat the option for each.",
)
@click.option(
    "--rejects",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A new CSV for the refused rows of a CSV, with a column of reasons. Correct it, and import it.",
)
@click.option("--dry-run", is_flag=True, help="Print what the import would do, and store nothing.")
def import_customers(  # noqa: PLR0913 - click passes each option
    organization: str, file: str, form: Format | None, fields: dict[str, str], rejects: Path | None, *, dry_run: bool
) -> None:
    """Create or replace the customers of ORGANIZATION that FILE holds, or the standard input for `-`.

    Each row is a whole customer. It replaces the customer with its externalId, or, if it has none, with its taxId. A
    refused row is printed with its line number; the others are stored. Run an interrupted import again to continue
    it. An import that is repeated changes nothing.

    A CSV may have the separator and the encoding of your spreadsheet, and column names in Spanish.

    \b
    Examples:
      customer-service import ORGANIZATION customers.csv --dry-run
      customer-service import ORGANIZATION customers.csv
      customer-service import ORGANIZATION customers.csv --column "Cliente=legalName" --rejects rejects.csv
      zcat customers.ndjson.gz | customer-service import ORGANIZATION - --format ndjson
    """
    form = _format(file, form)
    if form != "csv" and (fields or rejects):
        raise click.UsageError("--column and --rejects are for a CSV.")
    if dry_run and rejects:
        raise click.UsageError("--rejects is not for --dry-run: it is a new file for what was not stored.")
    if rejects and rejects.suffix != ".csv":
        raise click.BadParameter("must end in .csv", param_hint="--rejects")
    customers = customers_of(organization)
    settings = MongoSettings.from_environment()
    target, options = (settings.uri, settings.database, organization), (form, repr(fields), str(rejects))
    checkpoint = None if dry_run or file == STANDARD else Checkpoint(Path(file), target, *options)
    before = checkpoint.load() if checkpoint else None
    upsert = partial(preview_many if dry_run else upsert_many, customers)
    run = _Run(file, before or ImportCounts(), checkpoint, rejects, before is not None, dry_run)
    if run.counts.rows:
        click.echo(f"continuing after row {run.counts.rows}", err=True)
    if checkpoint:
        _require_writable(checkpoint, file)
    try:
        run.store(form, upsert, fields)
    except KeyboardInterrupt:
        sys.exit(print_error(run.how_to_resume(), EXIT_INTERRUPTED))
    except (Unreadable, OSError) as error:
        sys.exit(print_error(f"{file}: {error}", EXIT_FAILURE))
    if checkpoint:
        checkpoint.remove()
    counts = "  ".join(f"{name} {count}" for name, count in asdict(run.counts).items())
    click.echo(f"dry run, nothing is stored:  {counts}" if dry_run else counts, err=True)
    if run.counts.failed:
        sys.exit(EXIT_FAILURE)


def _require_writable(checkpoint: Checkpoint, file: str) -> None:
    """Exit if the position of the import cannot be saved, before anything is stored."""
    try:
        checkpoint.require_writable()
    except OSError as error:
        sys.exit(print_error(NO_POSITION.format(file=file, reason=error.strerror), EXIT_FAILURE))


@click.command("export")
@ORGANIZATION
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
    customers = customers_of(organization)
    unreadable: list[str] = []
    names = metadata_names(customers) if form == "csv" else []
    try:
        with files.writing(file) as stream, _bar(file, "exporting", lambda: customers.count(ALL_CUSTOMERS)) as bar:
            formats.write(
                advancing(exported(customers, unreadable.append), bar, EXPORT_PAGE_LENGTH), stream, form, names
            )
    except BrokenPipeError:
        raise
    except OSError as error:
        sys.exit(print_error(f"{file}: {error.strerror}", EXIT_FAILURE))
    except formats.NewMetadata as error:
        sys.exit(print_error(f"{file}: {error}", EXIT_FAILURE))
    for each in unreadable:
        click.echo(each, err=True)
    if unreadable:
        sys.exit(EXIT_FAILURE)


@dataclass
class _Run:
    """A run of an import: its file, its counts, and the file of the refused rows."""

    file: str
    counts: ImportCounts
    checkpoint: Checkpoint | None
    rejects: Path | None
    resumed: bool
    dry_run: bool
    bar: Any = None

    def store(self, form: Format, upsert: UpsertBatch, fields: Mapping[str, str]) -> None:
        """Store the rows; raises Unreadable, OSError and DatabaseUnavailable."""
        with ExitStack() as stack:
            stream, raw = stack.enter_context(files.reading(self.file))
            self.bar = stack.enter_context(
                _bar(self.file, "checking" if self.dry_run else "importing", lambda: Path(self.file).stat().st_size)
            )
            sheet = stack.enter_context(sheets.reading(stream, fields, self.print_line)) if form == "csv" else None
            rejects = stack.enter_context(self._open(self.rejects, sheet.layout)) if sheet and self.rejects else None

            def save(refused: Sequence[Refused]) -> None:
                if rejects:
                    rejects.write(refused)
                if self.checkpoint:
                    self.checkpoint.save(self.counts)
                if self.bar:
                    self.bar.update(files.position(raw) - self.bar.pos)

            rows = sheet.rows() if sheet else formats.read_ndjson(stream)
            Importer(upsert, self.counts, save, self.print_line).run(rows)

    def print_line(self, text: str) -> None:
        """Print a line on standard error, over the progress bar."""
        print_line(text, self.bar)

    def how_to_resume(self) -> str:
        """Return what to do after an interruption."""
        if self.dry_run:
            return "interrupted; nothing was stored"
        if self.checkpoint is None:
            return "interrupted; import it again from the beginning: nothing is stored twice"
        return f"interrupted after row {self.counts.rows}; run the same command again to continue there"

    def _open(self, path: Path, layout: Layout) -> Rejects:
        try:
            return Rejects(path, layout, resumed=self.resumed)
        except FileExistsError:
            raise click.BadParameter(f"{path} exists already; name another file", param_hint="--rejects") from None


def _bar(file: str, label: str, length: Callable[[], int]) -> AbstractContextManager[Any]:
    """Return a progress bar, for all but the standard input and output."""
    return nullcontext() if file == STANDARD else progress_bar(label, length)


def _format(file: str, given: Format | None) -> Format:
    form = given or formats.format_of(file)
    if form is None:
        raise click.UsageError("Give --format: the name of FILE does not show it.")
    return form
