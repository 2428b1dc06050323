"""The page of the client: every block of it is run as it stands."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from customer_service import client

if TYPE_CHECKING:
    from customer_service.testing import CustomerService

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "client.md"
BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)
INI = """
[pytest]
addopts = --import-mode=importlib
pythonpath = .
filterwarnings = error
"""
FILE = re.compile(r"# (test_\w+\.py)\n")


@pytest.fixture
def settings(customer_service: CustomerService) -> dict[str, str]:
    """What the page expects to be set, and nothing that downloads or installs."""
    return {
        "CUSTOMERS_URL": customer_service.url,
        "CUSTOMERS_TOKEN": customer_service.token(customer_service.member()),
        "CUSTOMERS_ORGANIZATION": customer_service.organization_id,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PIP_NO_INDEX": "1",
        "PIP_DRY_RUN": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def test_every_block_runs(settings: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    names: dict[str, object] = {}
    for language, text in BLOCK.findall(PAGE.read_text()):
        if language == "sh":
            run(text, tmp_path)
        elif file := FILE.match(text):
            (tmp_path / file[1]).write_text(text)
        else:
            exec(text, names)  # noqa: S102 - it is this project's own page
    names["client"].close()  # type: ignore[attr-defined]
    assert "wrong" in names, "the refusal of the page was not the one that it is about"


def run(commands: str, directory: Path) -> None:
    """Run the commands, whose every warning is a failure."""
    (directory / "pytest.ini").write_text(
        "[pytest]\naddopts = --import-mode=importlib\npythonpath = .\nfilterwarnings = error\n"
    )
    shell = ["bash", "-euo", "pipefail", "-c", commands]
    done = subprocess.run(shell, cwd=directory, capture_output=True, text=True, check=False)
    assert (done.returncode, "WARNING: customer-service" in done.stderr) == (0, False), done.stdout + done.stderr


def test_it_names_every_exception_and_method() -> None:
    text = PAGE.read_text()
    told = set(re.findall(r"`(\w+)`", text)) | set(re.findall(r"client\.(\w+)\(", text)) | {"close"}
    errors = {name for name, value in vars(client).items() if isinstance(value, type) and issubclass(value, Exception)}
    methods = {name for name in vars(client.CustomerClient) if not name.startswith("_")}
    assert errors | methods <= told


def test_every_file_that_it_names_exists() -> None:
    for path in re.findall(r"\]\(([^)#:]+)\)", PAGE.read_text()):
        assert (PAGE.parent / path).exists(), path
