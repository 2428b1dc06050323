"""How the cost of the service grows with the customers that are stored and the connections that ask."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.measure import check, data, load, mongod, rounds
from bench.measure.measurements import condensed, of_each, ratios
from bench.measure.targets import SERVICE
from bench.report import results
from bench.report.claims import USUAL_CONNECTIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from bench.measure.measurements import Measurement
    from bench.measure.rounds import Place, Running

SIZES = (1_000, 100_000, 1_000_000)
CONNECTIONS = (1, 16, 64, 256)
WORKLOADS: dict[str, Callable[[int], Iterator[data.Request]]] = {
    "read": lambda count: data.reads(data.walk(count)),
    "list of 20": data.lists,
    "search of 20": data.searches,
    "batch-get of 20": data.batch_gets,
}
CACHE_GIGABYTES = 3  # a million customers fit


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    request: str
    customers: int
    connections: int

    def __str__(self) -> str:
        """Return it in words."""
        return f"{self.request}, {self.customers:,} customers, {self.connections} connections"


def rows(sizes: Sequence[int]) -> list[Row]:
    """Return what to measure: every request at every size, and the read over more and fewer connections."""
    by_size = [Row(request, size, USUAL_CONNECTIONS) for request in WORKLOADS for size in sizes]
    middle = sizes[len(sizes) // 2]
    others = (each for each in CONNECTIONS if each != USUAL_CONNECTIONS)
    return by_size + [Row("read", middle, connections) for connections in others]


def smallest(row: Row, all_rows: Iterable[Row]) -> Row:
    """Return the row that a row is compared to: the same over the fewest customers."""
    alike = (each for each in all_rows if (each.request, each.connections) == (row.request, row.connections))
    return min(alike, key=lambda each: each.customers)


def run(count: int, seconds: int, sizes: Sequence[int], log: Callable[[str], None]) -> dict[str, Any]:
    """Measure all rows in so many interleaved rounds, on one mongod with a database of each size."""
    with mongod.running(CACHE_GIGABYTES) as database, tempfile.TemporaryDirectory() as directory:
        with database.client() as client:
            for size in sizes:
                data.store(client[_database(size)], size, log, data.found_by_number)
        seen = _measure(count, seconds, sizes, rounds.Place(database, Path(directory), log))
    return {
        "machine": results.machine(),
        "plan": {"rounds": count, "seconds": seconds},
        **results.conditions(seen),
        "rows": [_result(row, seen) for row in seen],
    }


def _measure(count: int, seconds: int, sizes: Sequence[int], place: Place) -> dict[Row, list[Measurement]]:
    seen: dict[Row, list[Measurement]] = {row: [] for row in rows(sizes)}
    with ExitStack() as stack:
        running = {size: _start(size, place, stack) for size in sizes}
        files = {
            (request, size): data.write(make(size), place.directory / f"{request}-{size}")
            for request, make in WORKLOADS.items()
            for size in sizes
        }
        for (request, size), file in files.items():
            _check(running[size].port, request, WORKLOADS[request](size))
            load.warm(running[size].port, load.Turn(file, USUAL_CONNECTIONS, rounds.FIRST_WARM_UP_SECONDS, 0))
        for number in range(1, count + 1):
            for row, measured in seen.items():
                turn = load.Turn(files[row.request, row.customers], row.connections, seconds, number)
                load.warm(running[row.customers].port, replace(turn, seconds=rounds.WARM_UP_SECONDS))
                found = rounds.one(running[row.customers], place.mongod, turn)
                measured.append(found)
                place.log(f"round {number} of {count}: {row}: p50 {found.p50_us / 1000:.2f} ms")
    return seen


def _check(port: int, name: str, requests: Iterator[data.Request]) -> None:
    """Ask for customers once; raises RuntimeError if the answer has none."""
    answer = check.send(port, next(requests))
    if answer.status != HTTPStatus.OK or not (answer.json().get("data") or answer.json().get("id")):
        raise RuntimeError(f"{name} is answered {answer.status} {answer.body[:200]!r}")


def _start(size: int, place: Place, stack: ExitStack) -> Running:
    return rounds.start(replace(SERVICE, environment={"MONGODB_DATABASE": _database(size)}), place, stack)


def _database(size: int) -> str:
    return f"bench_{size}"


def _result(row: Row, seen: dict[Row, list[Measurement]]) -> dict[str, Any]:
    base = seen[smallest(row, seen)]
    ratio = ratios(of_each(seen[row], "p50_us"), of_each(base, "p50_us"))
    return {**asdict(row), "p50_ratio": asdict(ratio), **condensed(seen[row])}
