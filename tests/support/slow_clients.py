"""Clients that send one byte a second and never finish their requests."""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from typing import TYPE_CHECKING

from tests import support

if TYPE_CHECKING:
    from collections.abc import Iterator


class SlowClients:
    """Send a byte a second on each connection: a third of them headers, a third a body, a third chunks."""

    def __init__(self, port: int, clients: int) -> None:
        self._arguments = (port, clients)
        self._process = multiprocessing.get_context("fork").Process(target=_run, args=self._arguments, daemon=True)

    def __enter__(self) -> SlowClients:
        self._process.start()
        time.sleep(3)  # until all are connected
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.join()
        self._process.close()


def _run(port: int, clients: int) -> None:
    asyncio.run(_send_slowly(port, clients))


async def _send_slowly(port: int, clients: int) -> None:
    async with asyncio.TaskGroup() as tasks:
        for start in list(_request_starts(clients)):
            tasks.create_task(_send_bytes(port, start))


def _request_starts(clients: int) -> Iterator[bytes]:
    post = f"POST {support.customers_url()} HTTP/1.1\r\nHost: x\r\n"
    bodies = (f"{post}Content-Length: 900\r\n\r\n{{", f"{post}Transfer-Encoding: chunked\r\n\r\n1")
    for number in range(clients):
        yield ("G", *bodies)[number % 3].encode()


async def _send_bytes(port: int, start: bytes) -> None:
    while True:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(start)
        while not writer.is_closing():
            await asyncio.sleep(1)
            writer.write(b"1")
