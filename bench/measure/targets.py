"""What is measured: the service, its peers and the limits, with what each remembers and what it is asked."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bench.measure.data import SECRET

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[2]
BENCH = ROOT / "bench"
PEERS = BENCH / "peers"
WORKERS = 2
CONNECTIONS = (16, 64, 256)
DISTANCES_MS = (0, 1, 5)
FAR_CONNECTIONS = 64
WRITES: Mapping[str, tuple[int, ...]] = {"create": CONNECTIONS, "patch": CONNECTIONS, "upsert": CONNECTIONS[:2]}
"""The kinds of writes, each with its connections: 256 batches at once would wait for longer than a deadline allows."""
THREADS = ("--worker-class", "gthread", "--threads", "8")  # two, and gevent, took more processor time for each read
EVE_WORKER = (*THREADS, "--keep-alive", "75", "--worker-tmp-dir", "/dev/shm")  # noqa: S108 - the heartbeat, in memory
DATABASE = "bench"
WRITTEN = "bench_written"
MEMBERSHIP_SECONDS = 5

COMMON = {
    "WEB_CONCURRENCY": str(WORKERS),
    "JWT_SECRET": SECRET,
    "MONGODB_DATABASE": DATABASE,
    "NODE_ENV": "production",
    "DRAIN_SECONDS": "0",
    "LOG_LEVEL": "warning",
}
"""What every target is given; no line for each request is logged, as none of the peers does."""

NOTHING = {"TOKEN_CACHE_ENTRIES": "0", "MEMBERSHIP_CACHE_SECONDS": "0", "CUSTOMER_CACHE_ENTRIES": "0"}
REMEMBERED = NOTHING | {"TOKEN_CACHE_ENTRIES": "10000", "MEMBERSHIP_CACHE_SECONDS": str(MEMBERSHIP_SECONDS)}
CUSTOMERS_TOO = REMEMBERED | {"CUSTOMER_CACHE_ENTRIES": "10000"}
MODES: Mapping[str, Mapping[str, str]] = {
    "bare": {},
    "plain": NOTHING,
    "remembering": REMEMBERED,
    "hot": CUSTOMERS_TOO,
    "writing": REMEMBERED,
}
"""What a target remembers, by the same environment for the service and for every peer."""

STALENESS = {
    "bare": "",
    "plain": "nothing",
    "remembering": f"a membership: up to {MEMBERSHIP_SECONDS} s",
    "hot": f"a membership: up to {MEMBERSHIP_SECONDS} s; a customer: until the change stream delivers its change",
    "writing": f"a membership: up to {MEMBERSHIP_SECONDS} s",
}
"""What may be answered from an older state, by mode."""


@dataclass(frozen=True, slots=True)
class Target:
    """A server to measure.

    `needs` is the file that shows that it is installed, `distance_ms` the latency that a proxy adds to its MongoDB,
    None without a proxy; its `kind` is limit, peer or service.
    """

    name: str
    mode: str
    command: tuple[str, ...]
    needs: Path
    directory: Path = ROOT
    environment: Mapping[str, str] = field(default_factory=dict)
    distance_ms: int | None = None
    kind: str = "service"

    @property
    def key(self) -> str:
        """The name under which its figures stand."""
        distance = "" if self.distance_ms is None else f", MongoDB {self.distance_ms} ms away"
        return f"{self.name}, {self.mode}{distance}"

    def settings(self, port: int, mongodb_uri: str) -> dict[str, str]:
        """Return the environment to start it with."""
        return {
            **COMMON,
            "PORT": str(port),
            "MONGODB_URI": mongodb_uri,
            **MODES[self.mode],
            **self.environment,
        }

    def arguments(self, port: int) -> list[str]:
        """Return the command line, with the port in its place."""
        return [part.replace("{port}", str(port)) for part in self.command]

    def is_installed(self) -> bool:
        """Return whether its program is there."""
        return self.needs.exists()


@dataclass(frozen=True, slots=True)
class Row:
    """What is measured once in a round: what a target is asked, over so many connections.

    The requests are `all` reads, a `few` that a cache can hold, `304` for reads of what the caller has already, or one
    of WRITES.
    """

    target: Target
    connections: int
    requests: str = "all"

    @property
    def name(self) -> str:
        """The name under which its figures stand, beside the connections."""
        usual = "few" if self.target.mode == "hot" else "all"
        return self.target.key + ("" if self.requests == usual else f", {self.requests}")

    @property
    def key(self) -> tuple[str, int]:
        """The key of its measurements."""
        return self.name, self.connections

    def __str__(self) -> str:
        """Return it in words."""
        return f"{self.name}, {self.connections} connections"


def _own(program: str) -> Path:
    return Path(sys.executable).with_name(program)


def _peer(name: str, program: str) -> Path:
    return BENCH / f".venv-{name}" / "bin" / program


def _gunicorn(application: str) -> tuple[tuple[str, ...], Path]:
    """Serve an application exactly as the service is served, by the repository's gunicorn.conf.py."""
    return (str(_own("gunicorn")), application), _own("gunicorn")


def _granian(application: str) -> tuple[tuple[str, ...], Path]:
    program = _peer("granian", "granian")
    options = ("--interface", "wsgi", "--workers", str(WORKERS), "--host", "127.0.0.1", "--port", "{port}")
    return (str(program), *options, "--blocking-threads", "8", "--log-level", "error", application), program


LIMITS = tuple(
    Target(f"{name} under gunicorn", "bare", *_gunicorn(f"bench.peers.limits.{module}:app"), kind="limit")
    for name, module in (
        ("WSGI hello", "wsgi_hello"),
        ("WSGI with one find", "wsgi_find"),
        ("Flask hello", "flask_hello"),
    )
)


def _eve() -> Target:
    gunicorn = _peer("eve", "gunicorn")
    command = (str(gunicorn), "app:app", "--bind", "127.0.0.1:{port}", "--workers", str(WORKERS), *EVE_WORKER)
    return Target("Eve", "plain", command, gunicorn, PEERS / "eve", kind="peer")


def _fastapi() -> Target:
    uvicorn = _peer("fastapi", "uvicorn")
    options = ("--loop", "uvloop", "--http", "httptools", "--log-level", "warning", "--no-access-log")
    command = (str(uvicorn), "app:app", "--port", "{port}", "--workers", str(WORKERS), *options)
    return Target("FastAPI", "remembering", command, uvicorn, PEERS / "fastapi", kind="peer")


def _fastify() -> Target:
    command = (shutil.which("node") or "node", "server.js")
    return Target("Fastify", "remembering", command, PEERS / "fastify" / "node_modules", PEERS / "fastify", kind="peer")


EVE, FASTAPI, FASTIFY = _eve(), _fastapi(), _fastify()
SERVICE = Target("this service", "remembering", *_gunicorn("wsgi:app"))
GRANIAN = replace(SERVICE, name="this service under granian", command=_granian("wsgi:app")[0], needs=_granian("")[1])
LOGGING = replace(SERVICE, name="this service with its log", environment={"LOG_LEVEL": "info"})


def _reads() -> list[tuple[Target, str]]:
    return [
        *((each, "all") for each in (*LIMITS, EVE)),
        *((replace(each, mode=mode), "all") for each in (FASTAPI, FASTIFY) for mode in ("plain", "remembering")),
        (FASTIFY, "few"),
        *((replace(SERVICE, mode=mode), "all") for mode in ("plain", "remembering")),
        *((replace(SERVICE, mode="hot"), requests) for requests in ("few", "304")),
        (LOGGING, "all"),
        (GRANIAN, "all"),
        (replace(GRANIAN, mode="hot"), "few"),
    ]


def _far() -> list[Target]:
    """Return those whose MongoDB is behind the proxy: at 0 ms for what it costs itself."""
    return [
        replace(each, distance_ms=distance_ms) for each in (FASTAPI, FASTIFY, SERVICE) for distance_ms in DISTANCES_MS
    ]


def _writes() -> list[tuple[Target, str]]:
    """Return who writes what, each into a database of its own: the peers store no search terms, and so less."""
    return [
        (replace(each, mode="writing", environment={"MONGODB_DATABASE": f"{WRITTEN}_{number}"}), kind)
        for number, each in enumerate((FASTAPI, FASTIFY, SERVICE))
        for kind in WRITES
    ]


def all_rows() -> list[Row]:
    """Return every row, of what is installed and what is not, in the order of the tables."""
    return [
        *(Row(target, connections, asked) for target, asked in _reads() for connections in CONNECTIONS),
        *(Row(target, FAR_CONNECTIONS) for target in _far()),
        *(Row(target, connections, kind) for target, kind in _writes() for connections in WRITES[kind]),
    ]
