"""A mongod of the benchmark's own: a replica set of one member, with its data in memory if /dev/shm is there."""

from __future__ import annotations

import shutil
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pymongo

from bench.measure.processes import START_SECONDS, Server, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

SET = "bench"
MEMORY = Path("/dev/shm")  # noqa: S108 - a new directory in it: data that need not outlive the run


def executable() -> str:
    """Return the mongod on the PATH, else the one that the development lock installs; raises RuntimeError."""
    on_path = shutil.which("mongod")
    if on_path:
        return on_path
    wheel = find_spec("fiftyone")
    for place in wheel.submodule_search_locations or () if wheel else ():
        candidate = Path(place) / "db" / "bin" / "mongod"
        if candidate.exists():
            return str(candidate)
    raise RuntimeError("mongod is missing: install one, or the development lock")


def uri_of(port: int) -> str:
    """Return the URI of a mongod, or of a proxy before it, on this port."""
    return f"mongodb://127.0.0.1:{port}/?directConnection=true"


@dataclass(frozen=True, slots=True)
class Mongod:
    """A mongod that takes writes."""

    port: int
    server: Server

    @property
    def uri(self) -> str:
        """Its URI."""
        return uri_of(self.port)

    def client(self) -> pymongo.MongoClient[dict[str, Any]]:
        """Return a client of it."""
        return pymongo.MongoClient(self.uri)


@contextmanager
def running(cache_gigabytes: float = 0.5) -> Iterator[Mongod]:
    """Run a mongod, and remove its data afterwards; raises RuntimeError if it does not start."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="bench-mongod-", dir=MEMORY if MEMORY.is_dir() else None) as name:
        options = ("--dbpath", name, "--port", str(port), "--bind_ip", "127.0.0.1", "--replSet", SET)
        command = [executable(), *options, "--wiredTigerCacheSizeGB", str(cache_gigabytes)]
        mongod = Mongod(port, Server(command, Path(name), {}, Path(name) / "log"))
        try:
            mongod.server.wait_until_listening(port)
            _become_primary(mongod)
            yield mongod
        finally:
            mongod.server.stop(seconds=0)


def _become_primary(mongod: Mongod) -> None:
    deadline = time.monotonic() + START_SECONDS
    with mongod.client() as client:
        members = [{"_id": 0, "host": f"127.0.0.1:{mongod.port}"}]
        client.admin.command("replSetInitiate", {"_id": SET, "members": members})
        while not client.admin.command("hello")["isWritablePrimary"]:
            if time.monotonic() > deadline:
                raise RuntimeError("mongod took no writes")
            time.sleep(0.05)
