"""gunicorn's options for this service, and the hooks of its master process."""

from __future__ import annotations

import gc
import os
import resource
import signal
from typing import TYPE_CHECKING, Any

from gunicorn.glogging import Logger

from customer_service.auth.tokens import TokenVerifier
from customer_service.errors import SettingsError
from customer_service.observability import metrics, request_log
from customer_service.repository.database import connect
from customer_service.server.limits import FINISH_SECONDS, IDLE_SECONDS, MAXIMUM_IN_FLIGHT, OTHER_WORKERS_SECONDS
from customer_service.settings import IN_MEMORY_URI
from customer_service.settings.server import DEFAULT_WORKERS
from customer_service.web import limits, shutdown
from customer_service.web.long_polling import MAXIMUM_LONG_POLLS

if TYPE_CHECKING:
    from types import FrameType

    from gunicorn.arbiter import Arbiter
    from gunicorn.workers.base import Worker

    from customer_service.settings import Settings

CONNECTIONS = 10_000
"""The maximum number of connections of a worker: an idle one takes about 20 kB."""

CONNECTIONS_TO_MONGODB = MAXIMUM_IN_FLIGHT + MAXIMUM_LONG_POLLS + 1
"""How many connections to MongoDB a worker may need at once: one of them follows the changes."""

KEEPALIVE_SECONDS = 620
"""Longer than a gateway keeps an idle connection, so that the gateway closes it first.

Load balancers keep it for up to 600 seconds, and a request that meets a connection which is being closed fails.
"""


def options(settings: Settings) -> dict[str, Any]:
    """Return gunicorn's settings; raises SettingsError if a worker could not start with these."""
    TokenVerifier(settings.jwt)
    connect(settings.mongodb, minimum_connections=CONNECTIONS_TO_MONGODB).client.close()
    server = settings.server
    return {
        "bind": f"0.0.0.0:{server.port}",
        "workers": _workers(settings),
        "worker_class": "customer_service.server.worker.DrainingWorker",
        "worker_connections": CONNECTIONS,
        "keepalive": KEEPALIVE_SECONDS,
        "graceful_timeout": int(server.drain_seconds + OTHER_WORKERS_SECONDS + IDLE_SECONDS + FINISH_SECONDS) + 1,
        "worker_tmp_dir": "/dev/shm",  # noqa: S108 - for the heartbeat, in memory: the root may be read-only
        "control_socket_disable": True,
        "limit_request_line": limits.MAXIMUM_REQUEST_LINE_BYTES,
        "limit_request_fields": limits.MAXIMUM_HEADER_FIELDS,
        "limit_request_field_size": limits.MAXIMUM_HEADER_FIELD_BYTES,
        "forwarder_headers": "",  # no client can set SCRIPT_NAME
        "forwarded_allow_ips": "",  # nor can gunicorn's proxies: web.proxy_headers has those to trust
        "logger_class": ServerLog,
        "logconfig_dict": request_log.logging_config(server.log_level),
        "when_ready": prepare,
        "post_worker_init": start_readiness_checks,
        "child_exit": lambda _arbiter, worker: metrics.mark_worker_dead(worker.pid),
        "on_exit": lambda _arbiter: metrics.disable_multiprocess(),
    }


def _workers(settings: Settings) -> int:
    if not settings.mongodb.in_memory:
        return settings.server.workers or DEFAULT_WORKERS
    if settings.server.workers not in {None, 1}:
        raise SettingsError(f"WEB_CONCURRENCY: must be 1 with {IN_MEMORY_URI}: each worker would have its own data")
    return 1


def prepare(arbiter: Arbiter) -> None:
    """Prepare the master process after it listens and before its first worker; a failed start does not get here."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # a connection takes a descriptor
    metrics.enable_multiprocess()
    announce_shutdown(arbiter)
    gc.freeze()  # what is imported stays: no collection of a worker has to examine it


def start_readiness_checks(worker: Worker) -> None:
    """Run the lasting readiness checks of the worker's application in the background, if it has some."""
    extensions = getattr(worker.app.wsgi(), "extensions", {})
    if "readiness" in extensions:
        extensions["readiness"].start()


def announce_shutdown(arbiter: Arbiter) -> None:
    """Set the shutdown flag on SIGTERM to the master, before gunicorn handles it; a reload does not set it.

    Until a new worker sets its own handlers, it has the master's. gunicorn's would drop the signal, and the worker
    would run until it is killed. It has accepted no connection yet, so it exits.
    """

    def begin(signum: int, frame: FrameType | None) -> None:
        if os.getpid() != arbiter.pid:
            os._exit(0)
        shutdown.begin()
        arbiter.signal(signum, frame)

    signal.signal(signal.SIGTERM, begin)


class ServerLog(Logger):
    """gunicorn's logger without access lines: the service logs its own."""

    def access(self, *_: object, **__: object) -> None:
        """Log nothing."""
