"""gunicorn, set up for this service: its options, and a drain that loses no request."""

from __future__ import annotations

import signal
import threading
from contextlib import suppress
from select import select
from typing import TYPE_CHECKING, Any

from gunicorn.glogging import Logger
from gunicorn.util import write_nonblock

from customer_service import drain, metrics, observability, refusals
from customer_service.database import connect
from customer_service.errors import SettingsError
from customer_service.inline import InlineWorker
from customer_service.settings import IN_MEMORY_URI, ServerSettings
from customer_service.tokens import TokenVerifier

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from types import FrameType

    from gunicorn.arbiter import Arbiter

    from customer_service.settings import Settings

DEFAULT_WORKERS = 2
THREADS = 8
KEEPALIVE_SECONDS = 75  # longer than a gateway keeps an idle connection, so that the gateway closes it first
REFUSING_SECONDS = 0.5
FINISHING_SECONDS = 5.0
REQUEST_LINE_BYTES = 8190  # gunicorn allows no more; a cursor that keeps the longest filters has 6,200
HEADER_FIELDS = 100
HEADER_FIELD_BYTES = 8190


def options(settings: Settings) -> dict[str, Any]:
    """Return gunicorn's settings; raises SettingsError where a worker could not start with these."""
    TokenVerifier(settings.jwt)
    connect(settings.mongodb).client.close()
    server = settings.server
    return {
        "bind": f"0.0.0.0:{server.port}",
        "workers": _workers(settings),
        "worker_class": "customer_service.server.DrainingWorker",
        "threads": 1 if settings.mongodb.in_memory else THREADS,  # what writes to mongomock at once is lost
        "keepalive": KEEPALIVE_SECONDS,
        "graceful_timeout": int(
            server.drain_seconds + REFUSING_SECONDS + settings.mongodb.timeout_ms / 1000 + FINISHING_SECONDS
        ),
        "worker_tmp_dir": "/dev/shm",  # noqa: S108 - the heartbeat's place, in memory: the root may be read-only
        "control_socket_disable": True,
        "limit_request_line": REQUEST_LINE_BYTES,
        "limit_request_fields": HEADER_FIELDS,
        "limit_request_field_size": HEADER_FIELD_BYTES,
        "forwarder_headers": "",  # no client moves the service to another path
        "forwarded_allow_ips": "",  # nor gunicorn itself: whom to believe is for `gateway` to judge
        "logger_class": ServerLog,
        "logconfig_dict": observability.logging_config(server.log_level),
        "when_ready": prepare,
        "child_exit": lambda _arbiter, worker: metrics.leave_out(worker.pid),
        "on_exit": lambda _arbiter: metrics.unshare(),
    }


def _workers(settings: Settings) -> int:
    if not settings.mongodb.in_memory:
        return settings.server.workers or DEFAULT_WORKERS
    if settings.server.workers not in {None, 1}:
        raise SettingsError(f"WEB_CONCURRENCY: must be 1 with {IN_MEMORY_URI}: each worker has a memory of its own")
    return 1


def prepare(arbiter: Arbiter) -> None:
    """Do what comes between the listening socket and the first worker: the master may not get as far as that."""
    metrics.share()
    announce_stop(arbiter)


def announce_stop(arbiter: Arbiter) -> None:
    """Make a SIGTERM to the master known to its workers before gunicorn acts on it; a reload sends them none."""

    def begin(signum: int, frame: FrameType | None) -> None:
        drain.begin()
        arbiter.signal(signum, frame)

    signal.signal(signal.SIGTERM, begin)


class ServerLog(Logger):
    """gunicorn's log without its line for each request, which it would put together and nobody would read."""

    def access(self, *_: object, **__: object) -> None:
        """Say nothing: the service has a line of its own."""


class DrainingWorker(InlineWorker):
    """A worker that goes on serving for DRAIN_SECONDS after the master was told to stop.

    Then it stops listening, having taken every connection that the kernel had accepted for it, and only once
    all workers have done so does it tell its clients to leave: whoever is told to leave is refused at the next
    connection, and not reset.
    """

    leaving = False

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to leave, on SIGTERM: after the drain where the server stops, at once where it reloads."""
        if not self.leaving:
            self.leaving = True
            pause = ServerSettings.from_environment().drain_seconds if drain.in_progress() else 0
            self._later(pause, lambda: self._stop_listening(sig, frame))

    def accept(self, listener: socket.socket) -> None:
        """Accept a connection, unless the poller's round began before this worker stopped listening."""
        if listener in self.sockets:
            super().accept(listener)

    def handle_error(self, req: object, client: socket.socket, addr: object, exc: BaseException) -> None:  # noqa: ARG002 - gunicorn's signature
        """Answer what cannot be read as a problem: gunicorn would answer HTML, and log what it could not read."""
        with suppress(OSError):  # whoever sent it may be gone
            write_nonblock(client, refusals.answer(exc))

    def _stop_listening(self, sig: int, frame: FrameType | None) -> None:
        self.set_accept_enabled(False)
        for listener in self.sockets:
            self._accept_backlog(listener)
            listener.close()
        self.sockets = []
        super_exit = super().handle_exit
        self._later(REFUSING_SECONDS, lambda: super_exit(sig, frame))

    def _accept_backlog(self, listener: socket.socket) -> None:
        while select([listener], [], [], 0)[0]:
            self.accept(listener)

    def _later(self, seconds: float, step: Callable[[], object]) -> None:
        """Run the step in the worker's main loop, which owns its connections."""
        timer = threading.Timer(seconds, self.method_queue.defer, (step,))
        timer.daemon = True
        timer.start()
