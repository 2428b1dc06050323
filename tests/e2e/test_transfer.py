"""The commands of docs/transfer.md do what it says, in its order, in a shell."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from customer_service.repository import CustomerRepository, MembershipRepository, ensure_indexes
from customer_service.repository.memberships import OrganizationScope
from customer_service.transfer import formats
from tests.e2e.server import ROOT
from tests.support import NEW_CUSTOMER

if TYPE_CHECKING:
    from pymongo.database import Database

    from customer_service.database import Document

ORGANIZATION = "my-organization"
DOCUMENT = (ROOT / "docs/transfer.md").read_text()


def test_every_command_runs(mongodb: Database[Document], mongodb_uri: str, tmp_path: Path) -> None:
    ensure_indexes(mongodb)
    MembershipRepository(mongodb).put("somebody", ORGANIZATION, "viewer")
    CustomerRepository(mongodb, OrganizationScope(ORGANIZATION)).add(NEW_CUSTOMER)
    before = list(mongodb.customers.find())
    blocks = re.findall(r"\n\n((?:    .+\n)+)", DOCUMENT)
    assert len(blocks) == 2
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    settings = {"PATH": path, "MONGODB_URI": mongodb_uri, "MONGODB_DATABASE": mongodb.name}
    for block in blocks:
        run = subprocess.run(  # noqa: PLW1510 - what it printed says more than its exit code
            ["bash", "-euo", "pipefail", "-c", block],  # noqa: S607 - the bash of the PATH
            cwd=tmp_path,
            env={**os.environ, **settings},
            capture_output=True,
            text=True,
        )
        assert (run.returncode, run.stdout) == (0, ""), run.stderr
        assert run.stderr == "rows 1  created 0  changed 0  unchanged 1  failed 0\n"
    assert list(mongodb.customers.find()) == before
    assert {each.name for each in tmp_path.iterdir()} == {"customers.csv", "customers.ndjson.gz"}


def test_the_header_is_that_of_an_export() -> None:
    header = f"{','.join(formats.COLUMNS)},metadata.segment"
    assert f"\n{header}\n" in DOCUMENT
