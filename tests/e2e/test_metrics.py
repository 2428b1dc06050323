"""/metrics returns the sum of all workers, whichever worker answers, and also after one has died."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from customer_service.observability.metrics import MEMORY
from tests import support
from tests.support import SECRET, bearer, samples, url
from tests.support.raw_http import send
from tests.support.server import ROOT, Server

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pymongo.database import Database

    from customer_service.repository.database import Document

wait_until = partial(support.wait_until, seconds=30, pause=0.05)
REQUESTS = 40
ANSWERED = (
    'customer_service_request_duration_seconds_count{method="GET",'
    'route="/organizations/{organizationId}/customers/{customerId}",status="200"}'
)


@pytest.fixture
def own(mongodb_uri: str, mongodb: Database[Document]) -> Iterator[Server]:
    """A service that no other test has asked anything."""
    remove_directories_of_dead_servers()
    support.fill(mongodb)
    with Server(mongodb_uri, mongodb.name) as running:
        yield running


def remove_directories_of_dead_servers() -> None:
    """Remove what servers that were killed left: a new server may get the process id of one of them."""
    for directory in MEMORY.glob("customer-service-metrics-*"):
        if not Path("/proc", directory.name.split("-")[3]).exists():
            shutil.rmtree(directory, ignore_errors=True)


def read_metrics(server: Server) -> dict[str, float]:
    """Return the samples of /metrics."""
    return samples(server.get("/metrics").body.decode())


def files(server: Server) -> list[str]:
    """Return the names of the files in which the workers of this server count."""
    assert server.process is not None
    return [path.name for path in MEMORY.glob(f"customer-service-metrics-{server.process.pid}-*/*")]


def workers(server: Server) -> set[int]:
    """Return the ids of the workers that live."""
    return {int(number) for name in files(server) for number in re.findall(r"gauge_livesum_(\d+)\.db", name)}


def read(server: Server) -> None:
    """Read a customer, and wait until the workers have counted it."""
    for _ in range(REQUESTS):
        assert server.get(url(), bearer()).status == 200
    wait_until(lambda: read_metrics(server).get(ANSWERED) == REQUESTS)


def test_requests_that_gunicorn_refuses_are_counted(own: Server) -> None:
    for _ in range(3):
        assert send(own, b"GARBAGE\r\n\r\n").status == 400
    wait_until(lambda: read_metrics(own)['customer_service_refusals_total{status="400"}'] == 3)
    assert read_metrics(own)['customer_service_refusals_total{status="503"}'] == 0


def resident(pid: int) -> int:
    """Return the resident memory of a process in bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def looked_up(numbers: Mapping[str, float]) -> float:
    """Return how often a token was looked up."""
    return sum(numbers[f'customer_service_cache_{what}_total{{cache="tokens"}}'] for what in ("hits", "misses"))


def test_metrics_are_the_sum_of_the_workers_whichever_answers(own: Server) -> None:
    wait_until(lambda: read_metrics(own)["customer_service_workers"] == 2)
    read(own)
    wait_until(lambda: looked_up(read_metrics(own)) == REQUESTS)
    for _ in range(10):
        numbers = read_metrics(own)
        assert numbers[ANSWERED] == REQUESTS
        assert numbers["customer_service_workers"] == 2
        assert looked_up(numbers) == REQUESTS
    # Each worker forgets what it has when it begins to follow changes, and after some seconds.
    assert 0 < numbers['customer_service_cache_misses_total{cache="memberships"}'] < REQUESTS / 2
    assert numbers["customer_service_mongodb_connections_open"] >= 2
    assert numbers["process_resident_memory_bytes"] == pytest.approx(sum(map(resident, workers(own))), rel=0.2)
    assert len(workers(own)) == 2


def test_the_counts_of_a_dead_worker_stay_and_it_is_not_counted_as_a_worker(own: Server) -> None:
    read(own)
    wait_until(lambda: len(workers(own)) == 2)
    (victim, survivor) = workers(own)
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: len(workers(own) - {victim}) == 2)
    wait_until(lambda: victim not in workers(own))
    wait_until(lambda: read_metrics(own)["customer_service_workers"] == 2)
    assert survivor in workers(own)
    assert read_metrics(own)[ANSWERED] == REQUESTS


def test_a_reload_loses_no_request(own: Server) -> None:
    old = workers(own)
    own.signal(signal.SIGHUP)
    answered = 0
    deadline = time.monotonic() + 30
    while old & workers(own):
        assert own.get(url(), bearer()).status == 200
        answered += 1
        assert time.monotonic() < deadline
    wait_until(lambda: read_metrics(own)["customer_service_workers"] == 2)
    wait_until(lambda: read_metrics(own)[ANSWERED] == answered)


def test_nothing_is_left_of_a_server_that_stopped(own: Server) -> None:
    assert files(own)
    own.signal(signal.SIGTERM)
    own.wait()
    assert not files(own)


def test_a_start_that_fails_leaves_nothing(mongodb_uri: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        environment = {"MONGODB_URI": mongodb_uri, "JWT_SECRET": SECRET, "PORT": port}
        master = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "wsgi:app"],
            env=os.environ | environment,
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
        )
        assert master.wait(timeout=30) == 1
    assert not list(MEMORY.glob(f"customer-service-metrics-{master.pid}-*"))
