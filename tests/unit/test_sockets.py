"""A client's connection: what is sent together, what waits and for how long, and whether the client is there still."""

from __future__ import annotations

import socket
import struct
import tempfile
import time
from typing import TYPE_CHECKING

import pytest

from customer_service import sockets
from customer_service.sockets import UNSENT_BYTES, ClientSocket

if TYPE_CHECKING:
    from collections.abc import Iterator

STALL_SECONDS = 0.2


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[ClientSocket, socket.socket]]:
    """The worker's end of a connection, as it was accepted, and the client's, which waits for nothing."""
    monkeypatch.setattr(sockets, "STALL", struct.pack("ll", 0, int(STALL_SECONDS * 1e6)))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        accepted = listener.accept()[0]
    accepted.setblocking(False)
    with client, ClientSocket(accepted) as served:
        yield served, client


def test_head_and_body_are_sent_together(ends: tuple[ClientSocket, socket.socket]) -> None:
    served, client = ends
    served.sendall(b"head ")
    served.sendall(b"body")
    with pytest.raises(BlockingIOError):
        client.recv(100, socket.MSG_DONTWAIT)
    served.flush()
    assert client.recv(100) == b"head body"
    served.flush()
    with pytest.raises(BlockingIOError):
        client.recv(100, socket.MSG_DONTWAIT)


def test_much_is_not_kept_back(ends: tuple[ClientSocket, socket.socket]) -> None:
    served, client = ends
    served.sendall(b"head")
    served.sendall(b"x" * UNSENT_BYTES)
    assert client.recv(UNSENT_BYTES + 4, socket.MSG_WAITALL) == b"head" + b"x" * UNSENT_BYTES


def test_a_file_comes_behind_its_head(ends: tuple[ClientSocket, socket.socket]) -> None:
    served, client = ends
    served.sendall(b"head ")
    with tempfile.TemporaryFile() as file:
        file.write(b"the body")
        file.flush()
        assert served.sendfile(file, 4) == 4
    assert client.recv(9, socket.MSG_WAITALL) == b"head body"


def test_no_call_waits_for_long_whoever_says_how_long(ends: tuple[ClientSocket, socket.socket]) -> None:
    served, _ = ends
    for seconds in (0.0, 60.0, None):
        served.settimeout(seconds)
        served.setblocking(bool(seconds))
        began = time.monotonic()
        with pytest.raises(BlockingIOError):
            served.recv(1)
        assert STALL_SECONDS / 2 < time.monotonic() - began < 5
    with pytest.raises(BlockingIOError):
        served.sendall(b"x" * 1000 * UNSENT_BYTES)


def test_whether_the_client_has_left(ends: tuple[ClientSocket, socket.socket]) -> None:
    served, client = ends
    assert not served.has_left()
    client.send(b"x")
    time.sleep(0.05)
    assert not served.has_left()
    assert served.recv(1) == b"x"
    client.close()
    time.sleep(0.05)
    assert served.has_left()
    served.close()
    assert served.has_left()
