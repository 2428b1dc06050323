"""Many who ask at once, and what became of their requests."""

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
Asked = tuple[str, str, bytes | None]
READ: Asked = ("GET", support.url(), None)


class Connectable(Protocol):
    """What can be connected to."""

    def connect(self) -> http.client.HTTPConnection:
        """Return a connection that is not open yet."""


class Crowd:
    """Clients that ask without pause until they are refused a connection, each on one that it keeps, or on new ones."""

    def __init__(self, server: Connectable, asked: Sequence[Asked] = (READ,), *, keep: bool = True) -> None:
        self._server = server
        self._asked = asked
        self._keep = keep
        self.answered = self.put_off = 0
        self.failures: list[str] = []
        self._leaving = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(CLIENTS)]

    def __enter__(self) -> Crowd:
        for thread in self._threads:
            thread.start()
        self.wait_for_answers()
        return self

    def __exit__(self, *_: object) -> None:
        self._leaving.set()
        for thread in self._threads:
            thread.join()

    def wait_for_answers(self) -> None:
        """Return once each client was answered five times more, on average, or a request has failed."""
        enough, deadline = self.answered + CLIENTS * 5, time.monotonic() + PATIENCE_SECONDS
        while self.answered < enough and not self.failures:
            assert time.monotonic() < deadline, (self.answered, self.put_off)
            time.sleep(0.01)

    def _ask(self) -> None:
        headers = support.bearer() | {"Content-Type": "application/json"}
        while not self._leaving.is_set():
            connection = self._server.connect()
            try:
                connection.connect()
            except ConnectionRefusedError:  # the server is gone: a gateway would have gone elsewhere
                return
            self._ask_until_closed(connection, headers)

    def _ask_until_closed(self, connection: http.client.HTTPConnection, headers: dict[str, str]) -> None:
        while connection.sock is not None and not self._leaving.is_set():
            method, path, sent = self._asked[self.answered % len(self._asked)]
            try:
                connection.request(method, path, sent, headers)
                response = connection.getresponse()
                body = response.read()
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(repr(error))
                return
            if (
                response.status == 503 and b"overloaded" in body
            ):  # a slow machine: the service refused it and changed nothing
                self.put_off += 1
            elif response.status != 200:
                self.failures.append(str(response.status))
            else:
                self.answered += 1
            if not self._keep:
                break
        connection.close()
