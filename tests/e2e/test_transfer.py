"""The commands of docs/how-to/import-and-export.md run in its order in a shell, with the results that it states."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from customer_service.cli.transfer.columns import COLUMNS
from customer_service.repository import CustomerRepository, MembershipRepository, ensure_indexes
from customer_service.repository.memberships import OrganizationScope
from tests.support import NEW_CUSTOMER, WRITER, documents, wait_until
from tests.support.demo import COMMAND
from tests.support.server import environment_of
from tests.tools.measure_import import row

if TYPE_CHECKING:
    from pathlib import Path

    from pymongo.database import Database

    from customer_service.repository.database import Document

ORGANIZATION = "my-organization"
DOCUMENT = (documents.ROOT / "docs/how-to/import-and-export.md").read_text()


@pytest.fixture
def environ(mongodb: Database[Document], mongodb_uri: str) -> dict[str, str]:
    """The settings of a shell, whose database has the organization."""
    ensure_indexes(mongodb)
    MembershipRepository(mongodb).set_role("another-user", ORGANIZATION, "viewer")
    return {"MONGODB_URI": mongodb_uri, "MONGODB_DATABASE": mongodb.name}


def test_every_command_runs(mongodb: Database[Document], environ: dict[str, str], tmp_path: Path) -> None:
    CustomerRepository(mongodb, OrganizationScope(ORGANIZATION), WRITER).add(NEW_CUSTOMER)
    before = list(mongodb.customers.find())
    blocks = [block for language, block in documents.blocks("docs/how-to/import-and-export.md") if language == "sh"]
    assert len(blocks) == 2
    for block in blocks:
        done = documents.run(block, tmp_path, environ)
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
        assert done.stderr == "rows 1  created 0  changed 0  unchanged 1  failed 0\n"
    assert list(mongodb.customers.find()) == before
    assert {each.name for each in tmp_path.iterdir()} == {"customers.csv", "customers.ndjson.gz"}


def test_the_header_is_that_of_an_export() -> None:
    header = f"{','.join(COLUMNS)},metadata.segment"
    assert f"\n{header}\n" in DOCUMENT


def test_ctrl_c_says_how_to_resume(mongodb: Database[Document], environ: dict[str, str], tmp_path: Path) -> None:
    count = 40_000
    (tmp_path / "c.ndjson").write_text("".join(f"{json.dumps(row(number))}\n" for number in range(count)))
    # A shell's background job ignores SIGINT, and so would all that it starts.
    command = ("env", "--default-signal=INT", COMMAND, "import", ORGANIZATION, "c.ndjson")
    # A signal that arrives while coverage holds its lock would leave the lock held, and the process waiting for ever.
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment_of(traced=False) | environ, stderr=subprocess.PIPE, text=True
    )
    wait_until(lambda: any(tmp_path.glob("c.ndjson.*.progress")), 30)
    process.send_signal(signal.SIGINT)
    stderr = process.communicate(timeout=30)[1]
    assert (process.returncode, stderr.count("\n")) == (130, 1)
    assert "run the same command again to continue there" in stderr
    assert 0 < mongodb.customers.count_documents({}) < count


def test_a_closed_pipe_ends_an_export_quietly(environ: dict[str, str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        (COMMAND, "export", ORGANIZATION, "--format", "csv"),
        stdout=writing, stderr=subprocess.PIPE, env={**os.environ, **environ}, text=True, timeout=30, check=False,
    )  # fmt: skip
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")
