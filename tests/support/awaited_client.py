"""AsyncCustomerClient for a test that blocks: each call is awaited in an event loop of its own thread."""

from __future__ import annotations

import asyncio
from functools import cache
from typing import TYPE_CHECKING, Any, Self

from customer_service.client import AsyncCustomerClient

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator


@cache
def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.new_event_loop()


class AwaitedClient:
    """Has the methods of CustomerClient, and the AsyncCustomerClient behind them."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._client = AsyncCustomerClient(*arguments, **options)

    def __enter__(self) -> Self:
        _loop().run_until_complete(self._client.__aenter__())
        return self

    def __exit__(self, *_: object) -> None:
        _loop().run_until_complete(self._client.__aexit__())

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)

        def call(*arguments: Any, **options: Any) -> Any:
            result: Any = method(*arguments, **options)
            return _iterate(result) if hasattr(result, "__anext__") else _loop().run_until_complete(result)

        return call


def _iterate(items: AsyncGenerator[Any, None]) -> Iterator[Any]:
    while True:
        try:
            yield _loop().run_until_complete(anext(items))
        except StopAsyncIteration:
            return
