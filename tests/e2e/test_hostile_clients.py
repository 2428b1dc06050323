"""Clients that send the requests that cost a server most do not delay other clients."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from tests import support
from tests.support import constant_rate
from tests.support.raw_http import parse
from tests.support.server import Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pymongo.database import Database

    from customer_service.repository.database import Document


LIVEZ_SECONDS = 0.5 if os.environ.get("FAULT_FIGURES") else 2.0  # on a machine that does much else
CHUNKS = 330_000
BOMB = b"1\r\n \r\n" * CHUNKS + b"0\r\n\r\n"
MEMBER = f"Authorization: {support.bearer()['Authorization']}"
POST = f"POST {support.customers_url('/batch-get')} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
GET = f"GET {support.url()} HTTP/1.1\r\nHost: x\r\n{MEMBER}\r\n"
SLOW_BODIES = {
    "two transfer codings": f"{POST}Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n",
    "a chunk size of nine digits": f"{POST}Transfer-Encoding: chunked\r\n\r\n000000001\r\n",
    "a chunk size behind a bare line feed": f"{POST}Transfer-Encoding: chunked\r\n\r\n5\n",
    "a length with 18 zeros": f"{POST}Content-Length: {'0' * 18}9\r\n\r\n",
    "a length of one byte too many": f"{POST}Content-Length: 1000001\r\n\r\n",
    "a length of a member": f"{POST}{MEMBER}\r\nContent-Length: 1000\r\n\r\n{{",
    "chunks of a member": f"{POST}{MEMBER}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{{",
    "a read with a body": f"{GET}Content-Length: 9\r\n\r\n",
}


@contextmanager
def slow_clients(server: Server, starts: Iterable[str], clients: int) -> Iterator[None]:
    """Let clients send each start, and then a byte every half second, for as long as the context lasts."""
    done = threading.Event()

    def send_slowly(start: bytes) -> None:
        while not done.wait(0.5):
            with suppress(OSError), socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
                client.sendall(start)
                while not done.wait(0.5):  # until it is answered, and its connection closed
                    client.sendall(b"1")

    threads = [threading.Thread(target=send_slowly, args=(start.encode(),)) for start in starts for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        time.sleep(1)
        yield
    finally:
        done.set()
        for thread in threads:
            thread.join()


def check_other_clients(server: Server, seconds: float) -> str:
    """Check that the reads and probes of other clients are prompt for this long; return the worst times."""
    alive = constant_rate.probe(server.port, constant_rate.liveness_probe(), seconds)
    read = constant_rate.probe(server.port, constant_rate.read_customer(), seconds)()
    assert set(read.answers) == set(alive().answers) == {"200"}
    assert alive().worst["200"] < LIVEZ_SECONDS
    assert read.worst["200"] < 2 * LIVEZ_SECONDS
    return f"reads at worst {read.worst['200'] * 1000:.0f} ms, /livez at worst {alive().worst['200'] * 1000:.0f} ms"


def send_bomb(server: Server, headers: str) -> tuple[int, float]:
    """Send a body of one-byte chunks; return the status of the answer, and the seconds that it took."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as client:
        started = time.monotonic()
        with suppress(OSError):  # it may be answered before all of it is sent
            client.sendall(f"{POST}{headers}Transfer-Encoding: chunked\r\n\r\n".encode() + BOMB)
        status = int(client.recv(65_536).split(b" ")[1])
        return status, time.monotonic() - started


@pytest.mark.timed
def test_a_body_of_tiny_chunks_without_a_token_is_not_read(
    server: Server, measured: Callable[[str, str], None]
) -> None:
    status, seconds = send_bomb(server, "")
    assert (status, seconds < 1) == (401, True)
    with ExitStack() as stack:
        for _ in range(8):
            stack.enter_context(repeating(lambda: send_bomb(server, "")))
        figures = check_other_clients(server, 3)
    measured(
        f"{CHUNKS:,} chunks of one byte without a token are a 401 unread; eight at a time delay no other client",
        f"401 after {seconds * 1000:.0f} ms; {figures}",
    )


@pytest.mark.timed
def test_a_members_body_of_tiny_chunks_delays_no_other_request(
    server: Server, measured: Callable[[str, str], None]
) -> None:
    assert send_bomb(server, f"{MEMBER}\r\n")[0] == 400
    with ExitStack() as stack:
        for _ in range(4):
            stack.enter_context(repeating(lambda: send_bomb(server, f"{MEMBER}\r\n")))
        figures = check_other_clients(server, 3)
    measured(
        f"members who send bodies of {CHUNKS:,} chunks of one byte, four at a time: other clients are served", figures
    )


@contextmanager
def repeating(work: Callable[[], object]) -> Iterator[None]:
    """Repeat the work in a thread for as long as the context lasts."""
    done = threading.Event()

    def repeat() -> None:
        while not done.is_set():
            work()

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@pytest.mark.timed
def test_slow_bodies_delay_no_other_request(server: Server, measured: Callable[[str, str], None]) -> None:
    with slow_clients(server, SLOW_BODIES.values(), 40):
        figures = check_other_clients(server, 2)
    measured(f"40 slow bodies of each of {len(SLOW_BODIES)} framings at a time: other clients are served", figures)


@pytest.mark.timed
def test_two_thousand_silent_connections_delay_no_other_request(
    server: Server, measured: Callable[[str, str], None]
) -> None:
    with ExitStack() as stack:
        for _ in range(2000):
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=10))
        with slow_clients(server, ["G", SLOW_BODIES["chunks of a member"]], 100):
            figures = check_other_clients(server, 3)
    measured("2,000 silent connections and 200 slow ones: other clients are served", figures)


def test_a_silent_connection_is_closed(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=15) as client:
        started = time.monotonic()
        assert client.recv(1) == b""
        assert 5 < time.monotonic() - started < 13


def test_a_members_body_that_does_not_arrive_is_a_408(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        client.sendall(SLOW_BODIES["a length of a member"].encode())
        started = time.monotonic()
        answer = parse(b"".join(iter(lambda: client.recv(65_536), b"")))
    assert 9 < time.monotonic() - started < 15
    assert (answer.status, answer.problem["type"]) == (408, "urn:problem-type:request-timeout")
    assert answer.headers["connection"] == "close"


@pytest.mark.timed
def test_clients_that_read_no_response_delay_no_other_request(
    mongodb_uri: str, mongodb: Database[Document], measured: Callable[[str, str], None]
) -> None:
    support.fill(mongodb)
    page = f"GET /openapi.json HTTP/1.1\r\nHost: x\r\n{MEMBER}\r\n\r\n".encode()
    with Server(mongodb_uri, mongodb.name) as server, ExitStack() as stack:
        for _ in range(16):
            client = stack.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", server.port))
            client.sendall(page * 100)
        measured("16 clients that do not read large answers: other clients are served", check_other_clients(server, 3))


@pytest.mark.timed
def test_a_slow_second_request_does_not_delay_a_stop(mongodb_uri: str, mongodb: Database[Document]) -> None:
    support.fill(mongodb)
    with Server(mongodb_uri, mongodb.name) as server, ExitStack() as stack:
        client = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=10))
        client.sendall(f"{GET}\r\n".encode())
        assert client.recv(65_536).startswith(b"HTTP/1.1 200")
        client.sendall(f"{GET}Content-Length: 9\r\n\r\n1".encode())
        stack.enter_context(slow_clients(server, [SLOW_BODIES["a read with a body"]], 4))
        started = time.monotonic()
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
        assert time.monotonic() - started < 10


@pytest.mark.parametrize(
    ("request_line", "statuses"),
    [
        (f"\r\nGET {support.customers_url('/changes')}?wait=20 HTTP/1.1", {401}),
        ("GET //livez HTTP/1.1", {404}),
        ("GET /api//livez HTTP/1.1", {404}),
        ("GET /livez HTTP/2.0", {400}),
        ("PUT http://x HTTP/1.1", {405}),
    ],
    ids=["a leading line break", "two slashes", "two slashes behind the prefix", "HTTP/2.0", "a URL without a path"],
)
def test_odd_request_lines_are_not_reinterpreted(server: Server, request_line: str, statuses: set[int]) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        client.sendall(f"{request_line}\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        answer = parse(b"".join(iter(lambda: client.recv(65_536), b"")))
    assert answer.status in statuses
    assert answer.problem["status"] == answer.status


def test_an_unknown_http_version_is_not_echoed(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        client.sendall(b"GET /livez HTTP/1.2\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert client.recv(65_536).startswith(b"HTTP/1.1 200 ")


@pytest.mark.timed
def test_cpu_bound_requests_do_not_delay_the_probe(
    mongodb_uri: str, mongodb: Database[Document], measured: Callable[[str, str], None]
) -> None:
    support.fill(mongodb)
    editor = support.bearer("editor") | {"Content-Type": "application/json"}
    mongodb.memberships.insert_one({"userId": "editor", "organizationId": support.ORGANIZATION, "role": "editor"})
    batch = {"customers": [support.new_customer(externalId=f"id-{number}", taxId=None) for number in range(100)]}
    body = json.dumps(batch).encode()
    large = json.dumps({"ids": [], "padding": ["x" * 10] * 70_000}).encode()

    def upsert() -> None:
        server.request("POST", support.customers_url("/batch-upsert"), editor, body, timeout=30)

    def page() -> None:
        server.request("GET", support.customers_url("?limit=100"), editor, timeout=30)

    def refuse() -> None:
        server.request("POST", support.customers_url("/batch-get"), editor, large, timeout=30)

    with Server(mongodb_uri, mongodb.name) as server, ExitStack() as stack:
        for work in (upsert, upsert, page, page, refuse, refuse):
            stack.enter_context(repeating(work))
        alive = constant_rate.probe(server.port, constant_rate.liveness_probe(), 3)()
    assert set(alive.answers) == {"200"}
    assert alive.worst["200"] < LIVEZ_SECONDS
    measured(
        "batches of 100, pages of 100 and bodies of 1 MB at a time: /livez is prompt",
        f"/livez at worst {alive.worst['200'] * 1000:.0f} ms",
    )
