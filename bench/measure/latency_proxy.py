"""A TCP proxy that stands between a server and MongoDB, and makes MongoDB so many milliseconds farther away.

    python -m bench.measure.latency_proxy PORT MONGOD_PORT MILLISECONDS

Half of the milliseconds are added to each direction's data, as a network does; how many bytes pass is not limited. It
waits with `select`, since `epoll` rounds every wait up to a whole millisecond. What it adds of its own, measured with
`ping` on 2 cores: 0.1 to 0.5 ms for a round trip, and 85 to 130 µs of processor time under load. That is why the bench
compares what is 1 ms and 5 ms away with 0 ms behind the same proxy.
"""

from __future__ import annotations

import asyncio
import selectors
import sys
from contextlib import suppress
from functools import partial

CHUNK = 65_536


async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float) -> None:
    """Write each chunk once it is so many seconds old, and close the other side as late."""
    later = partial(asyncio.get_running_loop().call_later, delay)
    with suppress(ConnectionError):
        while chunk := await reader.read(CHUNK):
            later(writer.write, chunk)
    later(writer.close)


async def connect(
    mongod_port: int, delay: float, from_server: asyncio.StreamReader, to_server: asyncio.StreamWriter
) -> None:
    """Connect a server to mongod, and relay both directions."""
    from_mongod, to_mongod = await asyncio.open_connection("127.0.0.1", mongod_port)
    await asyncio.gather(relay(from_server, to_mongod, delay), relay(from_mongod, to_server, delay))


async def serve(port: int, mongod_port: int, milliseconds: float) -> None:
    """Serve until this process is stopped."""
    connected = partial(connect, mongod_port, milliseconds / 2 / 1000)
    async with await asyncio.start_server(connected, "127.0.0.1", port) as server:
        await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())) as runner:
        runner.run(serve(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
