"""Measure the memory and the descriptors of the processes of a running server (Linux)."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.support.server import Server

PROC = Path("/proc")
ANONYMOUS = re.compile(r"^Anonymous:\s+(\d+) kB", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a process holds: memory that is no file's in KiB, descriptors, and sockets among them.

    What it still shares with the process that forked it counts in full. Its share alone was measured to grow by a
    quarter at the first full garbage collection, which writes to those pages, though nothing more is held.
    """

    memory: int
    descriptors: int
    sockets: int


def workers(server: Server) -> list[int]:
    """Return the ids of the server's workers."""
    assert server.process is not None
    pid = server.process.pid
    return [int(child) for child in (PROC / f"{pid}/task/{pid}/children").read_text().split()]


def footprint(pid: int) -> Footprint:
    """Return what the process holds now."""
    kinds = [_target(each) for each in (PROC / f"{pid}/fd").iterdir()]
    match = ANONYMOUS.search((PROC / f"{pid}/smaps_rollup").read_text())
    assert match is not None
    return Footprint(int(match[1]), len(kinds), sum(kind.startswith("socket:") for kind in kinds))


def ports_of_clients(pid: int) -> set[int]:
    """Return the TCP ports of the other ends of the process's connections."""
    inodes = {_target(each)[len("socket:[") : -1] for each in (PROC / f"{pid}/fd").iterdir()}
    lines = [line.split() for line in (PROC / f"{pid}/net/tcp").read_text().splitlines()[1:]]
    return {int(line[2].split(":")[1], 16) for line in lines if line[9] in inodes}


def _target(descriptor: Path) -> str:
    try:
        return os.readlink(descriptor)  # noqa: PTH115 - it is no path
    except OSError:  # closed by now
        return ""
