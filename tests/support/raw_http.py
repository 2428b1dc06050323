"""Send bytes over a socket, and parse the response as it was received."""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.support.nginx import Nginx
    from tests.support.server import Server


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """A status, the headers with their names in lower case, and the body."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def problem(self) -> dict[str, Any]:
        """The body of an answer that is a problem."""
        assert self.headers["content-type"] == "application/problem+json"
        problem: dict[str, Any] = json.loads(self.body)
        assert problem["status"] == self.status
        return problem


def send(server: Server | Nginx, *pieces: bytes) -> RawAnswer:
    """Send these bytes over a connection of their own, and read until the server closes it."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        for piece in pieces:
            connection.sendall(piece)
        connection.shutdown(socket.SHUT_WR)
        received = b"".join(iter(lambda: connection.recv(65_536), b""))
    return parse(received)


def parse(received: bytes) -> RawAnswer:
    """Return the one answer that these bytes are."""
    head, _, body = received.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    assert len(body) == int(headers["content-length"])
    return RawAnswer(int(status.split(" ")[1]), headers, body)
