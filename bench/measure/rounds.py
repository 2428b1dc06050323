"""The measurement: all targets up and idle, and each in its turn under load, round by round."""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from bench.measure import check, data, load, mongod, processes, writes
from bench.measure.measurements import Measurement
from bench.measure.targets import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from bench.measure.targets import Row, Target

T = TypeVar("T")

FEW = 1_000
FIRST_WARM_UP_SECONDS = 3
WARM_UP_SECONDS = 1
HOT_WARM_UP_SECONDS = 4  # a round is longer than a customer is cached: each of the few has to be cached anew
IDLE_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Plan:
    """How long to measure: rounds, seconds of load on each row in a round, stored customers, seconds of idling."""

    rounds: int
    seconds: int
    customers: int
    idle_seconds: int = IDLE_SECONDS


@dataclass(frozen=True, slots=True)
class Place:
    """Where to measure: the mongod with the stored customers, a directory for files, and what shows the progress."""

    mongod: mongod.Mongod
    directory: Path
    log: Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Running:
    """A target that has been started and gave its first answer after so many seconds, with the proxy it has, if any."""

    target: Target
    port: int
    server: processes.Server
    proxy: processes.Server | None
    first_answer: float


@dataclass(slots=True)
class Seen:
    """What was measured: of each row in every round, and of each target before them all and after.

    Seconds to the first answer; the share of one core that it uses while it gets no requests; its memory in bytes.
    """

    measurements: dict[tuple[str, int], list[Measurement]] = field(default_factory=dict)
    first_answer: dict[str, float] = field(default_factory=dict)
    idle: dict[str, float] = field(default_factory=dict)
    memory: dict[str, int] = field(default_factory=dict)


def start(target: Target, place: Place, stack: ExitStack) -> Running:
    """Start a target, to be stopped with the stack, and return once it answers; raises RuntimeError."""
    uri, proxy = place.mongod.uri, None
    if target.distance_ms is not None:
        uri, proxy = _start_proxy(target.distance_ms, place, stack)
    port, started = processes.free_port(), time.monotonic()
    environment, server_log = target.settings(port, uri), place.directory / f"{port}.log"
    server = processes.Server(target.arguments(port), target.directory, environment, server_log)
    _wait(server, port, stack)
    check.send(port, next(data.reads([0])))
    return Running(target, port, server, proxy, time.monotonic() - started)


def _start_proxy(milliseconds: int, place: Place, stack: ExitStack) -> tuple[str, processes.Server]:
    port = processes.free_port()
    arguments = [str(port), str(place.mongod.port), str(milliseconds)]
    command = [sys.executable, "-m", "bench.measure.latency_proxy", *arguments]
    proxy = processes.Server(command, ROOT, {}, place.directory / f"{port}.log")
    _wait(proxy, port, stack)
    return mongod.uri_of(port), proxy


def _wait(server: processes.Server, port: int, stack: ExitStack) -> None:
    stack.callback(server.stop)
    server.wait_until_listening(port)


def measure(rows: Sequence[Row], plan: Plan, place: Place) -> Seen:
    """Start, check and warm the target of every row, then measure the rounds."""
    with ExitStack() as stack:
        running = {}
        for key, target in {row.target.key: row.target for row in rows}.items():
            place.log(f"starting {key}")
            running[key] = start(target, place, stack)
        everything = list(running.values())
        check_all(everything, plan.customers)
        turns = Turns(place.directory, plan.customers, everything)
        for name, row in {row.name: row for row in reversed(rows)}.items():
            place.log(f"warming {name}")
            load.warm(running[row.target.key].port, turns.turn(row, FIRST_WARM_UP_SECONDS, 0))
        seen = Seen({row.key: [] for row in rows}, {each.target.key: each.first_answer for each in everything})
        seen.idle = idle(everything, place, plan.idle_seconds)
        for number in range(1, plan.rounds + 1):
            for row in ordered(rows, number):
                each = running[row.target.key]
                load.warm(each.port, turns.turn(row, _warm_up_seconds(row), number))
                try:
                    found = one(each, place.mongod, turns.turn(row, plan.seconds, number))
                except load.LoadFailed as error:
                    raise load.LoadFailed(f"{row}: {error}") from None
                seen.measurements[row.key].append(found)
                place.log(f"round {number} of {plan.rounds}: {row}: {found.rate:,.0f} a second")
        seen.memory = {each.target.key: processes.pss_bytes(each.server.pids()) for each in everything}
        return seen


class Turns:
    """What is asked in each turn: reads of files that all turns share, or writes that no other turn has sent."""

    def __init__(self, directory: Path, customers: int, running: Sequence[Running]) -> None:
        """Write the files of the reads: of `all` customers, of a `few`, and whether those have changed."""
        few = range(0, customers, max(1, customers // FEW))
        hot = [each for each in running if each.target.mode == "hot"]
        reads = {"all": data.reads(data.walk(customers)), "few": data.reads(few)}
        if hot:
            reads["304"] = iter(conditional(hot[0].port, few))
        self._files = {name: data.write(requests, directory / name) for name, requests in reads.items()}
        self._writer = writes.Writer(directory)

    def turn(self, row: Row, seconds: int, number: int) -> load.Turn:
        """Return the load of a row in this round."""
        if row.requests in self._files:
            return load.Turn(self._files[row.requests], row.connections, seconds, number)
        file = self._writer.write(row.target.key, row.requests, seconds)
        return load.Turn(file, row.connections, seconds, None)


def _warm_up_seconds(row: Row) -> int:
    return HOT_WARM_UP_SECONDS if row.target.mode == "hot" else WARM_UP_SECONDS


def ordered(rows: Sequence[T], number: int) -> Sequence[T]:
    """Return the rows of a round, which begins with another row and goes the other way than the one before."""
    first = number * len(rows) // 3 % len(rows)
    rotated = [*rows[first:], *rows[:first]]
    return rotated if number % 2 else rotated[::-1]


def one(each: Running, database: mongod.Mongod, turn: load.Turn) -> Measurement:
    """Put one target under load, and return what was measured."""
    pids = {"server": each.server.pids(), "mongod": database.server.pids()}
    pids["proxy"] = each.proxy.pids() if each.proxy else []
    before = {name: processes.cpu_seconds(some) for name, some in pids.items()}
    everyone = processes.machine_seconds()
    seen = load.run(each.port, turn)
    everyone = processes.machine_seconds() - everyone
    used = {name: processes.cpu_seconds(some) - before[name] for name, some in pids.items()}
    others = everyone - sum(used.values()) - seen.cpu_seconds
    return Measurement(
        rate=seen.rate,
        server_us=used["server"] / seen.requests * 1e6,
        mongod_us=used["mongod"] / seen.requests * 1e6,
        p50_us=seen.p50,
        p99_us=seen.p99,
        others=max(0.0, others / seen.seconds),
        failures=seen.failures,
    )


def idle(running: Sequence[Running], place: Place, seconds: int) -> dict[str, float]:
    """Return the share of one core that each target uses while it gets no requests; none if there are no seconds."""
    if not seconds:
        return {}
    place.log(f"watching them idle for {seconds} s")
    pids = {each.target.key: each.server.pids() for each in running}
    before = {key: processes.cpu_seconds(some) for key, some in pids.items()}
    time.sleep(seconds)
    return {key: (processes.cpu_seconds(some) - before[key]) / seconds for key, some in pids.items()}


def conditional(port: int, numbers: Sequence[int]) -> list[data.Request]:
    """Return the requests for these customers by a caller who has them already."""
    found = []
    for request in data.reads(numbers):
        etag = check.send(port, request).headers["etag"]
        found.append(data.Request(request.path, request.token, headers=(("If-None-Match", etag),)))
    return found


def check_all(running: Sequence[Running], customers: int) -> None:
    """Compare every target's answers with the service's; raises Unequal that names the one that differs."""
    check_reads([each for each in running if each.target.mode not in {"bare", "writing"}], customers)
    check_writes([each for each in running if each.target.mode == "writing"])


def check_reads(running: Sequence[Running], customers: int) -> None:
    """Compare what readers answer with what the service does, or the first of them if it is none; raises Unequal."""
    if not running:
        return
    expected = check.bodies(_service(running).port)
    check.check_expiry({each.target.key: each.port for each in running})
    for each in running:
        with _named(each):
            check.check(each.port, expected, customers)
            if each.target.mode == "hot":
                check.check_unchanged(each.port, conditional(each.port, [0])[0])


def check_writes(running: Sequence[Running]) -> None:
    """Compare what writers store with what the service does, or the first of them if it is none; raises Unequal."""
    expected: list[Any] | None = None
    for each in sorted(running, key=lambda each: each is not _service(running)):
        with _named(each):
            expected = writes.check(each.port, expected)


def _service(running: Sequence[Running]) -> Running:
    return next((each for each in running if each.target.kind == "service"), running[0])


@contextmanager
def _named(each: Running) -> Iterator[None]:
    try:
        yield
    except check.Unequal as error:
        raise check.Unequal(f"{each.target.key} {error}") from None
