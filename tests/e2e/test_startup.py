"""Start the demo and the command as a person does, with right and with wrong settings."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.support import EXAMPLE, SECRET
from tests.support.demo import COMMAND, curls, demo
from tests.support.mongod import free_port
from tests.support.server import Server, run

if TYPE_CHECKING:
    from pathlib import Path


def test_the_demo_answers_as_it_prints() -> None:
    with demo(free_port(), traced=True) as printed:
        assert "memory only" in printed
        promised = curls(printed)
        assert set(promised) == {200, 401, 403, 404}
        for status, command in promised.items():
            answer = subprocess.run([*command, "--silent"], capture_output=True, text=True, check=True, timeout=10)
            head, _, body = answer.stdout.replace("\r", "").partition("\n\n")
            assert head.split(" ")[1] == str(status)
            assert json.loads(body) == EXAMPLE if status == 200 else json.loads(body)["status"] == status


def test_two_demos_have_two_secrets() -> None:
    with demo(free_port()) as one, demo(free_port()) as other:
        ours, theirs = curls(one)[200], curls(other)[200]
        answer = subprocess.run([*ours[:3], *theirs[3:]], capture_output=True, text=True, check=True, timeout=10)
        assert answer.stdout.split(" ")[1] == "401"


def test_the_demo_says_that_its_port_is_taken() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run(COMMAND, "demo", "--port", str(port))
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert f"PORT: {port} cannot be used on this machine (Address already in use)" in done.stderr


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({}, ["MONGODB_URI", "JWT_SECRET"]),
        ({"MONGODB_URI": "mongomock://", "JWT_SECRET": SECRET, "WEB_CONCURRENCY": "2"}, ["WEB_CONCURRENCY"]),
    ],
    ids=["read", "combined"],
)
def test_a_wrong_setting_stops_the_start_with_one_line(environment: dict[str, str], named: list[str]) -> None:
    started = time.monotonic()
    done = run(sys.executable, "-m", "gunicorn", "wsgi:app", **environment)
    assert done.returncode != 0
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert all(name in done.stderr for name in named)
    assert time.monotonic() - started < 20


def test_serve_needs_no_checkout(tmp_path: Path) -> None:
    (tmp_path / "settings").write_text("CORS_ALLOWED_ORIGINS='https://app.example'\n")
    command = [COMMAND, "serve", "--env-file", "settings"]
    with Server("mongomock://", "memory", directory=tmp_path, command=command, WEB_CONCURRENCY="1") as own:
        answer = own.get("/openapi.json", {"Origin": "https://app.example"})
        assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example"
        assert own.get("/readyz").status == 200
        own.signal(signal.SIGTERM)
        assert own.wait() == 0


def test_serve_says_which_setting_is_wrong() -> None:
    done = run(COMMAND, "serve")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "MONGODB_URI" in done.stderr


def test_memory_is_never_the_default() -> None:
    done = run(sys.executable, "-c", "import wsgi", JWT_SECRET=SECRET)
    assert done.returncode != 0
    assert "MONGODB_URI" in done.stderr.splitlines()[-1]


def test_the_command_reports_through_its_exit_code() -> None:
    assert run(COMMAND, "--help").returncode == 0
    assert run(COMMAND, "indexes").returncode == 2
    down = run(COMMAND, "indexes", MONGODB_URI=f"mongodb://127.0.0.1:{free_port()}", MONGODB_TIMEOUT_MS="200")
    assert (down.returncode, down.stderr.count("\n")) == (1, 1)
    assert "MongoDB does not answer" in down.stderr
