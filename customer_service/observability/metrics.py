"""Metrics for Prometheus, of all workers of a server together; no label has a value that a caller can choose."""

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
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Metric,
    ProcessCollector,
    multiprocess,
    values,
)
from prometheus_client.registry import Collector

from customer_service import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from customer_service.repository import WorkerCaches
    from customer_service.repository.driver_internals import Connections
    from customer_service.repository.expiring_cache import Cache

TEXT_MEDIA_TYPE = "text/plain"
CONTENT_TYPE = prometheus_client.exposition.CONTENT_TYPE_PLAIN_0_0_4
DIRECTORY_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""The environment variable that names the directory in which the library adds up the metrics of processes."""

MEMORY = Path("/dev/shm")  # noqa: S108 - a directory of our own is made in it
FLUSH_SECONDS = 1.0
BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0)
METHOD_LABELS = {"HEAD": "GET"} | {method: method for method in ("GET", "POST", "PUT", "PATCH", "DELETE")}
OTHER_METHOD = "other"
UNMATCHED = "unmatched"

PROCESS_GAUGES = {
    "process_resident_memory_bytes": "livesum",
    "process_virtual_memory_bytes": "livesum",
    "process_start_time_seconds": "livemin",
    "process_open_fds": "livemax",
    "process_max_fds": "livemin",
}
"""How each of the library's process gauges is aggregated over the workers; the library has none across processes."""

prometheus_client.disable_created_metrics()  # processes that share their metrics have none


def enable_multiprocess() -> None:
    """Let the child processes add up their metrics; call it before a server forks."""
    os.environ[DIRECTORY_VARIABLE] = tempfile.mkdtemp(
        prefix=f"customer-service-metrics-{os.getpid()}-", dir=MEMORY if MEMORY.is_dir() else None
    )
    values.ValueClass = values.MultiProcessValue()  # the library chose at its import, when there was no directory


def mark_worker_dead(pid: int) -> None:
    """Remove an ended child from the gauges of live workers; its counters stay."""
    multiprocess.mark_process_dead(pid)


def disable_multiprocess() -> None:
    """Remove the files in which the child processes added up their metrics."""
    shutil.rmtree(os.environ.pop(DIRECTORY_VARIABLE), ignore_errors=True)


class ProcessesCollector(Collector):
    """Collects the metrics of all processes from their files.

    It leaves out an empty file, which makes the library's own collector fail. A process creates its files empty, and
    may be killed before it writes.
    """

    def __init__(self, directory: Path) -> None:
        """Collect from the files of this directory."""
        self._directory = directory

    def collect(self) -> Iterable[Metric]:
        """Return the metrics, each with the values of all processes together; raises OSError without the directory."""
        files = [str(file) for file in self._directory.iterdir() if file.suffix == ".db" and _is_written(file)]
        metrics: Iterable[Metric] = multiprocess.MultiProcessCollector.merge(files)
        return metrics


def _is_written(file: Path) -> bool:
    """Return whether the file has a content; another process may just have removed it."""
    try:
        return file.stat().st_size > 0
    except FileNotFoundError:
        return False


class Metrics:
    """The metrics of one application and, in multiprocess mode, of the server's other workers.

    Plain numbers that are counted elsewhere are copied to the library once a second and before each scrape.
    """

    def __init__(self) -> None:
        """Create metrics without any observation."""
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
        self._updates: list[Callable[[], object]] = []
        self._watch("workers", "Workers that run.", lambda: 1)
        self._watch("requests_in_flight", "Requests in flight.", lambda: self._in_flight)
        self._watch("requests_waiting", "Requests that wait for a change.", lambda: self._waiting)
        build = self._gauge("customer_service_build_info", "The version of the service.", "livemax", "version")
        build.labels(__version__).set(1)
        self._watch_process()

    def observe(self, method: str, route: str | None, status: int, seconds: float) -> None:
        """Count a request by its route's template, None if no route matched; never by its path."""
        labels = (METHOD_LABELS.get(method, OTHER_METHOD), route or UNMATCHED, str(status))
        self._durations.labels(*labels).observe(seconds)

    def count_in_flight(self, wsgi_app: WSGIApplication) -> WSGIApplication:
        """Return the application with its requests counted while they are in flight."""

        def counted(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            self._count_requests(1, 0)
            try:
                return wsgi_app(environ, start_response)
            finally:
                self._count_requests(-1, 0)

        return counted

    @contextmanager
    def count_as_waiting(self) -> Iterator[None]:
        """Count the request of this context as waiting instead of in flight."""
        self._count_requests(-1, 1)
        try:
            yield
        finally:
            self._count_requests(1, -1)

    def watch_caches(self, **caches: Cache[Any] | None) -> None:
        """Export the hits and misses of each cache under its name."""
        hits = self._counter("customer_service_cache_hits", "Look-ups that a cache answered.", "cache")
        misses = self._counter("customer_service_cache_misses", "Look-ups that a cache could not answer.", "cache")
        for name, cache in caches.items():
            if cache is not None:
                self._count(hits.labels(name), partial(getattr, cache, "hits"))
                self._count(misses.labels(name), partial(getattr, cache, "misses"))

    def watch_changes(self, caches: WorkerCaches[Any]) -> None:
        """Export how many workers follow MongoDB's changes, and the age of the last change on its arrival."""
        self._watch("changes_followed", "Workers that follow MongoDB's changes.", lambda: caches.valid_from is not None)
        self._watch(
            "changes_lag_seconds", "Age of the last change when it came.", lambda: caches.lag_seconds, "livemax"
        )

    def watch_connections(self, read: Callable[[], Connections]) -> None:
        """Export the number of connections to MongoDB."""
        self._watch("mongodb_connections_open", "Connections to MongoDB.", lambda: read().open)
        self._watch("mongodb_connections_in_use", "Connections that wait for MongoDB.", lambda: read().in_use)

    def watch_jwks(self, age: Callable[[], float], failures: Callable[[], int]) -> None:
        """Export the age of the JWK set and the number of failed fetches."""
        self._watch("jwks_age_seconds", "Age of the oldest JWK set that a worker has.", age, "livemax")
        counter = self._counter("customer_service_jwks_fetch_failures", "Fetches that returned no usable JWK set.")
        self._count(counter, failures)

    def watch_refusals(self, counts: Mapping[int, int]) -> None:
        """Export by status how many requests were refused before anything was done."""
        text = "Requests that were refused before anything was done."
        refusals = self._counter("customer_service_refusals", text, "status")
        for status in counts:
            self._count(refusals.labels(str(status)), partial(counts.__getitem__, status))

    def start(self) -> None:
        """Copy the numbers to the other workers from now on; call it after a server has forked."""
        if self._directory is not None:
            atexit.register(self._flush)
            Thread(target=self._flush_for_ever, name="metrics", daemon=True).start()

    def render(self) -> bytes:
        """Return every metric in Prometheus' text format; those of other workers are at most a second old."""
        self._flush()
        if self._directory is None:
            return prometheus_client.generate_latest(self._registry)
        return prometheus_client.generate_latest(ProcessesCollector(Path(self._directory)))

    def _count_requests(self, in_flight: int, waiting: int) -> None:
        with self._counting:
            self._in_flight += in_flight
            self._waiting += waiting

    def _watch_process(self) -> None:
        """Export the process gauges and the CPU time; a system without /proc has no gauges."""
        collector = ProcessCollector(registry=None)
        gauges = {
            family.name: self._gauge(family.name, family.documentation, PROCESS_GAUGES[family.name])
            for family in collector.collect()
            if family.name in PROCESS_GAUGES
        }

        def update() -> None:
            for family in collector.collect():
                if family.name in gauges:
                    gauges[family.name].set(family.samples[0].value)

        self._updates.append(update)
        self._count(self._counter("process_cpu_seconds", "User and system CPU time."), time.process_time)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self._registry)

    def _count(self, counter: Counter, read: Callable[[], float]) -> None:
        """Add to the counter what a number has grown by since the last update; other processes add to it too."""
        counted = 0.0

        def update() -> None:
            nonlocal counted
            now = read()
            counter.inc(max(now - counted, 0))  # threads that count at once may lose one
            counted = now

        self._updates.append(update)

    def _gauge(self, name: str, text: str, over_workers: Any, *labels: str) -> Gauge:
        return Gauge(name, text, labels, registry=self._registry, multiprocess_mode=over_workers)

    def _watch(self, name: str, text: str, read: Callable[[], float], over_workers: str = "livesum") -> None:
        gauge = self._gauge(f"customer_service_{name}", text, over_workers)
        self._updates.append(lambda: gauge.set(read()))

    def _flush(self) -> None:
        with self._flushing:
            for update in self._updates:
                update()

    def _flush_for_ever(self) -> None:
        while True:
            self._flush()
            time.sleep(FLUSH_SECONDS)
