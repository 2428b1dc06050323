"""The commands of docs/transfer.md do what it says, in its order, in a shell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from customer_service.repository import CustomerRepository, MembershipRepository, ensure_indexes
from customer_service.repository.memberships import OrganizationScope
from customer_service.transfer import formats
from tests import pages
from tests.support import NEW_CUSTOMER

if TYPE_CHECKING:
    from pathlib import Path

    from pymongo.database import Database

    from customer_service.database import Document

ORGANIZATION = "my-organization"
DOCUMENT = (pages.ROOT / "docs/transfer.md").read_text()


def test_every_command_runs(mongodb: Database[Document], mongodb_uri: str, tmp_path: Path) -> None:
    ensure_indexes(mongodb)
    MembershipRepository(mongodb).put("somebody", ORGANIZATION, "viewer")
    CustomerRepository(mongodb, OrganizationScope(ORGANIZATION)).add(NEW_CUSTOMER)
    before = list(mongodb.customers.find())
    blocks = [block for language, block in pages.blocks("docs/transfer.md") if language == "sh"]
    assert len(blocks) == 2
    for block in blocks:
        done = pages.run(block, tmp_path, {"MONGODB_URI": mongodb_uri, "MONGODB_DATABASE": mongodb.name})
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
        assert done.stderr == "rows 1  created 0  changed 0  unchanged 1  failed 0\n"
    assert list(mongodb.customers.find()) == before
    assert {each.name for each in tmp_path.iterdir()} == {"customers.csv", "customers.ndjson.gz"}


def test_the_header_is_that_of_an_export() -> None:
    header = f"{','.join(formats.COLUMNS)},metadata.segment"
    assert f"\n{header}\n" in DOCUMENT
