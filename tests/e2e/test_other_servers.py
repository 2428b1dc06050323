"""`wsgi:app` runs unchanged under other servers; docs/how-to/deploy-and-operate.md says what differs."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING

import pytest

from customer_service.repository import backfill_search_fields, ensure_indexes
from tests import support
from tests.support.mongod import free_port
from tests.support.server import ROOT, Server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pymongo.database import Database

    from customer_service.repository.database import Document

GUNICORN = ("gunicorn", "wsgi:app", "--bind", "127.0.0.1:{port}", "--worker-class")
COMMANDS = {
    "sync": (*GUNICORN, "sync"),
    "gthread": (*GUNICORN, "gthread", "--threads", "4"),
    "granian": ("granian", "--interface", "wsgi", "--host", "127.0.0.1", "--port", "{port}", "wsgi:app"),
}


@pytest.fixture(params=COMMANDS)
def server(
    request: pytest.FixtureRequest, mongodb_uri: str, mongodb: Database[Document], tmp_path: Path
) -> Iterator[Server]:
    """A server in a directory without this project's configuration of gunicorn."""
    support.fill(mongodb)
    ensure_indexes(mongodb)
    backfill_search_fields(mongodb)
    mongodb.memberships.insert_one({"userId": "editor", "organizationId": support.ORGANIZATION, "role": "editor"})
    port = free_port()
    command = [word.format(port=port) for word in COMMANDS[request.param]]
    environment = {"PYTHONPATH": str(ROOT)}
    running = Server(mongodb_uri, mongodb.name, directory=tmp_path, command=command, **environment)
    running.port = port
    with running:
        yield running


def test_a_read_a_write_and_the_feed(server: Server) -> None:
    found = server.get(support.url(base="/api"), support.bearer())
    assert (found.status, json.loads(found.body)) == (HTTPStatus.OK, support.EXAMPLE)
    assert server.get(support.url()).status == HTTPStatus.UNAUTHORIZED
    editor = support.bearer("editor") | {"Content-Type": "application/json"}
    created = server.request(
        "POST", support.customers_url(), editor, json.dumps(support.new_customer(taxId="EKU9003173C9")).encode()
    )
    assert created.status == HTTPStatus.CREATED, created.body
    assert server.get("/openapi.json").status == HTTPStatus.OK
    page = json.loads(server.get(support.customers_url("/changes"), editor).body)
    assert [change["type"] for change in page["data"]] == ["created", "created"]
    waited = server.get(f"{support.customers_url('/changes')}?wait=20&cursor={page['cursor']}", editor, timeout=5)
    assert (waited.status, json.loads(waited.body)["data"]) == (HTTPStatus.OK, [])  # they let no request wait
