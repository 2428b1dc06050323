"""Send reads at a constant rate, whether or not earlier requests are answered, and measure capacity and liveness."""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests import support

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE_SECONDS = 20.0
PROBE_SECONDS = 0.05
GET = "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n"


@dataclass(slots=True)
class LoadResult:
    """Count the responses of each status and their worst time in seconds; keep the heads that lack Retry-After."""

    answers: Counter[str] = field(default_factory=Counter)
    worst: dict[str, float] = field(default_factory=dict)
    without_retry_after: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, status: str, seconds: float) -> None:
        """Count a response."""
        self.answers[status] += 1
        self.worst[status] = max(self.worst.get(status, 0.0), seconds)


def request(path: str, headers: dict[str, str] | None = None) -> bytes:
    """Return a GET request whose connection ends with the response."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
    return GET.format(path=path, headers=lines).encode()


def read_customer() -> bytes:
    """Return the member's read of the example."""
    return request(support.url(), support.bearer())


def send_reads(port: int, rate: float, seconds: float) -> LoadResult:
    """Send reads at this rate from another process, each on a new connection."""
    return _in_process(_send_reads, port, rate, seconds)


def measure_capacity(port: int, clients: int, seconds: float) -> float:
    """Return how many reads a second are answered if each client waits for its last response."""
    done = send_when_answered(port, clients, seconds)
    return done.answers["200"] / done.seconds


def send_when_answered(port: int, clients: int, seconds: float) -> LoadResult:
    """Send reads from another process: each client waits for its last response, and then opens a new connection."""
    return _in_process(_send_when_answered, port, clients, seconds)


def probe(port: int, data: bytes, seconds: float) -> Callable[[], LoadResult]:
    """Send this request repeatedly from another process; return a function that waits for the result."""
    pool = multiprocessing.get_context("fork").Pool(1)
    later = pool.apply_async(_run, (_probe, port, data, seconds))
    pool.close()
    result: Callable[[], LoadResult] = later.get
    return result


def _in_process(work: Any, *arguments: Any) -> LoadResult:
    with multiprocessing.get_context("fork").Pool(1) as pool:
        result: LoadResult = pool.apply(_run, (work, *arguments))
        return result


def _run(work: Any, *arguments: Any) -> LoadResult:
    result: LoadResult = asyncio.run(work(*arguments))
    return result


def liveness_probe() -> bytes:
    """Return a request of /livez."""
    return request("/livez")


async def _send_reads(port: int, rate: float, seconds: float) -> LoadResult:
    result, data, started = LoadResult(), read_customer(), time.monotonic()
    async with asyncio.TaskGroup() as tasks:
        for number in range(int(rate * seconds)):
            await asyncio.sleep(max(0.0, started + number / rate - time.monotonic()))
            tasks.create_task(_send(port, data, result))
    result.seconds = time.monotonic() - started
    return result


async def _send_when_answered(port: int, clients: int, seconds: float) -> LoadResult:
    result, data, started = LoadResult(), read_customer(), time.monotonic()

    async def client() -> None:
        while time.monotonic() - started < seconds:
            await _send(port, data, result)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(clients):
            tasks.create_task(client())
    result.seconds = time.monotonic() - started
    return result


async def _probe(port: int, data: bytes, seconds: float) -> LoadResult:
    result, started = LoadResult(), time.monotonic()
    while time.monotonic() - started < seconds:
        await _send(port, data, result)
        await asyncio.sleep(PROBE_SECONDS)
    return result


async def _send(port: int, data: bytes, result: LoadResult) -> None:
    started = time.monotonic()
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            answer = await _exchange(port, data)
    except (OSError, TimeoutError) as error:
        result.add(type(error).__name__, time.monotonic() - started)
        return
    head, _, body = answer.decode("latin-1").partition("\r\n\r\n")
    status = head.split(" ")[1] if head else "nothing"
    status += " overloaded" * ("problem-type:overloaded" in body)
    result.add(status, time.monotonic() - started)
    if status.startswith(("503", "429")) and "\r\nRetry-After:" not in head:
        result.without_retry_after.append(head)


async def _exchange(port: int, data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(data)
        return await reader.read(-1)
    finally:
        writer.close()
