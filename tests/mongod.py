"""A real mongod for the tests: found on the machine, a replica set of one member, on a free port."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pymongo
from pymongo.errors import PyMongoError

START_SECONDS = 60


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
    """Return a TCP port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Mongod:
    """A mongod that a test may kill, stop and start again on the same data."""

    def __init__(self, cache_gigabytes: float = 0.5) -> None:
        self._cache = str(cache_gigabytes)
        self.port = free_port()
        memory = Path("/dev/shm")  # noqa: S108 - a new directory in it: data that need not outlive a test
        self.directory = tempfile.mkdtemp(prefix="customer-service-mongod-", dir=memory if memory.is_dir() else None)
        self.uri = f"mongodb://127.0.0.1:{self.port}/?directConnection=true"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process that runs."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it and wait until it takes writes."""
        mongod = executable()
        assert mongod is not None, "no mongod: set TEST_MONGODB_URI, or install one"
        log = (Path(self.directory) / "log").open("ab")
        self._process = subprocess.Popen(
            [
                *(mongod, "--dbpath", self.directory, "--port", str(self.port), "--bind_ip", "127.0.0.1"),
                *(
                    "--replSet",
                    "tests",
                    "--wiredTigerCacheSizeGB",
                    self._cache,
                    "--setParameter",
                    "enableTestCommands=1",
                ),
            ],
            stdout=log,
            stderr=log,
        )
        log.close()
        self._wait_for_primary()

    def _wait_for_primary(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        with pymongo.MongoClient[dict[str, Any]](self.uri, serverSelectionTimeoutMS=1000) as client:
            while not self._is_primary(client):
                assert time.monotonic() < deadline, Path(self.directory, "log").read_text()[-2000:]
                time.sleep(0.05)

    def _is_primary(self, client: pymongo.MongoClient[dict[str, Any]]) -> bool:
        try:
            hello = client.admin.command("hello")
            if "setName" not in hello:
                member = {"_id": 0, "host": f"127.0.0.1:{self.port}"}
                client.admin.command("replSetInitiate", {"_id": "tests", "members": [member]})
        except PyMongoError:
            return False
        return bool(hello["isWritablePrimary"])

    def kill(self) -> None:
        """Kill it, as a power cut would."""
        self._signal(signal.SIGKILL)

    def close(self) -> None:
        """Stop it and forget its data."""
        if self._process is not None:
            self._signal(signal.SIGKILL)
        shutil.rmtree(self.directory, ignore_errors=True)

    def _signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)
        self._process.wait()
        self._process = None


def required() -> bool:
    """Whether a missing mongod is a failure: on continuous integration it is, on a laptop a skip."""
    return os.environ.get("CI") == "true"
