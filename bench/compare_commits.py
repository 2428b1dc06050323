"""A comparison of the service of this checkout with that of another commit, in interleaved rounds."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tarfile
import tempfile
import venv
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from bench.measure import data, mongod, rounds
from bench.measure.measurements import of_each, ratios
from bench.measure.targets import DATABASE, ROOT, Row, Target
from bench.report import formatting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bench.measure.measurements import Measurement, Spread
    from bench.measure.rounds import Plan, Seen

PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^\s;\\]+)", re.MULTILINE)
THIS = "this checkout"


@dataclass(frozen=True, slots=True)
class Kind:
    """One line of the comparison: what a worker remembers, over how many connections, and how far MongoDB is."""

    mode: str
    connections: int
    distance_ms: int | None = None

    def row(self, tree: Tree) -> Row:
        """Return what to measure of a checkout."""
        requests = "few" if self.mode == "hot" else "all"
        return Row(tree.target(self.mode, self.distance_ms), self.connections, requests)

    def __str__(self) -> str:
        """Return it in words."""
        distance = "" if self.distance_ms is None else f", MongoDB {self.distance_ms} ms away"
        return f"{self.mode}, {self.connections} connections{distance}"


KINDS = (
    *(Kind("remembering", connections) for connections in (16, 64, 256)),
    Kind("hot", 16),
    *(Kind("remembering", 64, distance_ms) for distance_ms in (0, 1, 5)),
)
"""What is compared. MongoDB 0 ms away is the same proxy without a delay: what 1 ms and 5 ms are compared with."""


@dataclass(frozen=True, slots=True)
class Tree:
    """A checkout, with the Python of its virtual environment."""

    name: str
    directory: Path
    python: Path

    def target(self, mode: str, distance_ms: int | None) -> Target:
        """Return its server, as its own gunicorn.conf.py has it."""
        gunicorn = self.python.with_name("gunicorn")
        return Target(
            self.name,
            mode,
            (str(gunicorn), "wsgi:app"),
            gunicorn,
            self.directory,
            environment=self.environment(),
            distance_ms=distance_ms,
        )

    def environment(self) -> dict[str, str]:
        """Return what makes Python import this checkout, and not the one that is installed."""
        return {"PYTHONPATH": str(self.directory)}

    def check_import(self) -> None:
        """Raise RuntimeError if its Python would import the service from elsewhere."""
        command = [str(self.python), "-c", "import customer_service; print(customer_service.__path__[0])"]
        output = subprocess.run(  # noqa: S603 - our own arguments
            command, cwd=self.directory, env=self.environment(), capture_output=True, text=True, check=True
        ).stdout
        if Path(output.strip()).parent != self.directory:
            raise RuntimeError(f"{self.name} imports {output.strip()}")


def run(commit: str, plan: Plan, log: Callable[[str], None]) -> list[list[list[str]]]:
    """Measure this checkout and the commit, and return the tables that compare them."""
    with tempfile.TemporaryDirectory() as name, mongod.running() as database:
        directory = Path(name)
        trees = (Tree(THIS, ROOT, Path(sys.executable)), checkout(commit, directory / "tree", log))
        for tree in trees:
            tree.check_import()
        with database.client() as client:
            data.store(client[DATABASE], plan.customers, log)
        rows = [kind.row(tree) for kind in KINDS for tree in trees]
        seen = rounds.measure(rows, plan, rounds.Place(database, directory, log))
        return [table(seen, *trees), distances(seen, *trees)]


def checkout(commit: str, directory: Path, log: Callable[[str], None]) -> Tree:
    """Write a commit's files into a directory, with a virtual environment if this one does not have what it needs."""
    name = _git("rev-parse", "--short", "--verify", f"{commit}^{{commit}}").decode().strip()
    with tarfile.open(fileobj=io.BytesIO(_git("archive", name))) as archive:
        archive.extractall(directory, filter="data")
    lock = directory / "requirements.txt"
    missing = list(not_installed(lock.read_text()))
    if not missing:
        return Tree(name, directory, Path(sys.executable))
    log(f"making a virtual environment for {name}: here is no {', '.join(missing)}")
    return Tree(name, directory, _install(lock, directory / ".venv"))


def not_installed(lock: str) -> Iterator[str]:
    """Yield the pinned packages of a lock that this environment has not, or has in another version."""
    for package, version in PIN.findall(lock):
        try:
            installed = metadata.version(package)
        except metadata.PackageNotFoundError:
            installed = ""
        if installed != version:
            yield f"{package}=={version}"


def _install(lock: Path, directory: Path) -> Path:
    venv.create(directory, with_pip=True)
    python = directory / "bin" / "python"
    options = ("--disable-pip-version-check", "--quiet", "install", "--require-hashes", "-r", str(lock))
    subprocess.run([str(python), "-m", "pip", *options], check=True)  # noqa: S603 - our own arguments
    return python


def _git(*arguments: str) -> bytes:
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout  # noqa: S603 - our own arguments


def table(seen: Seen, this: Tree, other: Tree) -> list[list[str]]:
    """Return the figures of both checkouts as rows of text, below the heads of the columns."""
    heads = ["", f"{other.name}: reads/s", "server µs", "p99 ms", f"{this.name}: reads/s", "server µs", "p99 ms"]
    heads += ["× reads/s", "× server µs", "× p99", "failures"]
    return [
        heads,
        *(_compared(kind, *(seen.measurements[kind.row(tree).key] for tree in (other, this))) for kind in KINDS),
    ]


def _compared(kind: Kind, before: list[Measurement], now: list[Measurement]) -> list[str]:
    ratio = [
        formatting.spread(ratios(of_each(now, name), of_each(before, name))) for name in ("rate", "server_us", "p99_us")
    ]
    failures = sum(each.failures for each in (*before, *now))
    return [str(kind), *_medians(before), *_medians(now), *ratio, str(failures)]


def _medians(some: list[Measurement]) -> list[str]:
    rate, server, p99 = (median(of_each(some, name)) for name in ("rate", "server_us", "p99_us"))
    return [f"{rate:,.0f}", f"{server:.0f}", f"{p99 / 1000:.1f}"]


def distances(seen: Seen, this: Tree, other: Tree) -> list[list[str]]:
    """Return the reads of each checkout by the distance of MongoDB, as rows of text below the heads of the columns."""
    near, *far = [kind for kind in KINDS if kind.distance_ms is not None]
    heads = [f"reads/s, as a ratio to those of {near}", other.name, this.name]
    return [
        heads,
        *([str(kind), *(formatting.spread(_ratio(seen, tree, kind, near)) for tree in (other, this))] for kind in far),
    ]


def _ratio(seen: Seen, tree: Tree, kind: Kind, near: Kind) -> Spread:
    return ratios(*(of_each(seen.measurements[each.row(tree).key], "rate") for each in (kind, near)))
