"""The command: `python -m bench` measures, `python -m bench growth` shows how cost grows, `report` writes the page."""

from __future__ import annotations

import argparse
import json
import re
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench import compare_commits, growth
from bench.measure import data, mongod, rounds, targets, writes
from bench.report import formatting, results

DOCS = targets.ROOT / "docs"
FIGURES, GROWTH, PICTURE, PAGE = (
    DOCS / name for name in ("bench.json", "bench-growth.json", "bench.svg", "performance.md")
)


def log(progress: str) -> None:
    """Show progress, apart from the results."""
    sys.stderr.write(f"{progress}\n")


def show(*parts: str) -> None:
    """Print results."""
    sys.stdout.write("\n\n".join(["", *parts, ""]))


def run(arguments: argparse.Namespace) -> None:
    """Measure every row whose target is installed; figures of a part of them are printed and not kept."""
    chosen = [each for each in targets.all_rows() if re.search(arguments.only, each.name)]
    rows = [each for each in chosen if each.target.is_installed()]
    left_out = list(dict.fromkeys(each.name for each in chosen if not each.target.is_installed()))
    for name in left_out:
        log(f"{name} is left out: it is not installed")
    plan = rounds.Plan(arguments.rounds, arguments.seconds, arguments.customers)
    with mongod.running() as database, tempfile.TemporaryDirectory() as directory:
        with database.client() as client:
            data.store(client[targets.DATABASE], plan.customers, log)
            writes.store(client, [row.target for row in rows if row.target.mode == "writing"], log)
        seen = rounds.measure(rows, plan, rounds.Place(database, Path(directory), log))
    found = results.of_run(rows, left_out, plan, seen)
    show(formatting.conditions(found), *map(formatting.plain, formatting.tables(found).values()))
    if not arguments.only:
        keep(FIGURES, found)
        PICTURE.write_text(formatting.picture(found))


def grow(arguments: argparse.Namespace) -> None:
    """Show how the cost of the service grows with its customers and connections."""
    found = growth.run(arguments.rounds, arguments.seconds, arguments.sizes, log)
    show(formatting.conditions(found), formatting.plain(formatting.growth(found)))
    keep(GROWTH, found)


def compare(arguments: argparse.Namespace) -> None:
    """Measure this checkout beside another commit."""
    plan = rounds.Plan(arguments.rounds, arguments.seconds, arguments.customers, idle_seconds=0)
    show(*map(formatting.plain, compare_commits.run(arguments.commit, plan, log)))


def write_page(_: argparse.Namespace) -> None:
    """Write the kept figures into docs/performance.md."""
    page, found = PAGE.read_text(), json.loads(FIGURES.read_text())
    page = formatting.insert(page, "conditions", formatting.conditions(found))
    for name, table in formatting.tables(found).items():
        page = formatting.insert(page, name, formatting.markdown(table))
    if GROWTH.exists():
        found = json.loads(GROWTH.read_text())
        growing = f"{formatting.conditions(found)}\n\n{formatting.markdown(formatting.growth(found))}"
        page = formatting.insert(page, "growth", growing)
    PAGE.write_text(page)


def keep(file: Path, found: dict[str, Any]) -> None:
    """Write results as JSON."""
    file.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    root = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    root.set_defaults(do=run)
    _add_options(root)
    commands = root.add_subparsers()
    growing = commands.add_parser("growth", help="1,000 to 1,000,000 customers, 1 to 256 connections")
    growing.set_defaults(do=grow)
    growing.add_argument("--sizes", type=int, nargs="+", default=list(growth.SIZES), help="stored customers")
    growing.add_argument("--rounds", type=int, default=5)
    growing.add_argument("--seconds", type=int, default=3)
    comparing = commands.add_parser("against", help="this checkout beside another commit, in interleaved rounds")
    comparing.set_defaults(do=compare)
    comparing.add_argument("commit", help="a commit, as git names it")
    _add_sizes(comparing)
    commands.add_parser("report", help="write the kept figures into docs/performance.md").set_defaults(do=write_page)
    return root


def _add_options(command: argparse.ArgumentParser) -> None:
    _add_sizes(command)
    command.add_argument("--only", default="", help="a regular expression: only these targets, and nothing is kept")


def _add_sizes(command: argparse.ArgumentParser) -> None:
    command.add_argument("--rounds", type=int, default=5, help="how often each target has its turn")
    command.add_argument("--seconds", type=int, default=5, help="how long a turn is")
    command.add_argument("--customers", type=int, default=100_000, help="how many are stored")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the servers are stopped on the way out
    arguments = parser().parse_args()
    arguments.do(arguments)
