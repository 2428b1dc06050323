"""The process that `serve` and `demo` become."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from customer_service import cli
from customer_service.cli import demo
from customer_service.cli.main import command
from customer_service.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

GUNICORN = [sys.executable, "-m", "gunicorn", "--config", "python:customer_service.server.start"]
Executed = list[tuple[list[str], "Mapping[str, str]"]]


@pytest.fixture
def executed(monkeypatch: pytest.MonkeyPatch) -> Executed:
    calls: Executed = []
    monkeypatch.setattr(os, "execve", lambda _, arguments, environ: calls.append((arguments, dict(environ))))
    monkeypatch.setattr(demo, "_require_free", lambda _: None)
    return calls


def test_serve_becomes_gunicorn_with_the_environment(executed: Executed, tmp_path: Path) -> None:
    (tmp_path / "settings").write_text("PORT=4001\nLOG_LEVEL=debug\n")
    done = CliRunner().invoke(command, ["serve", "--env-file", str(tmp_path / "settings")], env={"PORT": "4002"})
    ((arguments, environ),) = executed
    assert (done.exit_code, arguments) == (0, [*GUNICORN, "customer_service.app:create_app()"])
    assert (environ["PORT"], environ["LOG_LEVEL"], environ["PATH"]) == ("4002", "debug", os.environ["PATH"])


def test_a_blank_variable_is_absent_for_gunicorn_too(executed: Executed) -> None:
    CliRunner().invoke(command, ["serve"], env={"WEB_CONCURRENCY": " "})
    ((_, environ),) = executed
    assert "WEB_CONCURRENCY" not in environ


def test_what_gunicorn_cannot_read_is_refused_before(executed: Executed) -> None:
    done = CliRunner().invoke(command, ["serve"], env={"WEB_CONCURRENCY": "many"})
    assert isinstance(done.exception, SettingsError)
    assert str(done.exception).startswith("WEB_CONCURRENCY: ")
    assert executed == []


def test_demo_takes_its_port_from_the_file_but_no_database(executed: Executed, tmp_path: Path) -> None:
    (tmp_path / "settings").write_text("PORT=4001\nMONGODB_URI=mongodb://production\n")
    CliRunner().invoke(command, ["demo", "--env-file", str(tmp_path / "settings")], env={"PORT": None})
    ((arguments, environ),) = executed
    assert arguments == [*GUNICORN, "--bind", "127.0.0.1:4001", "customer_service.cli.demo:app()"]
    assert environ["MONGODB_URI"] == "mongomock://"


def test_the_command_is_run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["customer-service", "--version"])
    with pytest.raises(SystemExit) as done:
        cli.run_command()
    assert (done.value.code, "customer-service, version" in capsys.readouterr().out) == (0, True)


def test_the_command_names_the_extra_that_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "customer_service.cli.main", None)
    with pytest.raises(SystemExit, match=r"^customer-service: .*customer-service\[server\]$"):
        cli.run_command()
