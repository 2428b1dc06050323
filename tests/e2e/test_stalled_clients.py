"""Clients that never finish their requests do not delay other clients."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests import support

if TYPE_CHECKING:
    from tests.support.server import Server

pytestmark = pytest.mark.timed

CROWD = 200
PROMPT_SECONDS = 3.0  # a stalled thread would take far longer
PIECES = {
    "nothing": b"",
    "a byte": b"G",
    "half a body": b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{",
    "half a chunk": b"POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nf\r\n{",
    "an end that they ignore": b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "a body too large": b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n{",
}


@pytest.mark.parametrize("piece", PIECES.values(), ids=PIECES)
def test_stalled_clients_delay_no_other(server: Server, piece: bytes) -> None:
    with ExitStack() as stack:
        for _ in range(CROWD):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=10))
            client.sendall(piece)
        started = time.monotonic()
        assert server.get("/livez").status == 200
        assert server.get(support.url(), support.bearer()).status == 200
        assert time.monotonic() - started < PROMPT_SECONDS
