"""The processes of a server: started and stopped, and what the kernel says of their time and memory."""

from __future__ import annotations

import os
import random
import re
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

PROC = Path("/proc")
TICKS = os.sysconf("SC_CLK_TCK")
START_SECONDS = 60
STOP_SECONDS = 15
PORTS = iter(random.SystemRandom().sample(range(20_000, 32_000), 1_500))
"""Ports below those that Linux gives to outgoing connections: no such connection takes one before its server starts."""
# Where proc(5) has these in /proc/<pid>/stat, counted from behind the command.
SESSION, USER_TICKS, SYSTEM_TICKS = 3, 11, 12
PSS = re.compile(r"^Pss: +(\d+) kB$", re.MULTILINE)


class Server:
    """A server that runs in a session of its own, by which its processes are known."""

    def __init__(self, command: Sequence[str], directory: Path, environment: Mapping[str, str], log: Path) -> None:
        """Start it; what it prints goes to the log."""
        self._log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(  # noqa: S603 - the commands of bench/targets.py
                command,
                cwd=directory,
                env={**os.environ, **environment},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_until_listening(self, port: int) -> None:
        """Return once it takes connections; raises RuntimeError with the end of its log if it does not."""
        deadline = time.monotonic() + START_SECONDS
        while self._process.poll() is None and time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.05)
        raise RuntimeError(self._log.read_text(errors="replace")[-2000:])

    def pids(self) -> list[int]:
        """Return its processes."""
        everyone = [int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit()]
        return [pid for pid in everyone if _stat(pid)[SESSION] == self._process.pid]

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """Stop it, by force if it does not exit within so many seconds."""
        self._signal(signal.SIGTERM)
        deadline = time.monotonic() + seconds
        while self._process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        self._signal(signal.SIGKILL)
        self._process.wait()

    def _signal(self, number: int) -> None:
        for pid in self.pids():
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that no process listens on; raises OSError."""
    for port in PORTS:
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise OSError("no port is left")


def cpu_seconds(pids: Iterable[int]) -> float:
    """Return the processor time that these processes have used, in user and in kernel mode, in seconds."""
    return sum(stat[USER_TICKS] + stat[SYSTEM_TICKS] for stat in map(_stat, pids)) / TICKS


def machine_seconds() -> float:
    """Return the processor time that all processes have used since the machine started, and that its host took away."""
    user, nice, system, _idle, _wait, irq, softirq, steal, *_ = map(int, (PROC / "stat").read_text().split()[1:11])
    return (user + nice + system + irq + softirq + steal) / TICKS


def pss_bytes(pids: Iterable[int]) -> int:
    """Return the memory of these processes, in which a page that several share counts by its share."""
    total = 0
    for pid in pids:
        found = PSS.search((PROC / str(pid) / "smaps_rollup").read_text())
        total += int(found[1]) * 1024 if found else 0
    return total


def _stat(pid: int) -> list[int]:
    """Return the numbers of /proc/<pid>/stat from behind the command; all zero for a process that is gone."""
    try:
        fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return [0] * (SYSTEM_TICKS + 1)
    return [0, *map(int, fields[1 : SYSTEM_TICKS + 1])]
