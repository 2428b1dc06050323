"""Two connections: one blocks the thread, the other awaits in asyncio's event loop.

httpx2's clients only build the requests: their `send` would log the URLs, which hold what is searched for. No
compression is requested: a small body can be decompressed to a very large one.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from contextlib import aclosing, closing, suppress
from typing import TYPE_CHECKING, Any

import httpx2

from customer_service import __version__
from customer_service.client.calls import Answer, Body

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Coroutine, Generator
    from typing import TypeVar

    from customer_service.client.calls import CallDeadline

    T = TypeVar("T")

HEADERS = {"User-Agent": f"customer-service-client/{__version__}", "Accept-Encoding": "identity"}

GRACE_SECONDS = 0.1
"""How much later than a step's own timeout a call is cancelled: the timeout's error names the step."""


def address_of(base_url: str) -> httpx2.URL:
    """Return the service's address; raises ValueError for one that no call can have."""
    with suppress(httpx2.InvalidURL):
        address = httpx2.URL(base_url)
        if address.scheme in {"http", "https"} and address.host:
            return address
    raise ValueError("base_url: give an address such as http://localhost:3001")


def tls_context(base_url: str) -> ssl.SSLContext:
    """Return a new TLS context for a client of this address; raises ValueError as `address_of`.

    For an address without TLS it trusts no certificate: to load the certificate authorities takes 30 ms. Clients do
    not share a context, since the library changes it before each handshake, and on some systems locks it meanwhile.
    """
    has_tls = address_of(base_url).scheme == "https"
    return httpx2.create_ssl_context() if has_tls else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class SyncConnection:
    """Blocks: its coroutines end without an event loop (`run`); threads may share it."""

    def __init__(self, base_url: str, transport: httpx2.BaseTransport) -> None:
        """Send to this address over this transport; raises ValueError for an address that is none."""
        self._transport = transport
        self.http = httpx2.Client(base_url=address_of(base_url), headers=HEADERS, transport=transport)

    async def exchange(self, request: httpx2.Request, deadline: CallDeadline) -> Answer:
        """Send the request; raises httpx2.RequestError, or UnexpectedAnswer for a body that is too large.

        The deadline is checked when a step begins, and when a part of the body arrives.
        """
        with closing(self._transport.handle_request(request)) as response:
            body = Body(deadline)
            if is_readable(response):
                for part in response.iter_bytes():
                    body.append(part)
            return Answer(response.status_code, response.headers, bytes(body.content))

    async def within(self, seconds: float, awaited: Awaitable[T]) -> T | None:  # noqa: ARG002 - as in AsyncConnection
        """Await without an event loop: `run` raises RuntimeError."""
        return await awaited

    async def sleep(self, seconds: float) -> None:
        """Block the thread."""
        time.sleep(seconds)  # noqa: ASYNC251 - no event loop runs this

    async def close(self) -> None:
        """Close the connections of the pool."""
        self.http.close()


class AsyncConnection:
    """Awaits, in asyncio's event loop."""

    def __init__(self, base_url: str, transport: httpx2.AsyncBaseTransport) -> None:
        """Send to this address over this transport; raises ValueError for an address that is none."""
        self._transport = transport
        self.http = httpx2.AsyncClient(base_url=address_of(base_url), headers=HEADERS, transport=transport)

    async def exchange(self, request: httpx2.Request, deadline: CallDeadline) -> Answer:
        """Send the request; raises httpx2.RequestError, or UnexpectedAnswer for a body that is too large."""
        answer = await self.within(deadline["read"] + GRACE_SECONDS, self._exchange(request, deadline))
        if answer is None:
            raise httpx2.ReadTimeout("the answer did not end in time")
        return answer

    async def within(self, seconds: float, awaited: Awaitable[T]) -> T | None:
        """Return what is awaited, or None if it takes longer; raises what it raises, also a TimeoutError."""
        limit = asyncio.timeout(seconds)
        try:
            async with limit:
                return await awaited
        except TimeoutError:
            if limit.expired():
                return None
            raise

    async def _exchange(self, request: httpx2.Request, deadline: CallDeadline) -> Answer:
        async with aclosing(await self._transport.handle_async_request(request)) as response:
            body = Body(deadline)
            if is_readable(response):
                async for part in response.aiter_bytes():
                    body.append(part)
            return Answer(response.status_code, response.headers, bytes(body.content))

    async def sleep(self, seconds: float) -> None:
        """Let the event loop run others."""
        await asyncio.sleep(seconds)

    async def close(self) -> None:
        """Close the connections of the pool."""
        await self.http.aclose()


def is_readable(response: httpx2.Response) -> bool:
    """Return whether the body is not encoded; one that is counts as empty, since no encoding was requested."""
    return response.headers.get("Content-Encoding", "identity") == "identity"


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Return the result of a coroutine that runs over a SyncConnection, and so never waits for an event loop.

    Raises RuntimeError if it does.
    """
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    coroutine.close()
    raise RuntimeError("a token that is awaited needs AsyncCustomerClient")


def iterate(items: AsyncGenerator[T, None]) -> Generator[T, None, None]:
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
