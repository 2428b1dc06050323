"""The client for programs that run in asyncio's event loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import httpx2

from customer_service.client.calls import CallSender
from customer_service.client.connections import AsyncConnection, tls_context
from customer_service.client.operations import TIMEOUT_SECONDS, Operations

if TYPE_CHECKING:
    from customer_service.client.calls import AsyncToken


class AsyncCustomerClient(Operations):
    """The customers and members of one organization, over HTTP; the tasks of one event loop may share it.

    It has the methods and the rules of CustomerClient. Each is awaited, but for `search`, `pages`, `versions` and
    `follow`, which an `async for` iterates.
    """

    def __init__(
        self,
        base_url: str,
        token: AsyncToken,
        organization_id: str,
        *,
        timeout: float = TIMEOUT_SECONDS,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        """Take the service's address, a token or a function that returns or awaits one, and the deadline of a call."""
        self._connection = AsyncConnection(
            base_url, transport or httpx2.AsyncHTTPTransport(verify=tls_context(base_url))
        )
        super().__init__(CallSender(self._connection, token, timeout), organization_id)

    async def __aenter__(self) -> Self:
        """Return the client, which is closed afterwards."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the client."""
        await self.close()

    async def close(self) -> None:
        """Close its connections."""
        await self._connection.close()
