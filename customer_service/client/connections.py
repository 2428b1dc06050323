"""Two connections: one blocks the thread, the other awaits in asyncio's event loop.

httpx's clients only build the requests: their `send` would log the URLs, which hold what is searched for.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Any

import httpx

from customer_service import __version__
from customer_service.client.calls import Answer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Coroutine, Iterator
    from typing import TypeVar

    from customer_service.client.calls import CallDeadline

    T = TypeVar("T")

HEADERS = {"User-Agent": f"customer-service-client/{__version__}"}


class SyncConnection:
    """Blocks: its coroutines end without an event loop (`run`); threads may share it."""

    def __init__(self, base_url: str, transport: httpx.BaseTransport) -> None:
        """Send over this transport."""
        self._transport = transport
        self.http = httpx.Client(base_url=base_url, headers=HEADERS, transport=transport)

    async def exchange(self, request: httpx.Request, deadline: CallDeadline) -> Answer:
        """Send the request; raises httpx.RequestError."""
        with closing(self._transport.handle_request(request)) as response:
            body = b"".join(deadline.check(part) for part in response.iter_bytes())
            return Answer(response.status_code, response.headers, body)

    async def sleep(self, seconds: float) -> None:
        """Block the thread."""
        time.sleep(seconds)  # noqa: ASYNC251 - no event loop runs this

    async def close(self) -> None:
        """Close the connections of the pool."""
        self.http.close()


class AsyncConnection:
    """Awaits, in asyncio's event loop."""

    def __init__(self, base_url: str, transport: httpx.AsyncBaseTransport) -> None:
        """Send over this transport."""
        self._transport = transport
        self.http = httpx.AsyncClient(base_url=base_url, headers=HEADERS, transport=transport)

    async def exchange(self, request: httpx.Request, deadline: CallDeadline) -> Answer:
        """Send the request; raises httpx.RequestError."""
        async with aclosing(await self._transport.handle_async_request(request)) as response:
            body = b"".join([deadline.check(part) async for part in response.aiter_bytes()])
            return Answer(response.status_code, response.headers, body)

    async def sleep(self, seconds: float) -> None:
        """Let the event loop run others."""
        await asyncio.sleep(seconds)

    async def close(self) -> None:
        """Close the connections of the pool."""
        await self.http.aclose()


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Return the result of a coroutine over a SyncConnection, in one step; raises RuntimeError if it awaits a loop."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    coroutine.close()
    raise RuntimeError("a token that is awaited needs AsyncCustomerClient")


def iterate(items: AsyncGenerator[T, None]) -> Iterator[T]:
    """Yield the items of an asynchronous generator over a SyncConnection."""
    try:
        while True:
            try:
                item = run(items.asend(None))
            except StopAsyncIteration:
                return
            yield item
    finally:
        run(items.aclose())
