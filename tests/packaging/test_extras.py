"""What each extra installs, in an empty virtual environment: `make packaging`, which asks the package index."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import venv
from importlib.metadata import requires
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.support.server import ROOT, Server

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Install = Callable[..., "Environment"]

CONSUMER_TEST = """
def test_a_customer_is_found(customer_service):
    known = customer_service.customer(externalId="crm-4711", legalName="Sabre")
    assert customer_service.client("viewer").get_by_external_id("crm-4711") == known
"""
USE_OF_THE_CLIENT = """
from customer_service.client import CustomerClient, Unreachable
with CustomerClient("http://127.0.0.1:9", "token", "organization", timeout=0.1) as client:
    try:
        client.get("x")
    except Unreachable as error:
        print(error)
"""


class Environment(NamedTuple):
    """A virtual environment, and a directory without a checkout."""

    bin: Path
    directory: Path

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        bare = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST_"))}
        program, *arguments = command
        return subprocess.run(
            [self.bin / program, *arguments], cwd=self.directory, env=bare, capture_output=True, text=True, check=False
        )

    def packages(self) -> set[str]:
        listed = self.run("python", "-m", "pip", "list", "--format", "json").stdout
        return {each["name"].lower().replace("_", "-") for each in json.loads(listed)} - {"pip", "setuptools"}


def of_extra(extra: str) -> set[str]:
    """Return the libraries that an extra names itself."""
    found = [
        re.fullmatch(rf"([\w.-]+).*; extra == [\"']{extra}[\"']", each) for each in requires("customer-service") or []
    ]
    return {match[1].lower() for match in found if match}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    directory = tmp_path_factory.mktemp("wheel")
    for name in ("setup.cfg", "pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, directory)
    shutil.copytree(ROOT / "customer_service", directory / "customer_service")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--wheel-dir", directory, directory], check=True)
    (built,) = directory.glob("*.whl")
    return built


@pytest.fixture
def install(wheel: Path, tmp_path: Path) -> Install:
    """Install the wheel with an extra, and other packages, in the versions of the lock."""
    locked = re.findall(r"^[\w.-]+==[^ ]+", (ROOT / "requirements-dev.txt").read_text(), re.MULTILINE)
    constraints = tmp_path / "constraints.txt"
    constraints.write_text("\n".join(locked))

    def make(extra: str, *others: str) -> Environment:
        venv.create(tmp_path / "venv", with_pip=True)
        environment = Environment(tmp_path / "venv" / "bin", tmp_path)
        options = ["--quiet", "--disable-pip-version-check", "--constraint", str(constraints)]
        done = environment.run("python", "-m", "pip", "install", *options, f"{wheel}{extra}", *others)
        assert done.returncode == 0, done.stderr
        return environment

    return make


def test_without_an_extra_no_library_is_installed(install: Install) -> None:
    environment = install("")
    assert environment.packages() == {"customer-service"}
    done = environment.run("customer-service", "--help")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "customer-service[server]" in done.stderr


def test_the_client_brings_httpx_and_no_library_of_the_server(install: Install) -> None:
    environment = install("[client]")
    brought_by_httpx2 = {"anyio", "h11", "httpcore2", "idna", "truststore", "typing-extensions"}
    assert environment.packages() <= {"customer-service", "httpx2"} | brought_by_httpx2
    assert environment.run("python", "-c", USE_OF_THE_CLIENT).stdout == "GET: ConnectError\n"
    assert "customer-service[server]" in environment.run("customer-service", "serve").stderr


def test_the_server_serves_without_httpx(install: Install) -> None:
    environment = install("[server]")
    assert of_extra("server") <= environment.packages()
    assert "httpx2" not in environment.packages()
    command = [str(environment.bin / "customer-service"), "serve"]
    with Server("mongomock://", "x", directory=environment.directory, command=command, WEB_CONCURRENCY="1") as server:
        assert server.get("/openapi.json").status == 200


def test_the_fixture_of_a_consumer_is_three_lines(install: Install) -> None:
    environment = install("[testing]", "pytest")
    (environment.directory / "test_consumer.py").write_text(CONSUMER_TEST)
    done = environment.run("python", "-m", "pytest", "-q", "test_consumer.py")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_fixture_names_the_extra_that_it_needs(install: Install) -> None:
    environment = install("[client]", "pytest")
    (environment.directory / "test_consumer.py").write_text(CONSUMER_TEST)
    done = environment.run("python", "-m", "pytest", "-q", "test_consumer.py")
    assert done.returncode == 1
    assert "Install the extra: customer-service[testing]" in done.stdout
