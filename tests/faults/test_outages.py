"""The primary hangs, every member stops and starts again, a worker is killed, the server stops or reloads."""

from __future__ import annotations

import http.client
import os
import signal
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING

import pymongo
import pytest

from tests import support
from tests.faults import failover
from tests.support import constant_rate
from tests.support.load import CLIENTS, Load
from tests.support.processes import ports_of_clients, workers
from tests.support.server import DeadlineServer, Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.mongod import ReplicaSet

HANG_SECONDS = 15
MARGIN_SECONDS = 2.0 + 0.5
LIVELY_SECONDS = 0.1
BACK_SECONDS = 5.0
PAUSE_SECONDS = 0.05


@pytest.fixture(scope="module")
def members() -> Iterator[ReplicaSet]:
    with failover.replica_set() as running:
        yield running


class Readers:
    """Clients that read again and again on connections that they keep, and note the status and the time of each."""

    def __init__(self, server: Server) -> None:
        self.statuses: Counter[str] = Counter()
        self.worst = 0.0
        self.failed_ports: list[int] = []
        self._server = server
        self._leaving = threading.Event()
        self._threads = [threading.Thread(target=self._read) for _ in range(CLIENTS)]

    def __enter__(self) -> Readers:
        for thread in self._threads:
            thread.start()
            time.sleep(PAUSE_SECONDS)  # connections that come all at once go all to one worker
        time.sleep(1)
        return self

    def __exit__(self, *_: object) -> None:
        self._leaving.set()
        for thread in self._threads:
            thread.join()

    def _read(self) -> None:
        connection, headers, port = self._server.connect(), support.bearer(), 0
        while not self._leaving.is_set():
            started = time.monotonic()
            try:
                connection.request("GET", support.url(), headers=headers)
                port = connection.sock.getsockname()[1] if connection.sock else 0
                response = connection.getresponse()
                response.read()
                self.statuses[str(response.status)] += 1
            except (OSError, http.client.HTTPException) as error:
                self.statuses[type(error).__name__] += 1
                self.failed_ports.append(port)
                connection.close()
            self.worst = max(self.worst, time.monotonic() - started)
            time.sleep(PAUSE_SECONDS)
        connection.close()


@pytest.mark.parametrize("hung", [1, 3], ids=["primary", "every member"])
def test_hanging_members_cause_no_late_response(
    members: ReplicaSet, measured: Callable[[str, str], None], hung: int
) -> None:
    members.wait_until_whole()
    primary = members.primary()
    hanging = [primary, *(each for each in members.members if each is not primary)][:hung]
    with DeadlineServer(members.uri, failover.DATABASE) as server:
        alive = constant_rate.probe(server.port, constant_rate.liveness_probe(), HANG_SECONDS)
        with Readers(server) as readers:
            for member in hanging:
                member.pause()
            time.sleep(HANG_SECONDS)
            for member in hanging:
                member.resume()
            time.sleep(2)
        recovered = server.get(support.url(), support.bearer()).status
    worst_alive = alive().worst["200"]
    assert set(readers.statuses) <= {"200", "503"}
    assert set(alive().answers) == {"200"}
    assert readers.worst <= MARGIN_SECONDS
    assert worst_alive < LIVELY_SECONDS
    assert recovered == 200
    who = "the primary" if hung == 1 else "every member"
    measured(
        f"SIGSTOP of {who} for 15 s: every answer within the deadline + 0.5 s, /livez under 100 ms",
        f"{CLIENTS} clients: {dict(readers.statuses)}, at worst {readers.worst:.2f} s; /livez at worst "
        f"{worst_alive * 1000:.0f} ms",
    )


def test_the_service_recovers_from_stopped_members(members: ReplicaSet, measured: Callable[[str, str], None]) -> None:
    members.wait_until_whole()
    with DeadlineServer(members.uri, failover.DATABASE) as server:
        for member in members.members:
            member.kill()
        gone = [server.get(support.url(), support.bearer()).status for _ in range(3)]
        for member in members.members:
            member.launch()
        with pymongo.MongoClient[dict[str, object]](members.uri) as client:
            client.admin.command("ping")
        back = time.monotonic()
        while server.get(support.url(), support.bearer()).status != 200:
            assert time.monotonic() - back < BACK_SECONDS
        seconds = time.monotonic() - back
    assert gone == [503] * 3
    measured(
        "all members stopped: 503; started: served again without a restart",
        f"served {seconds:.2f} s after a primary was there",
    )


def test_a_killed_worker_fails_only_its_own_requests(members: ReplicaSet, measured: Callable[[str, str], None]) -> None:
    members.wait_until_whole()
    with DeadlineServer(members.uri, failover.DATABASE) as server, Readers(server) as readers:
        before = workers(server)
        victim = min(before, key=lambda pid: len(ports_of_clients(pid)))
        its_clients = ports_of_clients(victim)
        os.kill(victim, signal.SIGKILL)
        deadline = time.monotonic() + 20
        while len(set(workers(server)) - {victim}) < len(before):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(2)
    failures = len(readers.failed_ports)
    assert set(readers.failed_ports) <= its_clients
    assert failures == len(set(readers.failed_ports))
    assert failures == sum(readers.statuses.values()) - readers.statuses["200"]
    measured(
        "kill -9 of a worker: only its own requests in flight fail",
        f"{failures} of {sum(readers.statuses.values()):,} requests, all on connections of that worker",
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_a_stop_and_a_reload_lose_no_request(
    members: ReplicaSet, measured: Callable[[str, str], None], number: signal.Signals
) -> None:
    members.wait_until_whole()
    with DeadlineServer(members.uri, failover.DATABASE, DRAIN_SECONDS="1") as server, Load(server) as load:
        server.signal(number)
        if number is signal.SIGTERM:
            assert server.wait() == 0
        else:
            time.sleep(10)
    assert (load.failures, load.overloaded) == ([], 0)
    measured(f"{number.name} under {CLIENTS} clients: no request fails", f"{load.answered:,} answered, 0 failed")
