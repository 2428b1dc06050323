"""Clients that come at a steady rate whatever becomes of those before them, or that send a byte a second."""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests import support

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE_SECONDS = 20.0
PROBE_SECONDS = 0.05
GET = "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n"


@dataclass(slots=True)
class Flood:
    """What a flood was answered: how often each status, the worst time of each in seconds, and what was amiss."""

    answers: Counter[str] = field(default_factory=Counter)
    worst: dict[str, float] = field(default_factory=dict)
    amiss: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, status: str, seconds: float) -> None:
        """Count an answer."""
        self.answers[status] += 1
        self.worst[status] = max(self.worst.get(status, 0.0), seconds)


def request(path: str, headers: dict[str, str] | None = None) -> bytes:
    """Return a GET that ends its connection."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
    return GET.format(path=path, headers=lines).encode()


def read_customer() -> bytes:
    """Return the read of the example by its member."""
    return request(support.url(), support.bearer())


def flood(port: int, rate: float, seconds: float) -> Flood:
    """Send so many reads a second from a process of its own, each on a new connection."""
    return _elsewhere(_flood, port, rate, seconds)


def capacity(port: int, clients: int, seconds: float) -> float:
    """Return how many reads a second so many clients get answered who each wait for the last answer."""
    done = _elsewhere(_crowd, port, clients, seconds)
    return float(done.answers["200"] / done.seconds)


def probe(port: int, data: bytes, seconds: float) -> Callable[[], Flood]:
    """Ask this again and again, from a process of its own; returns what gives the Flood when it is called."""
    pool = multiprocessing.get_context("fork").Pool(1)
    later = pool.apply_async(_run, (_probe, port, data, seconds))
    pool.close()
    result: Callable[[], Flood] = later.get
    return result


def _elsewhere(work: Any, *arguments: Any) -> Flood:
    with multiprocessing.get_context("fork").Pool(1) as pool:
        result: Flood = pool.apply(_run, (work, *arguments))
        return result


def _run(work: Any, *arguments: Any) -> Flood:
    result: Flood = asyncio.run(work(*arguments))
    return result


def liveness() -> bytes:
    """Return the probe of the process."""
    return request("/livez")


async def _flood(port: int, rate: float, seconds: float) -> Flood:
    result, data, started = Flood(), read_customer(), time.monotonic()
    async with asyncio.TaskGroup() as tasks:
        for number in range(int(rate * seconds)):
            await asyncio.sleep(max(0.0, started + number / rate - time.monotonic()))
            tasks.create_task(_ask(port, data, result))
    result.seconds = time.monotonic() - started
    return result


async def _crowd(port: int, clients: int, seconds: float) -> Flood:
    result, data, started = Flood(), read_customer(), time.monotonic()

    async def client() -> None:
        while time.monotonic() - started < seconds:
            await _ask(port, data, result)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(clients):
            tasks.create_task(client())
    result.seconds = time.monotonic() - started
    return result


async def _probe(port: int, data: bytes, seconds: float) -> Flood:
    result, started = Flood(), time.monotonic()
    while time.monotonic() - started < seconds:
        await _ask(port, data, result)
        await asyncio.sleep(PROBE_SECONDS)
    return result


async def _ask(port: int, data: bytes, result: Flood) -> None:
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
        result.amiss.append(head)


async def _exchange(port: int, data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(data)
        return await reader.read(-1)
    finally:
        writer.close()


class Trickle:
    """Clients that each send a byte a second: half of them a head that never ends, half of them a body."""

    def __init__(self, port: int, clients: int) -> None:
        self._arguments = (port, clients)
        self._process = multiprocessing.get_context("fork").Process(target=_trickle, args=self._arguments, daemon=True)

    def __enter__(self) -> Trickle:
        self._process.start()
        time.sleep(3)  # until all are there
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.join()
        self._process.close()


def _trickle(port: int, clients: int) -> None:
    asyncio.run(_send_slowly(port, clients))


async def _send_slowly(port: int, clients: int) -> None:
    async with asyncio.TaskGroup() as tasks:
        for start in list(_starts(clients)):
            tasks.create_task(_drip(port, start))


def _starts(clients: int) -> Iterator[bytes]:
    post = f"POST {support.customers_url()} HTTP/1.1\r\nHost: x\r\n"
    bodies = (f"{post}Content-Length: 900\r\n\r\n{{", f"{post}Transfer-Encoding: chunked\r\n\r\n1")
    for number in range(clients):
        yield ("G", *bodies)[number % 3].encode()


async def _drip(port: int, start: bytes) -> None:
    while True:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(start)
        while not writer.is_closing():
            await asyncio.sleep(1)
            writer.write(b"1")
