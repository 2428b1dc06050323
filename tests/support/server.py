"""Run the service as in production: gunicorn in a process of its own, over TCP."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.support import PATIENT_MS, SECRET
from tests.support.mongod import free_port

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOT = Path(__file__).parents[2]
START_SECONDS = 30


class Answer(NamedTuple):
    """What the service answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def send_request(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
) -> Answer:
    """Ask once, and close the connection."""
    try:
        connection.request(method, path, body, dict(headers or {}))
        response = connection.getresponse()
        return Answer(response.status, dict(response.getheaders()), response.read())
    finally:
        connection.close()


class Server:
    """gunicorn over `wsgi:app` with two workers, on a free port of 127.0.0.1."""

    is_traced = False
    timeout_ms = PATIENT_MS
    """`MONGODB_TIMEOUT_MS`: a busy machine would not meet the service's own deadline."""
    stop_signal = signal.SIGINT
    """It stops at once; a test of how it drains sends SIGTERM itself."""

    def __init__(
        self,
        mongodb_uri: str,
        database: str,
        *,
        directory: Path = ROOT,
        prefix: Sequence[str] = (),
        command: Sequence[str] = ("gunicorn", "wsgi:app"),
        **environment: str,
    ) -> None:
        self._directory = directory
        module = () if Path(command[0]).is_absolute() else (sys.executable, "-m")
        self._command = [*prefix, *module, *command]
        self.port = free_port()
        self._environment = {
            "MONGODB_URI": mongodb_uri,
            "MONGODB_DATABASE": database,
            "MONGODB_TIMEOUT_MS": str(self.timeout_ms),
            "JWT_SECRET": SECRET,
            "PORT": str(self.port),
            "WEB_CONCURRENCY": "2",
            "DRAIN_SECONDS": "0.3",
        } | environment
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed by stop
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Server:
        self.process = subprocess.Popen(
            self._command,
            cwd=self._directory,
            env=environment_of(traced=self.is_traced) | self._environment,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            assert self.process.poll() is None, self.log()
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.05)
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(self.stop_signal)
            self.process.wait(timeout=30)
        self._log.close()

    def get(self, path: str, headers: Mapping[str, str] | None = None, timeout: float = 10) -> Answer:
        """Get once, over a connection of its own."""
        return self.request("GET", path, headers, timeout=timeout)

    def request(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout: float = 10,
    ) -> Answer:
        """Ask once, over a connection of its own."""
        return send_request(self.connect(timeout), method, path, headers, body)

    def connect(self, timeout: float = 10) -> http.client.HTTPConnection:
        """Return a connection that is not open yet."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def signal(self, number: int) -> None:
        """Send a signal to the master."""
        assert self.process is not None
        self.process.send_signal(number)

    def crash(self) -> None:
        """Kill the master and its workers at once, as a power cut would."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def wait(self, seconds: float = 30) -> int:
        """Return the exit code."""
        assert self.process is not None
        return self.process.wait(timeout=seconds)

    def log(self) -> str:
        """Return what it wrote to its standard streams so far."""
        log = self._log.fileno()
        return os.pread(log, os.fstat(log).st_size, 0).decode()  # the server writes where a shared position points to

    def _answers(self) -> bool:
        try:
            return self.get("/livez").status == http.HTTPStatus.OK
        except OSError:
            return False


class DeadlineServer(Server):
    """A server with the default `MONGODB_TIMEOUT_MS`, for tests of what it does within its deadline."""

    timeout_ms = 2000


class TracedServer(Server):
    """A server of which coverage sees what it does, for code that nothing else runs; it takes seconds to start."""

    is_traced = True
    stop_signal = signal.SIGTERM


def gunicorn_with(configuration: str, directory: Path) -> tuple[str, ...]:
    """Return the command of a gunicorn that adds this to the service's configuration, in a file of the directory."""
    file = directory / "gunicorn.conf.py"
    file.write_text(f"from customer_service.server.start import *\n{configuration}")
    return ("gunicorn", "--config", str(file), "wsgi:app")


def environment_of(*, traced: bool) -> dict[str, str]:
    """Return the environment of a process that a test starts; coverage traces it, or costs it nothing.

    A gunicorn server needs coverage's gevent support, which is slow, and keeps a test process busy for ever.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    if not traced or "COVERAGE_PROCESS_CONFIG" not in os.environ:
        return environment
    files = {"COVERAGE_PROCESS_START": str(ROOT / "setup.cfg"), "COVERAGE_FILE": str(ROOT / ".coverage")}
    return {**environment, **files, "COVERAGE_CONCURRENCY": "gevent"}


def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the project to its end, with no settings but a patient deadline and those given."""
    bare: dict[str, Any] = {
        name: value for name, value in os.environ.items() if not name.startswith(("MONGODB_", "JWT_"))
    } | {"MONGODB_TIMEOUT_MS": str(PATIENT_MS)}
    return subprocess.run(  # noqa: PLW1510 - the caller looks at the exit code
        command, cwd=ROOT, env=bare | environment, capture_output=True, text=True, timeout=60
    )
