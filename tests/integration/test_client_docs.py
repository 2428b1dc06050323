"""Every code block of the page of the client runs as it stands."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

import pytest

from customer_service import client
from tests.support import documents

if TYPE_CHECKING:
    from pathlib import Path

    from customer_service.testing import CustomerService

PAGE = documents.ROOT / "docs/how-to/use-the-client.md"
FILE = re.compile(r"# (test_\w+\.py)\n")


@pytest.fixture
def settings(customer_service: CustomerService) -> dict[str, str]:
    """What the page expects to be set, and nothing that downloads or installs."""
    return {
        "CUSTOMERS_URL": customer_service.url,
        "CUSTOMERS_TOKEN": customer_service.token(customer_service.member()),
        "CUSTOMERS_ORGANIZATION": customer_service.organization_id,
        "PIP_NO_INDEX": "1",
        "PIP_DRY_RUN": "1",
    }


def test_every_block_runs(settings: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(documents.ROOT / "examples", tmp_path / "examples")
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    names: dict[str, object] = {}
    for language, text in documents.blocks(str(PAGE)):
        if language == "sh":
            run(text.replace("/path/to/the/checkout", "customer-service"), tmp_path)  # which is installed here
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
    done = documents.run(commands, directory, {})
    assert (done.returncode, "WARNING: customer-service" in done.stderr) == (0, False), done.stdout + done.stderr


def test_it_names_every_exception_and_method() -> None:
    text = PAGE.read_text()
    documented = set(re.findall(r"`(\w+)`", text)) | set(re.findall(r"client\.(\w+)\(", text)) | {"close"}
    errors = {name for name, value in vars(client).items() if isinstance(value, type) and issubclass(value, Exception)}
    methods = {name for name in vars(client.CustomerClient) if not name.startswith("_")}
    assert errors | methods <= documented
