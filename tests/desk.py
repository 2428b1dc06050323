"""A worker in a thread of this process, with its real sockets, and what a client of it needs."""

from __future__ import annotations

import http.client
import os
import selectors
import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from gunicorn.config import Config
from gunicorn.glogging import Logger

from tests.support import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from wsgiref.types import WSGIApplication

    from customer_service.reception import ReceivingWorker

PATIENCE = 10.0


class Desk:
    """The worker at its desk; what the application does may wait for `go_on`."""

    def __init__(
        self,
        listener: socket.socket,
        kind: type[ReceivingWorker],
        application: Callable[[threading.Event], WSGIApplication],
        threads: int,
    ) -> None:
        """Begin to serve."""
        self.go_on = threading.Event()
        config = Config()
        config.set("threads", threads)
        config.set("keepalive", 5)
        app = application(self.go_on)
        self.worker = kind(1, os.getppid(), [listener], app, 30, config, Logger(config))
        self.worker.wsgi = app  # type: ignore[assignment]
        self.worker.tpool = self.worker.get_thread_pool()
        self.worker.poller = selectors.DefaultSelector()
        self.worker.method_queue.init()
        self.address = listener.getsockname()
        self.failure: Exception | None = None
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def connect(self) -> socket.socket:
        """Return a new connection to it."""
        return socket.create_connection(self.address, timeout=PATIENCE)

    def wait_until(self, condition: Callable[[ReceivingWorker], object]) -> None:
        """Return once the worker is so."""
        wait_until(lambda: condition(self.worker), PATIENCE)

    def close(self) -> None:
        """Let it come to its end."""
        self.go_on.set()
        self.worker.alive = False
        if self.failure is None:
            self.worker.method_queue.defer(lambda: None)
        self.thread.join(PATIENCE)
        self.worker.probes.shutdown()
        self.worker.waiters.shutdown()
        self.worker.readers[1].shutdown()
        self.worker.tmp.close()

    def _run(self) -> None:
        try:
            self.worker.run()
        except Exception as error:  # noqa: BLE001 - for the test to judge
            self.failure = error


@contextmanager
def open_desk(
    kind: type[ReceivingWorker], application: Callable[[threading.Event], WSGIApplication], threads: int
) -> Iterator[Desk]:
    """Yield a worker that serves the application."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        desk = Desk(listener, kind, application, threads)
        try:
            yield desk
        finally:
            desk.close()


def post(path: str, body: bytes = b"", *headers: str, length: int | None = None) -> bytes:
    """Return a POST in the bytes that are sent."""
    lines = [f"POST {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body) if length is None else length}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def get(path: str, *headers: str, method: str = "GET") -> bytes:
    """Return a GET in the bytes that are sent."""
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: x", *headers, "", ""]).encode()


def bodies(connection: socket.socket) -> Generator[bytes]:
    """Return the bodies of answers that follow one another: an HTTPResponse would read into the next."""
    with connection.makefile("rb") as answers:
        while answers.readline():
            length = http.client.parse_headers(answers)["Content-Length"]
            yield answers.read(int(length))


def read(connection: socket.socket, method: str = "GET") -> tuple[int, http.client.HTTPMessage, bytes]:
    """Return the answer on the connection, on which no other is on its way."""
    response = http.client.HTTPResponse(connection, method=method)
    response.begin()
    return response.status, response.headers, response.read()
