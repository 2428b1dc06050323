"""Counting requests and rendering the counts for Prometheus, without the service."""

from __future__ import annotations

import os
import re
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from prometheus_client import ProcessCollector, values

from customer_service import __version__
from customer_service.auth.jwks import JwkSetKeys
from customer_service.observability import metrics
from customer_service.observability.metrics import BOUNDS, Metrics
from customer_service.repository.expiring_cache import Cache
from tests.support import metric_values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DURATION = "customer_service_request_duration_seconds"


@pytest.fixture
def counted() -> Metrics:
    return Metrics()


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The directory of a server whose processes share their metrics; this one is as before afterwards."""
    monkeypatch.setenv(metrics.DIRECTORY_VARIABLE, "replaced")
    monkeypatch.setattr(values, "ValueClass", values.ValueClass)
    metrics.enable_multiprocess()
    directory = Path(os.environ[metrics.DIRECTORY_VARIABLE])
    yield directory
    metrics.disable_multiprocess()
    assert not directory.exists()
    monkeypatch.setenv(metrics.DIRECTORY_VARIABLE, "replaced")


class TestRequests:
    @pytest.mark.parametrize(
        ("method", "label"),
        [
            ("GET", "GET"),
            ("HEAD", "GET"),
            ("DELETE", "DELETE"),
            ("OPTIONS", "other"),
            ("get", "other"),
            ("X" * 99, "other"),
        ],
    )
    def test_methods_are_a_few(self, counted: Metrics, method: str, label: str) -> None:
        counted.observe(method, "/a/<id>", 200, 0.1)
        assert metric_values(counted)[f'{DURATION}_count{{method="{label}",route="/a/<id>",status="200"}}'] == 1

    def test_a_path_without_a_route_is_not_a_label(self, counted: Metrics) -> None:
        counted.observe("GET", None, 404, 0.1)
        assert metric_values(counted)[f'{DURATION}_count{{method="GET",route="unmatched",status="404"}}'] == 1

    @pytest.mark.parametrize("bound", BOUNDS)
    def test_a_bound_belongs_to_its_bucket(self, counted: Metrics, bound: float) -> None:
        for seconds in (bound, bound * 1.001, 100.0):
            counted.observe("GET", "/", 200, seconds)
        numbers = metric_values(counted)
        assert numbers[f'{DURATION}_bucket{{le="{bound}",method="GET",route="/",status="200"}}'] == 1
        assert numbers[f'{DURATION}_bucket{{le="+Inf",method="GET",route="/",status="200"}}'] == 3
        assert numbers[f'{DURATION}_sum{{method="GET",route="/",status="200"}}'] == pytest.approx(bound * 2.001 + 100)

    def test_threads_lose_none(self, counted: Metrics) -> None:
        def count(_: int) -> None:
            for _turn in range(500):
                counted.observe("GET", "/", 200, 0.5)
            counted.render()

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(count, range(8)))
        numbers = metric_values(counted)
        assert numbers[f'{DURATION}_count{{method="GET",route="/",status="200"}}'] == 4000
        assert numbers[f'{DURATION}_sum{{method="GET",route="/",status="200"}}'] == 2000

    def test_requests_in_flight_are_counted_even_if_they_fail(self, counted: Metrics) -> None:
        seen: list[float] = []

        def fail(_environ: object, _start: object) -> list[bytes]:
            seen.append(metric_values(counted)["customer_service_requests_in_flight"])
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            counted.count_in_flight(fail)({}, lambda *_: lambda _: None)
        assert seen == [1]
        assert metric_values(counted)["customer_service_requests_in_flight"] == 0


class TestCaches:
    def test_hits_and_misses(self, counted: Metrics) -> None:
        cache: Cache[int] = Cache(10)
        counted.watch_caches(things=cache, nothing=None)
        cache.get("a")
        cache.load("a", lambda: 1)
        assert metric_values(counted)['customer_service_cache_misses_total{cache="things"}'] == 1
        for _ in range(3):
            cache.get("a")
        numbers = metric_values(counted)
        assert numbers['customer_service_cache_hits_total{cache="things"}'] == 3
        assert numbers['customer_service_cache_misses_total{cache="things"}'] == 1
        assert not any("nothing" in name for name in numbers)

    def test_a_count_that_threads_lost_is_not_taken_away(self, counted: Metrics) -> None:
        cache: Cache[int] = Cache(10)
        counted.watch_caches(things=cache)
        cache.hits = 3
        counted.render()
        cache.hits = 2
        assert metric_values(counted)['customer_service_cache_hits_total{cache="things"}'] == 3


class TestProcess:
    def test_the_version_is_a_label(self, counted: Metrics) -> None:
        assert metric_values(counted)[f'customer_service_build_info{{version="{__version__}"}}'] == 1

    def test_memory_time_and_files_are_those_of_the_process(self, counted: Metrics) -> None:
        before = metric_values(counted)
        memory = bytearray(50_000_000)
        deadline = time.process_time() + 0.05
        while time.process_time() < deadline:
            memory[-1] = 1
        files = [os.open(os.devnull, os.O_RDONLY) for _ in range(100)]  # threads of other tests open and close some too
        numbers = metric_values(counted)
        for file in files:
            os.close(file)
        assert numbers["process_resident_memory_bytes"] > before["process_resident_memory_bytes"] + 40_000_000
        assert numbers["process_virtual_memory_bytes"] > numbers["process_resident_memory_bytes"]
        assert numbers["process_cpu_seconds_total"] >= before["process_cpu_seconds_total"] + 0.05
        assert before["process_open_fds"] + 50 < numbers["process_open_fds"] < numbers["process_max_fds"]
        assert 0 < time.time() - numbers["process_start_time_seconds"] < 3600

    def test_a_system_without_proc_has_the_cpu_time_alone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(metrics, "ProcessCollector", partial(ProcessCollector, proc="/nonexistent"))
        names = {name for name in metric_values(Metrics()) if name.startswith("process_")}
        assert names == {"process_cpu_seconds_total"}

    @pytest.mark.usefixtures("shared")
    def test_the_workers_are_one_server(self) -> None:
        Metrics().render()
        numbers = metric_values(Metrics())
        assert numbers["process_resident_memory_bytes"] > 0
        assert numbers[f'customer_service_build_info{{version="{__version__}"}}'] == 1
        assert {name for name in numbers if name.startswith("process_")} == {
            *metrics.PROCESS_GAUGES,
            "process_cpu_seconds_total",
        }


def test_a_jwk_set_that_never_came_is_infinitely_old(counted: Metrics) -> None:
    keys = JwkSetKeys("http://127.0.0.1:1/")
    keys.failures = 2
    counted.watch_jwks(keys.age, lambda: keys.failures)
    numbers = metric_values(counted)
    assert numbers["customer_service_jwks_age_seconds"] == float("inf")
    assert numbers["customer_service_jwks_fetch_failures_total"] == 2


class TestSharing:
    def test_the_directory_is_this_users_alone_and_in_memory(self, shared: Path) -> None:
        assert shared.stat().st_mode & 0o777 == 0o700
        assert shared.parent == metrics.MEMORY

    def test_without_shared_memory_it_is_a_temporary_one(
        self, shared: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setattr(metrics, "MEMORY", tmp_path / "none")
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        metrics.enable_multiprocess()
        assert Path(os.environ[metrics.DIRECTORY_VARIABLE]).parent == tmp_path
        metrics.disable_multiprocess()
        monkeypatch.setenv(metrics.DIRECTORY_VARIABLE, str(shared))

    def test_shared_values_are_rendered(self, shared: Path) -> None:
        process = Metrics()
        process.observe("GET", "/", 200, 0.02)
        process.observe("GET", "/", 200, 0.02)
        numbers = metric_values(process)
        assert numbers[f'{DURATION}_count{{method="GET",route="/",status="200"}}'] == 2
        assert numbers["customer_service_workers"] == 1
        assert any(re.fullmatch(r"histogram_\d+\.db", file.name) for file in shared.iterdir())

    def test_a_file_that_is_still_empty_is_left_out(self, shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A process that starts has created it, or one was killed then; and one that ends removes its own."""
        process = Metrics()
        process.render()
        (shared / "gauge_livesum_1.db").touch()
        assert metric_values(process)["customer_service_workers"] == 1
        files = [shared / "gauge_livesum_2.db", *shared.iterdir()]
        monkeypatch.setattr(Path, "iterdir", lambda _: iter(files))
        assert metric_values(process)["customer_service_workers"] == 1

    def test_without_their_directory_no_scrape_succeeds(self, shared: Path) -> None:
        """An empty answer would look as if nothing happened."""
        process = Metrics()
        process.render()
        moved = shared.rename(shared.with_suffix(".moved"))
        with pytest.raises(FileNotFoundError):
            process.render()
        moved.rename(shared)

    @pytest.mark.usefixtures("shared")
    def test_the_last_second_is_written_at_the_end(self, monkeypatch: pytest.MonkeyPatch) -> None:
        ends: list[Callable[[], object]] = []
        monkeypatch.setattr("atexit.register", ends.append)
        monkeypatch.setattr(metrics, "FLUSH_SECONDS", 3600)
        process, other = Metrics(), Metrics()
        process.start()
        process.observe("GET", "/the-last", 200, 0.02)
        name = f'{DURATION}_count{{method="GET",route="/the-last",status="200"}}'
        (end,) = ends
        end()
        assert metric_values(other)[name] == 1

    def test_a_child_that_ended_is_no_worker(self, shared: Path) -> None:
        process = Metrics()
        process.observe("GET", "/", 200, 0.02)
        process.render()
        metrics.mark_worker_dead(os.getpid())
        assert sorted(file.name.split("_")[0] for file in shared.iterdir()) == ["counter", "histogram"]
