"""Send many requests of every kind on kept connections, and measure what the workers hold."""

from __future__ import annotations

import itertools
import json
import socket
import threading
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests import support
from tests.support.processes import Footprint, footprint, workers

if TYPE_CHECKING:
    from tests.support.server import Server

CLIENTS = 24
LEAST_WARM_UP = 500
LEAVING_SECONDS = 1.0  # until the connections of the clients are closed
TENTH = 10
CUSTOMERS = 200
MIX = ("read",) * 12 + ("unchanged", "unchanged", "list", "search", "livez", "missing", "foreign", "anonymous", "put")

EXPECTED = {
    *("read 200", "unchanged 304", "list 200", "search 200", "livez 200", "missing 404", "foreign 403"),
    *("anonymous 401", "put 201", "put 200"),
}
"""Each kind of request with its status."""


@dataclass(frozen=True, slots=True)
class Soak:
    """All the answers, those of the warm-up too, and what the workers held after the first tenth and at the end."""

    answers: Counter[str]
    first: dict[int, Footprint]
    last: dict[int, Footprint]

    def growth(self) -> float:
        """Return how much memory the workers hold at the end, for each byte after the first tenth."""
        return sum(each.memory for each in self.last.values()) / sum(each.memory for each in self.first.values())

    def descriptors(self) -> tuple[int, int]:
        """Return how many descriptors the workers have after the first tenth and at the end."""
        return sum(each.descriptors for each in self.first.values()), sum(
            each.descriptors for each in self.last.values()
        )

    def sockets(self) -> tuple[int, int]:
        """Return how many of them are sockets."""
        return sum(each.sockets for each in self.first.values()), sum(each.sockets for each in self.last.values())


def soak(server: Server, requests: int) -> Soak:
    """Make so many requests."""
    answers: Counter[str] = Counter()
    numbers = itertools.count()
    etag = server.get(support.url(), support.bearer()).headers["ETag"]
    kinds = _kinds(etag)
    _run(server, itertools.count(), max(LEAST_WARM_UP, requests // 100), kinds, answers)
    _run(server, numbers, requests // TENTH, kinds, answers)
    first = _held(server)
    _run(server, numbers, requests, kinds, answers)
    last = _held(server)
    assert set(first) == set(last), "a worker was replaced"
    return Soak(answers, first, last)


def _held(server: Server) -> dict[int, Footprint]:
    time.sleep(LEAVING_SECONDS)
    return {pid: footprint(pid) for pid in workers(server)}


def _run(
    server: Server, numbers: itertools.count[int], until: int, kinds: dict[str, bytes], answers: Counter[str]
) -> None:
    connections = [socket.create_connection(("127.0.0.1", server.port), timeout=30) for _ in range(CLIENTS)]
    threads = [threading.Thread(target=_send, args=(each, numbers, until, kinds, answers)) for each in connections]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for connection in connections:
        connection.close()


def _send(
    connection: socket.socket,
    numbers: itertools.count[int],
    until: int,
    kinds: dict[str, bytes],
    answers: Counter[str],
) -> None:
    while (number := next(numbers)) < until:
        kind = MIX[number % len(MIX)]
        connection.sendall(_put(number) if kind == "put" else kinds[kind])
        answers[f"{kind} {_status(connection)}"] += 1


def _kinds(etag: str) -> dict[str, bytes]:
    member = support.bearer(exp=2**31)
    missing = support.url(customer=support.MISSING_CUSTOMER_ID)
    return {
        "read": _get(support.url(), member),
        "unchanged": _get(support.url(), member | {"If-None-Match": etag}),
        "list": _get(support.customers_url("?limit=20"), member),
        "search": _get(support.customers_url("?q=dunder"), member),
        "livez": _get("/livez", {}),
        "missing": _get(missing, member),
        "foreign": _get(support.url(support.OTHER_ORGANIZATION), member),
        "anonymous": _get(support.url(), {}),
    }


def _put(number: int) -> bytes:
    which = number % CUSTOMERS
    body = support.NEW_CUSTOMER | {"taxId": f"SAB0102{which % 28 + 1:02}A{which // 100}{which // 28 % 4}"}
    data = json.dumps(body | {"legalName": f"Sabre {number}"}).encode()
    headers = support.bearer() | {"Content-Type": "application/json", "Content-Length": str(len(data))}
    return _head("PUT", support.customers_url(f"/by-external-id/{which}"), headers) + data


def _get(path: str, headers: dict[str, str]) -> bytes:
    return _head("GET", path, headers)


def _head(method: str, path: str, headers: dict[str, str]) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: x", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()


def _status(connection: socket.socket) -> str:
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65_536)
        assert data, "hung up"
    head, _, body = data.partition(b"\r\n\r\n")
    status = head[9:12].decode()
    if status == "304":
        return status
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    missing = int(lengths[0].split(b":")[1]) - len(body)
    while missing > 0:
        more = connection.recv(65_536)
        assert more, "hung up"
        missing -= len(more)
    return status
