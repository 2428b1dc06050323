"""The two clients: the same methods, one blocking and one awaited."""

from __future__ import annotations

import asyncio
import inspect
import re
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from customer_service.client import AsyncCustomerClient, CustomerClient, connections
from tests.support import EXAMPLE

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

FOUND = httpx.Response(200, json=EXAMPLE)
PAGE = httpx.Response(200, json={"data": [EXAMPLE, EXAMPLE], "nextCursor": "2"})


def methods(kind: type) -> dict[str, Any]:
    return {name: value for name in dir(kind) if not name.startswith("_") and callable(value := getattr(kind, name))}


def test_they_have_the_same_methods() -> None:
    assert set(methods(CustomerClient)) == set(methods(AsyncCustomerClient))


@pytest.mark.parametrize("name", methods(CustomerClient))
def test_a_method_of_both_takes_and_returns_the_same(name: str) -> None:
    blocking, awaited = (inspect.signature(methods(kind)[name]) for kind in (CustomerClient, AsyncCustomerClient))
    assert blocking.parameters == awaited.parameters
    assert re.sub(r"Iterator\[(\w+)\]", r"AsyncGenerator[\1, None]", blocking.return_annotation) == (
        awaited.return_annotation
    )
    assert CustomerClient.__dict__[name].__doc__ == getattr(AsyncCustomerClient, name).__doc__


def test_a_token_may_be_awaited() -> None:
    sent: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request.headers["Authorization"])
        return FOUND

    async def token() -> str:
        await asyncio.sleep(0)
        return "awaited"

    async def main() -> None:
        async with AsyncCustomerClient("http://x", token, "one", transport=httpx.MockTransport(answer)) as client:
            await client.get("x")

    asyncio.run(main())
    assert sent == ["Bearer awaited"]


@pytest.mark.parametrize("token", ["", " ", "a token", "a-token\n", "señal"])
def test_a_token_that_no_request_can_have_is_refused_before_one_is_sent(token: str) -> None:
    transport = httpx.MockTransport(lambda _: pytest.fail("it was sent"))
    with (
        CustomerClient("http://x", token, "one", transport=transport) as client,
        pytest.raises(ValueError, match="the token is empty, or has a space"),
    ):
        client.get("x")


def test_a_token_that_is_awaited_is_refused_by_the_client_that_blocks() -> None:
    async def token() -> str:
        await asyncio.sleep(0)
        return "awaited"

    with (
        CustomerClient("http://x", token, "one", transport=httpx.MockTransport(lambda _: FOUND)) as client,  # type: ignore[arg-type]
        pytest.raises(RuntimeError, match="needs AsyncCustomerClient"),
    ):
        client.get("x")


def test_calls_of_one_client_run_at_once() -> None:
    """Each of three requests is answered only when all of them are there."""

    async def main() -> None:
        together = asyncio.Barrier(3)

        async def answer(_: httpx.Request) -> httpx.Response:
            await together.wait()
            return httpx.Response(200, json=EXAMPLE)

        async with AsyncCustomerClient("http://x", "t", "one", transport=httpx.MockTransport(answer)) as client:
            await asyncio.wait_for(asyncio.gather(*(client.get(name) for name in "abc")), 10)

    asyncio.run(main())


def test_a_call_that_is_cancelled_closes_its_response() -> None:
    closed: list[bool] = []
    begun = asyncio.Event()

    class Endless(httpx.AsyncByteStream):
        async def __aiter__(self) -> Any:
            begun.set()
            while True:
                await asyncio.sleep(0.001)
                yield b" "

        async def aclose(self) -> None:
            closed.append(True)

    async def main() -> None:
        transport = httpx.MockTransport(lambda _: httpx.Response(200, stream=Endless()))
        async with AsyncCustomerClient("http://x", "t", "one", transport=transport) as client:
            call = asyncio.create_task(client.get("x"))
            await begun.wait()
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call

    asyncio.run(main())
    assert closed == [True]


def test_a_list_that_is_left_asks_for_no_more_pages() -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return PAGE

    with CustomerClient("http://x", "t", "one", transport=httpx.MockTransport(answer)) as client:
        customers = client.search()
        next(customers)
        customers.close()  # type: ignore[attr-defined]
        assert list(customers) == []
    assert len(asked) == 1


def test_the_client_that_blocks_works_beside_a_running_loop() -> None:
    async def main() -> str:
        with CustomerClient("http://x", "t", "one", transport=httpx.MockTransport(lambda _: PAGE)) as client:
            return next(client.search()).id

    assert asyncio.run(main()) == EXAMPLE["id"]


def test_a_list_that_is_left_is_closed_at_once() -> None:
    closed: list[bool] = []

    async def items() -> AsyncGenerator[int, None]:
        try:
            yield 1
        finally:
            closed.append(True)

    inner = items()  # kept, so that no garbage collection closes it
    outer = connections.iterate(inner)
    assert next(outer) == 1
    outer.close()  # type: ignore[attr-defined]
    assert closed == [True]
