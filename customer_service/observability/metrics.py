"""What Prometheus is told: of all the workers of this server together, and nothing that a caller could make up."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, multiprocess, values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from customer_service.repository import WorkerCaches
    from customer_service.repository.caches import Cache
    from customer_service.repository.driver import Connections

MEDIA_TYPE = "text/plain"
CONTENT_TYPE = prometheus_client.exposition.CONTENT_TYPE_PLAIN_0_0_4
DIRECTORY_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""The environment variable by which the library knows where processes add up what they tell."""

MEMORY = Path("/dev/shm")  # noqa: S108 - a directory of our own is made in it
FLUSH_SECONDS = 1.0
BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
METHOD_LABELS = {"HEAD": "GET"} | {method: method for method in ("GET", "POST", "PUT", "PATCH", "DELETE")}
OTHER_METHOD = "other"
UNMATCHED = "unmatched"

prometheus_client.disable_created_metrics()  # processes that share their metrics have none


def enable_multiprocess() -> None:
    """Make this process's children add up what they tell; call it before a server forks."""
    os.environ[DIRECTORY_VARIABLE] = tempfile.mkdtemp(
        prefix=f"customer-service-metrics-{os.getpid()}-", dir=MEMORY if MEMORY.is_dir() else None
    )
    values.ValueClass = values.MultiProcessValue()  # the library chose at its import, when there was no directory


def mark_worker_dead(pid: int) -> None:
    """Count a child that has ended among the living no more; what it has counted stays."""
    multiprocess.mark_process_dead(pid)


def disable_multiprocess() -> None:
    """Remove what the children told."""
    shutil.rmtree(os.environ.pop(DIRECTORY_VARIABLE), ignore_errors=True)


class Metrics:
    """The metrics of one application, and where its server shares them also those of the other workers.

    What is counted elsewhere in plain numbers is brought to the library once a second and before each scrape.
    """

    def __init__(self) -> None:
        """Begin at nothing."""
        self._directory = os.environ.get(DIRECTORY_VARIABLE)
        self._registry = CollectorRegistry()
        self._durations = Histogram(
            "customer_service_request_duration_seconds",
            "How long requests took, by method, route and status.",
            ("method", "route", "status"),
            buckets=BOUNDS,
            registry=self._registry,
        )
        self._counting, self._flushing = Lock(), Lock()
        self._in_flight = self._waiting = 0
        self._readings: list[Callable[[], object]] = []
        self._gauge("workers", "Workers that run.", lambda: 1)
        self._gauge("requests_in_flight", "Requests that are being answered.", lambda: self._in_flight)
        self._gauge("requests_waiting", "Requests that wait for a change.", lambda: self._waiting)

    def observe(self, method: str, route: str | None, status: int, seconds: float) -> None:
        """Count a request by its route's template, None where no route matched; never by its path."""
        self._durations.labels(METHOD_LABELS.get(method, OTHER_METHOD), route or UNMATCHED, str(status)).observe(
            seconds
        )

    def count_in_flight(self, wsgi_app: WSGIApplication) -> WSGIApplication:
        """Return the application with its requests counted while they are being answered."""

        def counted(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            self._count_requests(1, 0)
            try:
                return wsgi_app(environ, start_response)
            finally:
                self._count_requests(-1, 0)

        return counted

    @contextmanager
    def count_as_waiting(self) -> Iterator[None]:
        """Count a request within this context as one that waits, and not as one in flight."""
        self._count_requests(-1, 1)
        try:
            yield
        finally:
            self._count_requests(1, -1)

    def watch_caches(self, **caches: Cache[Any] | None) -> None:
        """Tell how often each of the caches, by its name, had what it was asked for."""
        hits = self._counter("cache_hits", "What a cache was asked for and had.", "cache")
        misses = self._counter("cache_misses", "What a cache was asked for and had not.", "cache")
        for name, cache in caches.items():
            if cache is not None:
                self._count(hits.labels(name), partial(getattr, cache, "hits"))
                self._count(misses.labels(name), partial(getattr, cache, "misses"))

    def watch_changes(self, worker_caches: WorkerCaches[Any]) -> None:
        """Tell how many workers follow MongoDB's changes, and how old the last one was when it came."""
        self._gauge(
            "changes_followed", "Workers that follow MongoDB's changes.", lambda: worker_caches.valid_from is not None
        )
        self._gauge(
            "changes_lag_seconds", "Age of the last change when it came.", lambda: worker_caches.lag_seconds, "livemax"
        )

    def watch_connections(self, read: Callable[[], Connections]) -> None:
        """Report how many connections to MongoDB there are."""
        self._gauge("mongodb_connections_open", "Connections to MongoDB.", lambda: read().open)
        self._gauge("mongodb_connections_in_use", "Connections that wait for MongoDB.", lambda: read().in_use)

    def watch_jwks(self, age: Callable[[], float], failures: Callable[[], int]) -> None:
        """Report how old the JWK set is, and how often it could not be fetched."""
        self._gauge("jwks_age_seconds", "Age of the oldest JWK set that a worker has.", age, "livemax")
        self._count(self._counter("jwks_fetch_failures", "Fetches that brought no usable JWK set."), failures)

    def watch_refusals(self, counts: Mapping[int, int]) -> None:
        """Tell how many requests were refused before the application saw them, by status."""
        refusals = self._counter("refusals", "Requests that were refused before the application saw them.", "status")
        for status in counts:
            self._count(refusals.labels(str(status)), partial(counts.__getitem__, status))

    def start(self) -> None:
        """Bring what is counted to where another worker finds it; call it after a server has forked."""
        if self._directory is not None:
            atexit.register(self._flush)
            Thread(target=self._flush_for_ever, name="metrics", daemon=True).start()

    def render(self) -> bytes:
        """Return everything in Prometheus' text format; of the other workers as of a second ago at most."""
        self._flush()
        if self._directory is None:
            return prometheus_client.generate_latest(self._registry)
        return prometheus_client.generate_latest(multiprocess.MultiProcessCollector(None, self._directory))

    def _count_requests(self, in_flight: int, waiting: int) -> None:
        with self._counting:
            self._in_flight += in_flight
            self._waiting += waiting

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"customer_service_{name}", text, labels, registry=self._registry)

    def _count(self, counter: Counter, read: Callable[[], int]) -> None:
        """Bring what was counted since the last time, to a counter that other processes may count on."""
        told = 0

        def bring() -> None:
            nonlocal told
            now = read()
            counter.inc(max(now - told, 0))  # threads that count at once may lose one
            told = now

        self._readings.append(bring)

    def _gauge(self, name: str, text: str, read: Callable[[], float], over_workers: Any = "livesum") -> None:
        gauge = Gauge(f"customer_service_{name}", text, registry=self._registry, multiprocess_mode=over_workers)
        self._readings.append(lambda: gauge.set(read()))

    def _flush(self) -> None:
        with self._flushing:
            for bring in self._readings:
                bring()

    def _flush_for_ever(self) -> None:
        while True:
            self._flush()
            time.sleep(FLUSH_SECONDS)
