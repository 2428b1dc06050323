"""Run a real mongod for the tests: a replica set of one member or of three, on free ports."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pymongo
from pymongo import WriteConcern
from pymongo.errors import PyMongoError

if TYPE_CHECKING:
    from collections.abc import Sequence

START_SECONDS = 60
WHOLE_SECONDS = 180  # a rollback takes half a second, but was seen to take more than a minute
SET = "tests"
WHOLE = ["primary", "secondary", "secondary"]
PROCESSES = 8
OWN = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % PROCESSES
PORTS = iter(random.SystemRandom().sample(range(20_000 + OWN, 32_000, PROCESSES), 1_500))
"""The ports of this process, which are below those that Linux gives to outgoing connections.

Any other could be taken while its server starts, or is down for a moment.
"""


def executable() -> str | None:
    """Return the mongod on the PATH, else the one that the development lock installs, else None."""
    on_path = shutil.which("mongod")
    if on_path:
        return on_path
    wheel = find_spec("fiftyone")
    for place in wheel.submodule_search_locations or () if wheel else ():
        candidate = Path(place) / "db" / "bin" / "mongod"
        if candidate.exists():
            return str(candidate)
    return None


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that no process listens on, and that no other test gets."""
    for port in PORTS:
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise OSError("no port is left")


class Mongod:
    """A mongod that a test may kill, stop and start again on the same data."""

    def __init__(self, cache_gigabytes: float = 0.5, *, replicated: bool = True, options: Sequence[str] = ()) -> None:
        self._cache = str(cache_gigabytes)
        self._options = options
        self._membership = ("--replSet", SET) if replicated else ()
        self.port = free_port()
        memory = Path("/dev/shm")  # noqa: S108 - a new directory in it: data that need not outlive a test
        self.directory = tempfile.mkdtemp(prefix="customer-service-mongod-", dir=memory if memory.is_dir() else None)
        self.address = f"127.0.0.1:{self.port}"
        self.uri = f"mongodb://{self.address}/?directConnection=true"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process that runs."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it and wait until it takes writes."""
        self.launch()
        self.initiate([self])

    def launch(self) -> None:
        """Start it without waiting."""
        mongod = executable()
        assert mongod is not None, "no mongod: set TEST_MONGODB_URI, or install one"
        log = (Path(self.directory) / "log").open("ab")
        self._process = subprocess.Popen(
            [
                *(mongod, "--dbpath", self.directory, "--port", str(self.port), "--bind_ip", "127.0.0.1"),
                *(*self._membership, "--wiredTigerCacheSizeGB", self._cache),
                *("--setParameter", "enableTestCommands=1", *self._options),
            ],
            stdout=log,
            stderr=log,
        )
        log.close()

    def initiate(self, members: Sequence[Mongod], **settings: int) -> None:
        """Make these a replica set unless they are one, and wait until one takes writes."""
        configuration = {
            "_id": SET,
            "members": [{"_id": number, "host": member.address} for number, member in enumerate(members)],
            "settings": settings,
        }
        deadline = time.monotonic() + START_SECONDS
        with pymongo.MongoClient[dict[str, Any]](self.uri, serverSelectionTimeoutMS=1000) as client:
            while not _has_primary(client, configuration):
                assert time.monotonic() < deadline, Path(self.directory, "log").read_text()[-2000:]
                time.sleep(0.05)

    def wait_until_it_answers(self) -> None:
        """Wait until it answers a command that needs no login."""
        with pymongo.MongoClient[dict[str, Any]](self.uri, serverSelectionTimeoutMS=1000 * START_SECONDS) as client:
            client.admin.command("ping")

    def role(self) -> str:
        """Return what it says it is in its set: primary, secondary, or "" while it is neither."""
        with pymongo.MongoClient[dict[str, Any]](self.uri, serverSelectionTimeoutMS=1000) as client:
            try:
                hello = client.admin.command("hello")
            except PyMongoError:
                return ""
        return "primary" if hello["isWritablePrimary"] else "secondary" * hello["secondary"]

    def kill(self) -> None:
        """Kill it, as a power cut would."""
        self._signal(signal.SIGKILL)

    def pause(self) -> None:
        """Stop it as a machine that hangs would: it says nothing, and its connections stay."""
        self._send(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after a pause."""
        self._send(signal.SIGCONT)

    def close(self) -> None:
        """Stop it and forget its data."""
        if self._process is not None:
            self._signal(signal.SIGKILL)
        shutil.rmtree(self.directory, ignore_errors=True)

    def _signal(self, number: int) -> None:
        process = self._send(number)
        process.wait()
        self._process = None

    def _send(self, number: int) -> subprocess.Popen[bytes]:
        assert self._process is not None
        self._process.send_signal(number)
        return self._process


class ReplicaSet:
    """Three of them that elect a new primary about a second after the old one fell silent."""

    def __init__(self, election_ms: int = 1000) -> None:
        self.members = [Mongod() for _ in range(3)]
        self._election_ms = election_ms
        hosts = ",".join(member.address for member in self.members)
        self.uri = f"mongodb://{hosts}/?replicaSet={SET}"

    def start(self) -> None:
        """Start all, and wait until one takes writes."""
        for member in self.members:
            member.launch()
        first = self.members[0]
        first.initiate(self.members, electionTimeoutMillis=self._election_ms, heartbeatIntervalMillis=500)
        self.wait_until_whole()

    def primary(self) -> Mongod:
        """Return the member that takes writes, once there is one."""
        with pymongo.MongoClient[dict[str, Any]](self.uri, serverSelectionTimeoutMS=1000 * START_SECONDS) as client:
            client.admin.command("ping")
            address = client.primary
        assert address is not None
        return next(member for member in self.members if member.port == address[1])

    def secondaries(self) -> list[Mongod]:
        """Return the members that do not take writes."""
        primary = self.primary()
        return [member for member in self.members if member is not primary]

    def wait_until_whole(self) -> None:
        """Wait until one member is the primary and all have what it writes.

        A member's own word is not enough: one that was killed as the primary calls itself a secondary before it finds
        out that it has to roll back, and while it does so it cannot vote.
        """
        deadline = time.monotonic() + WHOLE_SECONDS
        while sorted(member.role() for member in self.members) != WHOLE or not self._agree():
            assert time.monotonic() < deadline, [member.role() for member in self.members]
            time.sleep(0.1)

    def _agree(self) -> bool:
        """Return whether all members have stored what is written now, so that all have the same."""
        everywhere = WriteConcern(len(self.members), wtimeout=1000)
        with pymongo.MongoClient[dict[str, Any]](self.uri, serverSelectionTimeoutMS=1000) as client:
            try:
                client.get_database("agreed", write_concern=everywhere).agreed.insert_one({})
            except PyMongoError:
                return False
        return True

    def close(self) -> None:
        """Stop all and forget their data."""
        for member in self.members:
            member.close()


def _has_primary(client: pymongo.MongoClient[dict[str, Any]], configuration: dict[str, Any]) -> bool:
    try:
        hello = client.admin.command("hello")
        if "setName" not in hello:
            client.admin.command("replSetInitiate", configuration)
    except PyMongoError:
        return False
    return bool(hello["isWritablePrimary"] or hello.get("primary") not in {None, hello.get("me")})


def required() -> bool:
    """Return whether a missing mongod is a failure: on continuous integration it is, on a laptop a skip."""
    return os.environ.get("CI") == "true"
