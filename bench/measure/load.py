"""Load on a server, by wrk if it is installed and by our own load generator if it is not."""

from __future__ import annotations

import re
import resource
import shutil
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

SCRIPT = Path(__file__).with_name("walk.lua")
LINE = re.compile(
    r"^requests=(?P<requests>\d+) microseconds=(?P<microseconds>\d+) p50=(?P<p50>\d+) p99=(?P<p99>\d+)"
    r" failures=(?P<failures>\d+)$",
    re.MULTILINE,
)
OWN_GENERATOR = "our own load generator (bench/measure/load_generator.py), which costs more for each request than wrk"


class LoadFailed(Exception):
    """The load generator failed, or nothing but failures was answered."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A load to put on: the file of its requests, connections, seconds, and the seed of a random walk through the file.

    Without a seed every request of the file is sent once, in order, and the load fails if there are too few.
    """

    requests: Path
    connections: int
    seconds: int
    seed: int | None


@dataclass(frozen=True, slots=True)
class Load:
    """What a load saw: answers in so many seconds, latencies in microseconds, failures, and its own processor time.

    A failure is an answer other than 2xx or 3xx, or none.
    """

    requests: int
    seconds: float
    p50: int
    p99: int
    failures: int
    cpu_seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Answers per second, without the failures."""
        return (self.requests - self.failures) / self.seconds


def generator() -> str:
    """Return what puts the load on, in words."""
    wrk = shutil.which("wrk")
    if wrk is None:
        return OWN_GENERATOR
    version = subprocess.run([wrk, "-v"], capture_output=True, text=True, check=False).stdout  # noqa: S603
    return "wrk " + version.split()[1].rpartition("/")[2] + ", one thread"


def run(port: int, turn: Turn) -> Load:
    """Put a turn's load on the server at this port; raises LoadFailed."""
    arguments = [str(turn.requests), "once" if turn.seed is None else str(turn.seed)]
    wrk = shutil.which("wrk")
    if wrk:
        command = [wrk, "-t1", f"-c{turn.connections}", f"-d{turn.seconds}s", "--timeout", "10s", "-s", str(SCRIPT)]
        command += [f"http://127.0.0.1:{port}", "--", *arguments]
    else:
        command = [sys.executable, "-m", "bench.measure.load_generator"]
        command += [str(port), str(turn.connections), str(turn.seconds), *arguments]
    before = _children_seconds()
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own arguments
    if done.returncode:
        raise LoadFailed(done.stderr.strip() or done.stdout.strip())
    return replace(parse(done.stdout), cpu_seconds=_children_seconds() - before)


def warm(port: int, turn: Turn) -> None:
    """Put a load on that is not measured: it may be too short for an answer."""
    with suppress(LoadFailed):
        run(port, turn)


def parse(output: str) -> Load:
    """Read the line that bench/measure/walk.lua prints; raises LoadFailed if it is missing, or names failures alone."""
    line = LINE.search(output)
    if line is None:
        raise LoadFailed(f"no figures in {output!r}")
    seen = {name: int(value) for name, value in line.groupdict().items()}
    if seen["requests"] <= seen["failures"]:
        raise LoadFailed(line[0])
    return Load(seen["requests"], seen["microseconds"] / 1e6, seen["p50"], seen["p99"], seen["failures"])


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
