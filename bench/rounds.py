"""The measurement: all targets up and idle, and each in its turn under load, round by round."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from bench import check, data, load, processes
from bench.figures import Measurement
from tests.mongod import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from bench.targets import Target
    from tests.mongod import Mongod

CONNECTIONS = 16
FEW = 1_000
FIRST_WARM_UP_SECONDS = 3
WARM_UP_SECONDS = 1
FEW_WARM_UP_SECONDS = 4  # a round is longer than a customer is kept: each of the few has to be kept anew
IDLE_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Plan:
    """How long to measure: rounds, seconds of load on each target in a round, stored customers."""

    rounds: int
    seconds: int
    customers: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where to measure: the mongod with the stored customers, a directory for files, and who is told of progress."""

    mongod: Mongod
    directory: Path
    tell: Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Running:
    """A target that has been started, and gave its first answer after so many seconds."""

    target: Target
    port: int
    server: processes.Server
    first_answer: float


@dataclass(slots=True)
class Seen:
    """What was measured of each target, by its key: in every round, before them all, and after.

    Seconds to the first answer; the share of one core that it uses while nobody asks; at last its memory in bytes.
    """

    measurements: dict[str, list[Measurement]] = field(default_factory=dict)
    first_answer: dict[str, float] = field(default_factory=dict)
    idle: dict[str, float] = field(default_factory=dict)
    memory: dict[str, int] = field(default_factory=dict)


def start(target: Target, place: Place, stack: ExitStack) -> Running:
    """Start a target, to be stopped with the stack, and return once it answers; raises RuntimeError."""
    port = free_port()
    settings = target.settings(port, place.mongod.uri)
    log, started = place.directory / f"{port}.log", time.monotonic()
    server = processes.Server(target.arguments(port), target.directory, settings, log)
    stack.callback(server.stop)
    server.wait_until_listening(port)
    check.ask(port, next(data.reads([0])))
    return Running(target, port, server, time.monotonic() - started)


def measure(targets: Sequence[Target], plan: Plan, place: Place) -> Seen:
    """Start, check and warm every target, then measure the rounds."""
    with ExitStack() as stack:
        running = []
        for target in targets:
            place.tell(f"starting {target.key}")
            running.append(start(target, place, stack))
        files = write_requests(running, plan.customers, place.directory)
        check_all(running, plan.customers)
        for each in running:
            place.tell(f"warming {each.target.key}")
            load.run(each.port, load.Turn(files[each.target.requests], CONNECTIONS, FIRST_WARM_UP_SECONDS, 0))
        seen = Seen(first_answer={each.target.key: each.first_answer for each in running}, idle=idle(running, place))
        for number in range(1, plan.rounds + 1):
            for each in rotated(running, number):
                turn = load.Turn(files[each.target.requests], CONNECTIONS, plan.seconds, number)
                found = one(each, place.mongod, turn)
                seen.measurements.setdefault(each.target.key, []).append(found)
                place.tell(f"round {number} of {plan.rounds}: {each.target.key}: {found.rate:,.0f} a second")
        seen.memory = {each.target.key: processes.pss_bytes(each.server.pids()) for each in running}
        return seen


def rotated(running: Sequence[Running], number: int) -> Sequence[Running]:
    """Begin every round with another target, so that none always follows the same machine state."""
    first = number * len(running) // 3 % len(running)
    return [*running[first:], *running[:first]]


def one(each: Running, mongod: Mongod, turn: load.Turn) -> Measurement:
    """Put one target under load, after some seconds that do not count."""
    seconds = WARM_UP_SECONDS if each.target.requests == "all" else FEW_WARM_UP_SECONDS
    load.run(each.port, replace(turn, seconds=seconds))
    pids = {"server": each.server.pids(), "mongod": [mongod.pid]}
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


def idle(running: Sequence[Running], place: Place) -> dict[str, float]:
    """Return the share of one core that each target uses while nobody asks it."""
    place.tell(f"watching them idle for {IDLE_SECONDS} s")
    pids = {each.target.key: each.server.pids() for each in running}
    before = {key: processes.cpu_seconds(some) for key, some in pids.items()}
    time.sleep(IDLE_SECONDS)
    return {key: (processes.cpu_seconds(some) - before[key]) / IDLE_SECONDS for key, some in pids.items()}


def write_requests(running: Sequence[Running], customers: int, directory: Path) -> dict[str, Path]:
    """Write what is asked: of `all` customers, of a `few` that a cache can keep, and whether those have changed."""
    few = range(0, customers, max(1, customers // FEW))
    files = {
        "all": data.write(data.reads(data.walk(customers)), directory / "all"),
        "few": data.write(data.reads(few), directory / "few"),
    }
    unchanged = [each for each in running if each.target.requests == "304"]
    if unchanged:
        files["304"] = data.write(conditional(unchanged[0].port, few), directory / "304")
    return files


def conditional(port: int, numbers: Sequence[int]) -> list[data.Request]:
    """Return the requests for these customers by a caller who has them already."""
    found = []
    for request in data.reads(numbers):
        etag = check.ask(port, request).headers["etag"]
        found.append(data.Request(request.path, request.token, headers=(("If-None-Match", etag),)))
    return found


def check_all(running: Sequence[Running], customers: int) -> None:
    """Hold every target to the service's answers; raises Unequal that names the one that differs."""
    working = [each for each in running if each.target.mode != "bare"]
    if not working:
        return
    services = [each for each in working if each.target.name.startswith("this service")]
    expected = check.bodies((services or working)[0].port)
    check.check_expiry({each.target.key: each.port for each in working})
    for each in working:
        try:
            check.check(each.port, expected, customers)
            if each.target.requests == "304":
                check.check_unchanged(each.port, conditional(services[0].port, [0])[0])
        except check.Unequal as error:
            raise check.Unequal(f"{each.target.key} {error}") from None
