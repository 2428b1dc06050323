"""Who answers: the service, its peers and the limits, each with how it is started and what it remembers."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bench.data import SECRET

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[1]
PEERS = Path(__file__).with_name("peers")
WORKERS = 2
CONNECTIONS = (16, 64, 256)
DATABASE = "bench"
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
KEPT = REMEMBERED | {"CUSTOMER_CACHE_ENTRIES": "10000"}
MODES: Mapping[str, Mapping[str, str]] = {"bare": {}, "plain": NOTHING, "remembering": REMEMBERED, "hot": KEPT}
"""What a target remembers, as the environment says it to the service and to every peer alike."""

STALENESS = {
    "bare": "",
    "plain": "nothing",
    "remembering": f"a membership: up to {MEMBERSHIP_SECONDS} s",
    "hot": f"a membership: up to {MEMBERSHIP_SECONDS} s; a customer: until the change stream tells",
}
"""What may be answered from an older state, by mode."""


@dataclass(frozen=True, slots=True)
class Target:
    """A server to measure.

    `needs` is the file that shows that it is installed, `requests` names what it is asked, and `distance_ms` is the
    latency that a proxy adds to its MongoDB; None is MongoDB without a proxy.
    """

    name: str
    mode: str
    command: tuple[str, ...]
    needs: Path
    directory: Path = ROOT
    requests: str = "all"
    environment: Mapping[str, str] = field(default_factory=dict)
    distance_ms: int | None = None
    kind: str = "service"

    @property
    def key(self) -> str:
        """The name under which its figures stand."""
        usual = "few" if self.mode == "hot" else "all"
        requests = "" if self.requests == usual else f", {self.requests}"
        distance = "" if self.distance_ms is None else f", MongoDB {self.distance_ms} ms away"
        return f"{self.name}, {self.mode}{requests}{distance}"

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
        """Whether its program is there."""
        return self.needs.exists()


def _own(program: str) -> Path:
    return Path(sys.executable).with_name(program)


def _peer(name: str, program: str) -> Path:
    return Path(__file__).with_name(f".venv-{name}") / "bin" / program


def _gunicorn(application: str) -> tuple[tuple[str, ...], Path]:
    """Serve an application exactly as the service is served, by the repository's gunicorn.conf.py."""
    return (str(_own("gunicorn")), application), _own("gunicorn")


def _granian(application: str) -> tuple[tuple[str, ...], Path]:
    program = _peer("granian", "granian")
    options = ("--interface", "wsgi", "--workers", str(WORKERS), "--host", "127.0.0.1", "--port", "{port}")
    return (str(program), *options, "--blocking-threads", "8", "--log-level", "error", application), program


def _limits() -> list[Target]:
    return [
        Target("WSGI hello under gunicorn", "bare", *_gunicorn("bench.peers.limits.wsgi_hello:app")),
        Target("WSGI with one find under gunicorn", "bare", *_gunicorn("bench.peers.limits.wsgi_find:app")),
        Target("Flask hello under gunicorn", "bare", *_gunicorn("bench.peers.limits.flask_hello:app")),
        Target("Flask hello under granian", "bare", *_granian("bench.peers.limits.flask_hello:app")),
    ]


def _peers() -> list[Target]:
    gunicorn, uvicorn = _peer("eve", "gunicorn"), _peer("fastapi", "uvicorn")
    workers = ("--workers", str(WORKERS))
    threads = ("--worker-class", "gthread", "--threads", "8", "--keep-alive", "75", "--worker-tmp-dir", "/dev/shm")  # noqa: S108 - as the service's
    eve = (str(gunicorn), "app:app", "--bind", "127.0.0.1:{port}", *workers, *threads)
    fast = ("--loop", "uvloop", "--http", "httptools", "--log-level", "warning", "--no-access-log")
    fastapi = (str(uvicorn), "app:app", "--port", "{port}", *workers, *fast)
    fastify = (shutil.which("node") or "node", "server.js")
    modules = PEERS / "fastify" / "node_modules"
    return [
        Target("Eve", "plain", eve, gunicorn, PEERS / "eve"),
        *(Target("FastAPI", mode, fastapi, uvicorn, PEERS / "fastapi") for mode in ("plain", "remembering")),
        *(Target("Fastify", mode, fastify, modules, PEERS / "fastify") for mode in ("plain", "remembering")),
        Target("Fastify", "remembering", fastify, modules, PEERS / "fastify", requests="few"),
    ]


def _service() -> list[Target]:
    targets = []
    for server, served in (("gunicorn", _gunicorn("wsgi:app")), ("granian", _granian("wsgi:app"))):
        name = f"this service under {server}"
        targets += [Target(name, mode, *served) for mode in ("plain", "remembering")]
        targets += [Target(name, "hot", *served, requests="few")]
        targets += [Target(name, "hot", *served, requests="304")]
    logging = Target("this service under gunicorn, with its log", "remembering", *_gunicorn("wsgi:app"))
    return [*targets, replace(logging, environment={"LOG_LEVEL": "info"})]


def all_targets() -> list[Target]:
    """Return every target, installed or not, in the order in which they are told."""
    return [*_limits(), *_peers(), *_service()]
