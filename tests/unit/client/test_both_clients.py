"""The two clients: the same methods, one blocking and one awaited."""

from __future__ import annotations

import asyncio
import inspect
import re
import ssl
import time
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from customer_service.client import AsyncCustomerClient, CustomerClient, Unreachable, connections
from tests.support import CUSTOMER_ID, EXAMPLE, ORGANIZATION

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

FOUND = httpx2.Response(200, json=EXAMPLE)
PAGE = httpx2.Response(200, json={"data": [EXAMPLE, EXAMPLE], "nextCursor": "2"})


def methods(kind: type) -> dict[str, Any]:
    return {name: value for name in dir(kind) if not name.startswith("_") and callable(value := getattr(kind, name))}


def test_they_have_the_same_methods() -> None:
    assert set(methods(CustomerClient)) == set(methods(AsyncCustomerClient))


@pytest.mark.parametrize("name", methods(CustomerClient))
def test_a_method_of_both_takes_and_returns_the_same(name: str) -> None:
    blocking, awaited = (inspect.signature(methods(kind)[name]) for kind in (CustomerClient, AsyncCustomerClient))
    assert blocking.parameters == awaited.parameters
    assert re.sub(r"Generator\[(\w+), None, None\]", r"AsyncGenerator[\1, None]", blocking.return_annotation) == (
        awaited.return_annotation
    )
    assert CustomerClient.__dict__[name].__doc__ == getattr(AsyncCustomerClient, name).__doc__


def test_a_token_may_be_awaited() -> None:
    sent: list[str] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        sent.append(request.headers["Authorization"])
        return FOUND

    async def token() -> str:
        await asyncio.sleep(0)
        return "awaited"

    async def main() -> None:
        async with AsyncCustomerClient(
            "http://x", token, ORGANIZATION, transport=httpx2.MockTransport(answer)
        ) as client:
            await client.get(CUSTOMER_ID)

    asyncio.run(main())
    assert sent == ["Bearer awaited"]


@pytest.mark.parametrize("token", ["", " ", "a token", "a-token\n", "señal"])
def test_a_token_that_no_request_can_have_is_refused_before_one_is_sent(token: str) -> None:
    transport = httpx2.MockTransport(lambda _: pytest.fail("it was sent"))
    with (
        CustomerClient("http://x", token, ORGANIZATION, transport=transport) as client,
        pytest.raises(ValueError, match="the token is empty, or has a space"),
    ):
        client.get(CUSTOMER_ID)


def test_a_token_that_is_awaited_is_refused_by_the_client_that_blocks() -> None:
    async def token() -> str:
        await asyncio.sleep(0)
        return "awaited"

    with (
        CustomerClient("http://x", token, ORGANIZATION, transport=httpx2.MockTransport(lambda _: FOUND)) as client,  # type: ignore[arg-type]
        pytest.raises(RuntimeError, match="needs AsyncCustomerClient"),
    ):
        client.get(CUSTOMER_ID)


def test_calls_of_one_client_run_at_once() -> None:
    """Each of three requests is answered only when all of them are there."""

    async def main() -> None:
        together = asyncio.Barrier(3)

        async def answer(_: httpx2.Request) -> httpx2.Response:
            await together.wait()
            return httpx2.Response(200, json=EXAMPLE)

        async with AsyncCustomerClient("http://x", "t", ORGANIZATION, transport=httpx2.MockTransport(answer)) as client:
            await asyncio.wait_for(asyncio.gather(*(client.get(CUSTOMER_ID) for _ in range(3))), 10)

    asyncio.run(main())


@pytest.mark.timed
def test_the_client_that_awaits_holds_its_deadline_against_any_answer() -> None:
    """httpx2 itself waits as long again after each informational response."""

    async def early_hints(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer), suppress(ConnectionError):
            while True:
                writer.write(b"HTTP/1.1 103 Early Hints\r\n\r\n")
                await writer.drain()
                await asyncio.sleep(0.05)

    async def main() -> float:
        server = await asyncio.start_server(early_hints, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with AsyncCustomerClient(f"http://127.0.0.1:{port}", "t", ORGANIZATION, timeout=1) as client:
            began = time.monotonic()
            with pytest.raises(Unreachable, match="GET: ReadTimeout"):
                await asyncio.wait_for(client.get(CUSTOMER_ID), 10)
            took = time.monotonic() - began
        server.close()
        await server.wait_closed()
        return took

    assert 0.9 < asyncio.run(main()) < 2


def test_a_token_that_never_arrives_is_given_up_at_the_deadline() -> None:
    async def token() -> str:
        await asyncio.Event().wait()
        raise AssertionError

    async def main() -> None:
        transport = httpx2.MockTransport(lambda _: PAGE)
        async with AsyncCustomerClient("http://x", token, ORGANIZATION, timeout=0.2, transport=transport) as client:
            with pytest.raises(Unreachable) as raised:
                await asyncio.wait_for(client.get(CUSTOMER_ID), 10)
            assert str(raised.value.__cause__) == "the token did not arrive in time"

    asyncio.run(main())


def test_a_timeout_of_the_token_function_is_raised_as_it_is() -> None:
    async def token() -> str:
        raise TimeoutError("the identity provider")

    async def main() -> None:
        transport = httpx2.MockTransport(lambda _: PAGE)
        async with AsyncCustomerClient("http://x", token, ORGANIZATION, transport=transport) as client:
            with pytest.raises(TimeoutError, match="the identity provider"):
                await client.get(CUSTOMER_ID)

    asyncio.run(main())


def test_a_call_that_is_cancelled_closes_its_response() -> None:
    closed: list[bool] = []
    begun = asyncio.Event()

    class Endless(httpx2.AsyncByteStream):
        async def __aiter__(self) -> Any:
            begun.set()
            while True:
                await asyncio.sleep(0.001)
                yield b" "

        async def aclose(self) -> None:
            closed.append(True)

    async def main() -> None:
        transport = httpx2.MockTransport(lambda _: httpx2.Response(200, stream=Endless()))
        async with AsyncCustomerClient("http://x", "t", ORGANIZATION, transport=transport) as client:
            call = asyncio.create_task(client.get(CUSTOMER_ID))
            await begun.wait()
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call

    asyncio.run(main())
    assert closed == [True]


def test_a_list_that_is_left_asks_for_no_more_pages() -> None:
    asked: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(request)
        return PAGE

    with CustomerClient("http://x", "t", ORGANIZATION, transport=httpx2.MockTransport(answer)) as client:
        customers = client.search()
        next(customers)
        customers.close()
        assert list(customers) == []
    assert len(asked) == 1


def test_only_a_client_of_an_address_with_tls_loads_the_certificate_authorities() -> None:
    plain, secure = connections.tls_context("HTTP://x"), connections.tls_context("https://x")
    assert plain.get_ca_certs() == []
    assert secure.get_ca_certs()
    for context in (plain, secure):
        assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert connections.tls_context("https://x") is not secure


def test_the_client_that_blocks_works_beside_a_running_loop() -> None:
    async def main() -> str:
        with CustomerClient("http://x", "t", ORGANIZATION, transport=httpx2.MockTransport(lambda _: PAGE)) as client:
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
    outer.close()
    assert closed == [True]
