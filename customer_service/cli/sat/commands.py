"""The commands `customer-service sat export` and `customer-service sat import`."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from customer_service.cli.console import (
    EXIT_FAILURE,
    ORGANIZATION,
    advancing,
    customers_of,
    print_error,
    print_line,
    progress_bar,
)
from customer_service.cli.sat import exporting
from customer_service.cli.sat.importing import SatCounts, SatImporter, answer_of
from customer_service.cli.sat.legends import LEGENDS, Legend, parse_legend
from customer_service.cli.transfer.exporting import EXPORT_PAGE_LENGTH
from customer_service.cli.transfer.files import STANDARD, is_device
from customer_service.cli.transfer.formats import GZIP
from customer_service.cli.transfer.rows import Unreadable
from customer_service.errors import InvalidRequest
from customer_service.fiscal.rules import SAT_STATUSES
from customer_service.repository.database import as_stored

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from customer_service.repository import CustomerBatchRepository

EXISTING = click.Path(exists=True, dir_okay=False, path_type=Path)
FUTURE = "its time of change is in the future by this machine's clock; give the time of the answer: --checked-at"


def _legends(_context: click.Context, _parameter: click.Parameter, values: Sequence[str]) -> dict[str, Legend]:
    """Return the known legends and those that `--legend` gives, folded."""
    try:
        return {**LEGENDS, **dict(map(parse_legend, values))}
    except ValueError:
        message = f'write it as "the legend=STATUS"; the statuses are {", ".join(SAT_STATUSES)}'
        raise click.BadParameter(message) from None


def _past(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    """Return the time of `--checked-at`, if it has passed."""
    try:
        if value is not None:
            answer_of(Legend("matched"), value)
    except InvalidRequest:
        raise click.BadParameter("give a past time of RFC 3339, such as 2025-01-26T10:00:00Z") from None
    return value


@click.group()
def sat() -> None:
    """Check customers with the SAT's free bulk validator.

    \b
    Examples:
      customer-service sat export ORGANIZATION sat.txt
      customer-service sat import ORGANIZATION answer.txt
    """


@sat.command("export")
@ORGANIZATION
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--older-than",
    type=click.IntRange(1, 36_500),
    metavar="DAYS",
    help="Also the customers whose answer is older than so many days.",
)
def export_for_the_sat(organization: str, file: Path, older_than: int | None) -> None:
    """Write the unchecked customers of ORGANIZATION to FILE, as the SAT's validator takes them.

    Customers outside Mexico and those with a generic RFC are not in its register, and left out. A file has at most
    5,000 rows: with more customers there are FILE-2, FILE-3 and so on.

    \b
    Examples:
      customer-service sat export ORGANIZATION sat.txt
      customer-service sat export ORGANIZATION sat.txt --older-than 90
    """
    if file.suffix.lower() == GZIP:
        raise click.BadParameter("the validator takes no compressed file", param_hint="FILE")
    if str(file) == STANDARD or is_device(file):
        raise click.BadParameter("name a file: the validator takes no stream", param_hint="FILE")
    if earlier := ", ".join(map(str, exporting.following(file))):
        raise click.BadParameter(f"remove the files of an earlier export first: {earlier}", param_hint="FILE")
    customers = customers_of(organization)
    checked_before = as_stored(datetime.now(UTC) - timedelta(days=older_than)) if older_than else None
    counts = Counter(rows=0, files=0, skipped=0)
    bar: Any
    with progress_bar("exporting", lambda: sum(map(customers.count, exporting.queries(checked_before)))) as bar:

        def on_skipped(text: str) -> None:
            counts["skipped"] += 1
            print_line(text, bar)

        documents = advancing(exporting.due(customers, checked_before), bar, EXPORT_PAGE_LENGTH)
        try:
            for path, rows in exporting.write(exporting.receivers(documents, on_skipped), file):
                counts.update(rows=rows, files=1)
                print_line(f"{path}: {rows} rows", bar)
            if not counts["files"] and file.exists():
                file.unlink()
                print_line(f"{file}: removed, since no customer is due", bar)
        except OSError as error:
            sys.exit(print_error(f"{file}: {error.strerror}", EXIT_FAILURE))
    _end(counts)


@sat.command("import")
@ORGANIZATION
@click.argument("files", nargs=-1, required=True, type=EXISTING)
@click.option(
    "--checked-at",
    callback=_past,
    metavar="TIME",
    help="When the SAT answered, such as 2025-01-26T10:00:00Z; else the time of each file's last change.",
)
@click.option(
    "--legend",
    "legends",
    multiple=True,
    callback=_legends,
    metavar="TEXT=STATUS",
    help=f"What another legend means: {', '.join(SAT_STATUSES)}. Repeat it for each.",
)
def import_from_the_sat(
    organization: str, files: Sequence[Path], checked_at: str | None, legends: Mapping[str, Legend]
) -> None:
    """Store the answers of the SAT's validator in FILES with the customers of ORGANIZATION.

    An answer is stored with the customer that has its RFC, name and zip now. A row that is about none, or whose legend
    is not known, is printed with its line and skipped; the others are stored. The same file again changes nothing.

    \b
    Examples:
      customer-service sat import ORGANIZATION answer.txt answer-2.txt
      customer-service sat import ORGANIZATION answer.txt --legend "RFC cancelado=not-found"
    """
    customers, counts = customers_of(organization), Counter[str](asdict(SatCounts()))
    with progress_bar("importing", lambda: sum(file.stat().st_size for file in files)) as bar:
        for file in files:
            counts.update(_import(customers, legends, file, checked_at or _changed_at(file), bar))
    _end(counts)


def _import(
    customers: CustomerBatchRepository, legends: Mapping[str, Legend], file: Path, checked_at: str, bar: Any
) -> dict[str, int]:
    """Return what became of the rows of a file."""

    def on_skipped(line: int, reason: str) -> None:
        print_line(f"{file}:{line}: {reason}", bar)

    try:
        importer = SatImporter(customers, legends, checked_at, on_skipped)
    except InvalidRequest:
        print_line(f"{file}: {FUTURE}", bar)
        return {"skipped": 1}
    try:
        with file.open("rb") as stream:
            importer.run(stream, lambda size: bar and bar.update(size))
    except (Unreadable, OSError) as error:
        print_line(f"{file}: {error}", bar)
        importer.counts.skipped += 1
    return asdict(importer.counts)


def _changed_at(file: Path) -> str:
    return datetime.fromtimestamp(file.stat().st_mtime, UTC).isoformat()


def _end(counts: Mapping[str, int]) -> None:
    """Print the counts, and exit with 1 if anything was skipped."""
    click.echo("  ".join(f"{name} {count}" for name, count in counts.items()), err=True)
    if counts["skipped"]:
        sys.exit(EXIT_FAILURE)
