"""Every command of the README and of docs/ runs as it stands, against a real gunicorn and a real mongod.

A page is found by itself. Its commands run from top to bottom in one shell, in an empty directory, with MONGODB_URI,
JWT_SECRET and the CUSTOMERS_… of a client set, `customer-service` on the PATH, the service on port 3001, and `my-user`
the admin of `my-organization`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from customer_service.repository import MembershipRepository, backfill_search_fields
from tests import support
from tests.support import SECRET, documents, token
from tests.support.server import ROOT, Server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pymongo.database import Database

    from customer_service.repository.database import Document

NOT_RUN = {
    r"make (run|\.venv/runtime)": "installs, or serves until it is stopped: tests/e2e/test_startup.py starts the demo",
    r"make (test|faults|attack|sbom|bench|bench-growth|bench-against|searching|clients)( .*)?": "takes minutes",
    r"\.venv/bin/python -m bench .*": "a part of the benchmark",
    r"customer-service serve": "serves until it is stopped: tests/e2e/test_startup.py starts it",
    r"pip install --require-hashes .*": "installs what is installed here, from the place of the checkout",
    r"customer-service sat import .*": "reads what the SAT answers: tests/integration/test_sat_files.py imports it",
    r"(npx|pipx run) .*": "installs from a package index: make clients runs each of them",
    r"mongo(dump|restore) .*": "MongoDB's own tools, no part of the lock: test_restoring.py restores without",
    r"(kubectl |--from-literal=).*": "asks a cluster: tests/contract/test_operating.py builds and reads the manifests",
    r"docker compose .*": "asks a container engine: tests/contract/test_deployment.py reads the file",
    r"(python3\.11 -m venv|/opt/customer-service/bin/pip|install|cp|systemd-run|systemctl) .*": "changes the machine",
    r"sh\.shardCollection\(.*": "asks a sharded cluster, in mongosh",
}
"""The only commands that this does not run, and why."""

ELSEWHERE = {
    "docs/how-to/follow-changes.md": "tests/e2e/test_long_polling.py runs its Python between its commands",
    "docs/how-to/use-the-client.md": "tests/integration/test_client_docs.py runs its Python between its commands",
    "docs/how-to/import-and-export.md": "tests/e2e/test_transfer.py looks at what its commands did",
}
VALIDATED = "python -c 'from customer_service.settings import Settings; Settings.from_environment()'\n"
"""What stands behind the commands: a setting that a page exports is one that the service takes."""


@pytest.fixture(scope="module")
def running(mongodb_uri: str, mongodb_of_session: Database[Document]) -> Iterator[Server]:
    with Server(mongodb_uri, mongodb_of_session.name, MEMBERSHIP_CACHE_SECONDS="0") as server:
        yield server


def runnable(text: str) -> str:
    """Return the commands without those that are not run, which take a line each."""
    return "".join(line for line in text.splitlines(keepends=True) if not is_not_run(line))


def is_not_run(line: str) -> bool:
    command = line.partition(" #")[0].strip()
    return any(re.fullmatch(pattern, command) for pattern in NOT_RUN)


@pytest.mark.parametrize(
    "page", [page for page in documents.PAGES if page not in ELSEWHERE and documents.commands(page)]
)
def test_its_commands_run(
    page: str, running: Server, mongodb: Database[Document], mongodb_uri: str, tmp_path: Path
) -> None:
    support.fill(mongodb)
    backfill_search_fields(mongodb)
    mongodb.memberships.update_many({}, {"$set": {"role": "editor"}})
    MembershipRepository(mongodb).set_role("my-user", "my-organization", "admin")
    text = runnable(documents.commands(page))
    for written, here in {
        "http://localhost:3001": f"http://127.0.0.1:{running.port}",
        "mongodb://localhost:27017": f"'{mongodb_uri}'",
        "$(openssl rand -hex 32)": f"'{SECRET}'",
        "<the token that it printed>": token(),
    }.items():
        text = text.replace(written, here)
    settings = {
        "MONGODB_URI": mongodb_uri,
        "MONGODB_DATABASE": mongodb.name,
        "JWT_SECRET": SECRET,
        "CUSTOMERS_URL": f"http://127.0.0.1:{running.port}",
        "CUSTOMERS_ORGANIZATION": support.ORGANIZATION,
        "CUSTOMERS_TOKEN": token(),
    }
    done = documents.run(text + VALIDATED, tmp_path, settings)
    assert done.returncode == 0, (
        f"a command of {page} failed. {done.stderr}{done.stdout}"
        "What cannot be run here at all belongs into NOT_RUN of tests/e2e/test_documented_commands.py, with the reason."
    )


def test_what_is_not_run_is_there_and_no_more_than_that() -> None:
    lines = [
        line.partition(" #")[0].strip() for page in documents.PAGES for line in documents.commands(page).splitlines()
    ]
    for pattern in NOT_RUN:
        assert any(re.fullmatch(pattern, line) for line in lines), pattern
    assert set(ELSEWHERE) <= set(documents.PAGES)


def test_every_target_of_make_that_a_page_names_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in documents.DOCUMENTS:
        text = (ROOT / page).read_text()
        assert set(re.findall(r"(?:^    |`)make ([a-z-]+)", text, re.MULTILINE)) <= targets, page


def test_every_file_that_a_page_names_exists() -> None:
    for page in documents.DOCUMENTS:
        path = ROOT / page
        for link in re.findall(r"\]\(([^)#:]+)[)#]", path.read_text()):
            assert (path.parent / link).exists(), (page, link)


def test_every_heading_that_a_page_names_exists() -> None:
    for page in documents.DOCUMENTS:
        path = ROOT / page
        for link, anchor in re.findall(r"\]\(([^)#:]*\.md)?#([^)]+)\)", path.read_text()):
            named = path.parent / link if link else path
            assert anchor in documents.anchors(named), (page, link, anchor)
