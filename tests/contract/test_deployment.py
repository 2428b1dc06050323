"""The image, the compose file, the README and the page of settings describe this very project."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib import metadata
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from customer_service.cli import main
from customer_service.settings import (
    CacheSettings,
    GatewaySettings,
    HistorySettings,
    JwtSettings,
    MongoSettings,
    ServerSettings,
    TracingSettings,
)

if TYPE_CHECKING:
    from click import Group

ROOT = Path(__file__).parents[2]
SETTINGS = {
    field.data_key
    for group in (
        MongoSettings,
        JwtSettings,
        ServerSettings,
        CacheSettings,
        TracingSettings,
        GatewaySettings,
        HistorySettings,
    )
    for field in group.SCHEMA.fields.values()
}


def instructions() -> list[tuple[str, str]]:
    """Return the Dockerfile's instructions, each with its argument."""
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    return [(line.split(" ")[0], line.split(" ", 1)[1]) for line in lines if line and not line.startswith("#")]


def last(name: str) -> str:
    return [argument for instruction, argument in instructions() if instruction == name][-1]


def pins(lock: str) -> list[str]:
    """Return the pinned packages of a lock, each with its hashes."""
    text = (ROOT / lock).read_text().replace("\\\n", "")
    return [line for line in text.splitlines() if re.match(r"[a-z0-9]", line)]


def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
    return loaded


class TestImage:
    """Where no engine is at hand to build it, its steps are held to be the Makefile's and the tests'."""

    def test_it_installs_what_the_makefile_installs(self) -> None:
        makefile = (ROOT / "Makefile").read_text()
        lock = last("ARG").removeprefix("LOCK=")
        installed = [argument.replace("$LOCK", lock) for name, argument in instructions() if name == "RUN"]
        for each in ("requirements.txt", "requirements-build.txt"):
            step = f"--require-hashes -r {each}"
            assert step in makefile
            assert any(step in argument for argument in installed)
        assert any("--no-deps --no-build-isolation ." in argument for name, argument in instructions() if name == "RUN")

    def test_every_file_it_copies_is_in_its_context(self) -> None:
        allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
        copied = {
            source
            for name, argument in instructions()
            if name == "COPY" and "--from" not in argument
            for source in shlex.split(argument)[:-1]
        }
        assert copied == allowed
        assert all((ROOT / source).exists() for source in copied)

    def test_every_requirement_is_hashed(self) -> None:
        for lock in ROOT.glob("requirements*.txt"):
            assert pins(lock.name)
            assert all("==" in line and "--hash=sha256:" in line for line in pins(lock.name))

    def test_each_lock_has_the_pins_of_the_one_below(self) -> None:
        assert set(pins("requirements.txt")) < set(pins("requirements-otel.txt")) < set(pins("requirements-dev.txt"))

    def test_it_starts_what_the_end_to_end_tests_start(self) -> None:
        command = json.loads(last("CMD"))
        assert command == ["gunicorn", "wsgi:app"]
        assert f'"{command[0]}", "{command[1]}"' in (ROOT / "tests/support/server.py").read_text()

    def test_it_runs_as_an_unprivileged_user(self) -> None:
        user = last("USER")
        assert int(user) >= 10_000
        names = [name for name, _ in instructions()]
        assert names.index("USER") > max(index for index, name in enumerate(names) if name in {"RUN", "COPY"})

    def test_its_port_and_its_probe_are_the_services(self) -> None:
        assert last("EXPOSE") == str(ServerSettings().port)
        probe = last("HEALTHCHECK")
        assert "/livez" in probe
        assert f"or {ServerSettings().port}" in probe

    @pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1)])
    def test_its_probe_asks_the_service_and_no_proxy(self, status: int, code: int) -> None:
        class Answering(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Print nothing."""

        _, *command = json.loads(last("HEALTHCHECK").split("CMD ", 1)[1])
        with HTTPServer(("127.0.0.1", 0), Answering) as server:
            Thread(target=server.handle_request, daemon=True).start()
            environ = os.environ | {"PORT": str(server.server_port), "http_proxy": "http://127.0.0.1:9"}
            done = subprocess.run([sys.executable, *command], env=environ, stderr=subprocess.DEVNULL, check=False)
        assert done.returncode == code

    def test_each_stage_is_the_python_of_the_tests(self) -> None:
        assert {argument.split(" ")[0] for name, argument in instructions() if name == "FROM"} == {
            "python:3.11-slim-bookworm"
        }


class TestCompose:
    """A replica set of three, and the service with a root that it cannot write to."""

    def test_the_uri_names_every_member(self) -> None:
        services = compose()["services"]
        members = sorted(name for name in services if name.startswith("mongo"))
        uri = services["service"]["environment"]["MONGODB_URI"]
        assert members == ["mongo1", "mongo2", "mongo3"]
        assert uri == f"mongodb://{','.join(members)}/?replicaSet={services['mongo1']['command'][2]}"
        assert all(f'"{member}"' in services["replica-set"]["command"][-1] for member in members)

    def test_the_service_cannot_write(self) -> None:
        for name in ("service", "indexes", "check"):
            service = compose()["services"][name]
            assert service["read_only"] is True
            assert service["cap_drop"] == ["ALL"]

    def test_it_is_given_the_time_of_its_drain(self) -> None:
        grace = compose()["services"]["service"]["stop_grace_period"]
        assert int(grace.removesuffix("s")) > ServerSettings().drain_seconds + 10

    def test_it_checks_what_the_service_needs_with_its_settings(self) -> None:
        check, service = compose()["services"]["check"], compose()["services"]["service"]
        assert check["command"][1] in main.command.commands
        assert check["environment"] == service["environment"]

    def test_its_settings_exist(self) -> None:
        for service in compose()["services"].values():
            assert set(service.get("environment", {})) <= SETTINGS

    def test_it_accepts_the_tokens_of_one_issuer_for_one_audience(self) -> None:
        assert compose()["services"]["service"]["environment"].keys() >= {"JWT_ISSUER", "JWT_AUDIENCE"}


class TestReadme:
    """A reader can trust every name in it, and in the page of settings."""

    text = (ROOT / "README.md").read_text()
    settings_page = (ROOT / "docs/reference/settings.md").read_text()

    def test_it_is_short(self) -> None:
        assert len(self.text.splitlines()) <= 120

    def test_the_settings_table_is_complete(self) -> None:
        assert set(re.findall(r"^\| `([A-Z_]+)` \|", self.settings_page, re.MULTILINE)) == SETTINGS

    @pytest.mark.parametrize(
        ("name", "default"),
        [
            ("MONGODB_DATABASE", MongoSettings.__dataclass_fields__["database"].default),
            ("MONGODB_TIMEOUT_MS", MongoSettings.__dataclass_fields__["timeout_ms"].default),
            ("PORT", ServerSettings().port),
            ("DRAIN_SECONDS", int(ServerSettings().drain_seconds)),
            ("LOG_LEVEL", ServerSettings().log_level),
        ],
    )
    def test_defaults(self, name: str, default: object) -> None:
        assert re.search(rf"^\| `{name}` \| `{default}` \|", self.settings_page, re.MULTILINE)

    def test_every_target_exists(self) -> None:
        targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
        assert set(re.findall(r"\bmake ([a-z]+)", self.text)) <= targets

    def test_every_subcommand_exists(self) -> None:
        for line in re.findall(r"customer-service ([a-z][a-z ]*)", self.text):
            command: Any = main.command
            for word in line.split():
                group: Group = command
                if not hasattr(group, "commands") or word not in group.commands:
                    break
                command = group.commands[word]
            assert command is not main.command, line

    def test_every_file_exists(self) -> None:
        for path in re.findall(r"\]\(([^)#:]+)\)", self.text):
            assert (ROOT / path).exists(), path


def test_no_library_is_installed_without_an_extra() -> None:
    """`make packaging` installs each extra; this holds without a network."""
    needed = metadata.requires("customer-service") or []
    assert [each for each in needed if "extra ==" not in each] == []
    assert [each for each in needed if re.search("extra == .client", each)] == ['httpx2>=2.10; extra == "client"']


def test_the_lock_has_every_library_of_the_server() -> None:
    needed = [
        re.split(r"[<>=\[]", each)[0] for each in metadata.requires("customer-service") or [] if '"server"' in each
    ]
    assert len(needed) > 10
    assert set(needed) <= {pin.split("==")[0] for pin in pins("requirements.txt")}
