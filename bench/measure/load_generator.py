"""A load generator for machines without wrk: one process, one thread, one request at a time on each connection.

    python -m bench.measure.load_generator PORT CONNECTIONS SECONDS FILE SEED

It prints the line that bench/measure/walk.lua prints. SEED is a number, or `once`, as in that file. It takes several
times as much processor time as wrk, on the same cores as the server: its ratios are flatter than wrk's.
"""

from __future__ import annotations

import random
import re
import selectors
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
FIRST_ERROR = b"4"


class Connection:
    """A connection that sends the next request once the last is answered."""

    def __init__(self, port: int, requests: Iterator[bytes]) -> None:
        """Connect to the port of this machine."""
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.latencies: list[float] = []
        self.failures = 0
        self._requests = requests
        self._received = b""

    def send(self) -> None:
        """Send the next request."""
        self._sent = time.perf_counter()
        self.socket.sendall(next(self._requests))

    def receive(self) -> None:
        """Take what has arrived; once it is an answer, count it and send the next request."""
        data = self.socket.recv(65_536)
        if not data:
            raise ConnectionError("the server closed the connection")
        self._received += data
        if not is_answer(self._received):
            return
        self.latencies.append(time.perf_counter() - self._sent)
        self.failures += self._received[9:10] >= FIRST_ERROR
        self._received = b""
        self.send()


def is_answer(received: bytes) -> bool:
    """Return whether this is a whole answer, one with a Content-Length or without a body."""
    head, end, body = received.partition(b"\r\n\r\n")
    if not end:
        return False
    length = LENGTH.search(head)
    return length is None or head.startswith(b"HTTP/1.1 304") or len(body) >= int(length[1])


def walk(requests: Sequence[bytes], seed: str) -> Iterator[bytes]:
    """Yield the requests in random order for ever, or `once`, in their order."""
    if seed == "once":
        yield from requests
        raise ValueError("every request of the file has been sent")
    chosen = random.Random(int(seed))  # noqa: S311 - a load is no secret
    while True:
        yield chosen.choice(requests)


def run(connections: list[Connection], seconds: float) -> float:
    """Keep every connection busy for so many seconds; return how many there were."""
    poller = selectors.DefaultSelector()
    for connection in connections:
        poller.register(connection.socket, selectors.EVENT_READ, connection)
        connection.send()
    started = time.perf_counter()
    while (elapsed := time.perf_counter() - started) < seconds:
        for key, _ in poller.select(timeout=0.1):
            key.data.receive()
    return elapsed


def main(arguments: list[str]) -> None:
    """Put the load on, and print what it saw."""
    port, count, seconds = int(arguments[0]), int(arguments[1]), float(arguments[2])
    requests = walk(Path(arguments[3]).read_bytes().split(b"\0"), arguments[4])
    connections = [Connection(port, requests) for _ in range(count)]
    elapsed = run(connections, seconds)
    latencies = sorted(each * 1e6 for connection in connections for each in connection.latencies)
    p50, p99 = (latencies[int(len(latencies) * share)] for share in (0.50, 0.99))
    failures = sum(connection.failures for connection in connections)
    sys.stdout.write(
        f"requests={len(latencies)} microseconds={elapsed * 1e6:.0f} p50={p50:.0f} p99={p99:.0f} failures={failures}\n"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
