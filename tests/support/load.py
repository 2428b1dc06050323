"""Clients that send requests without pause, and count the responses."""

from __future__ import annotations

import http.client
import threading
import time
from typing import TYPE_CHECKING, Protocol

from tests import support

if TYPE_CHECKING:
    from collections.abc import Sequence

CLIENTS = 24
PATIENCE_SECONDS = 30
RequestParts = tuple[str, str, bytes | None]
READ: RequestParts = ("GET", support.url(), None)


class Connectable(Protocol):
    """A server to which clients connect."""

    def connect(self) -> http.client.HTTPConnection:
        """Return a connection that is not open yet."""


class Load:
    """Clients that send requests without pause until the server refuses a connection; each keeps its own, or not."""

    def __init__(self, server: Connectable, requests: Sequence[RequestParts] = (READ,), *, keep: bool = True) -> None:
        self._server = server
        self._requests = requests
        self._keep = keep
        self.answered = self.overloaded = 0
        self.failures: list[str] = []
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._send) for _ in range(CLIENTS)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        self.wait_for_answers()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def wait_for_answers(self) -> None:
        """Return once each client has got five more responses, on average, or a request has failed."""
        enough, deadline = self.answered + CLIENTS * 5, time.monotonic() + PATIENCE_SECONDS
        while self.answered < enough and not self.failures:
            assert time.monotonic() < deadline, (self.answered, self.overloaded)
            time.sleep(0.01)

    def _send(self) -> None:
        headers = support.bearer() | {"Content-Type": "application/json"}
        while not self._stopping.is_set():
            connection = self._server.connect()
            try:
                connection.connect()
            except ConnectionRefusedError:  # the server has stopped: a gateway would try another
                return
            self._send_until_closed(connection, headers)

    def _send_until_closed(self, connection: http.client.HTTPConnection, headers: dict[str, str]) -> None:
        while connection.sock is not None and not self._stopping.is_set():
            method, path, sent = self._requests[self.answered % len(self._requests)]
            try:
                connection.request(method, path, sent, headers)
                response = connection.getresponse()
                body = response.read()
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(repr(error))
                return
            if response.status == 503 and b"overloaded" in body:  # a slow machine: refused, and nothing changed
                self.overloaded += 1
            elif response.status != 200:
                self.failures.append(f"{response.status} {body[:500]!r}")
            else:
                self.answered += 1
            if not self._keep:
                break
        connection.close()
