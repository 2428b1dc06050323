"""Requests that wait for changes, through gunicorn: they delay neither other requests nor a server that stops."""

from __future__ import annotations

import json
import select
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import pytest
from bson import ObjectId

from customer_service.client import CustomerClient
from customer_service.repository import backfill_search_fields
from customer_service.server.limits import MAXIMUM_IN_FLIGHT
from customer_service.settings.server import DEFAULT_WORKERS
from customer_service.web.long_polling import MAXIMUM_LONG_POLLS as WAITERS
from tests import support
from tests.support import documents
from tests.support.server import Server

if TYPE_CHECKING:
    import http.client
    from collections.abc import Iterator
    from pathlib import Path

    from pymongo.database import Database

    from customer_service.repository.database import Document

CHANGES = support.customers_url("/changes")
CROWD = DEFAULT_WORKERS * MAXIMUM_IN_FLIGHT  # at most MAXIMUM_LONG_POLLS: one worker may accept all of them
PROMPT_SECONDS = 2.0  # a request that waited behind the others would take ten times as long


@pytest.fixture
def server(mongodb_uri: str, mongodb: Database[Document]) -> Iterator[Server]:
    support.fill(mongodb)
    backfill_search_fields(mongodb)
    with Server(mongodb_uri, mongodb.name) as running:
        yield running


def page(server: Server, cursor: str) -> dict[str, Any]:
    answer = server.get(f"{CHANGES}?cursor={cursor}", support.bearer())
    assert answer.status == HTTPStatus.OK, answer
    body: dict[str, Any] = json.loads(answer.body)
    return body


def end(server: Server) -> str:
    """Return the cursor behind all changes."""
    cursor: str = json.loads(server.get(CHANGES, support.bearer()).body)["cursor"]
    while (following := page(server, cursor))["hasMore"]:
        cursor = following["cursor"]
    return cursor


def wait(server: Server, cursor: str, stack: ExitStack, count: int) -> list[http.client.HTTPConnection]:
    """Let so many wait behind the cursor."""
    waiters = []
    for _ in range(count):
        connection = server.connect(timeout=30)
        stack.callback(connection.close)
        connection.request("GET", f"{CHANGES}?cursor={cursor}&wait=20", headers=support.bearer())
        waiters.append(connection)
    return waiters


def waiting(server: Server) -> int:
    samples = support.samples(server.get("/metrics").body.decode())
    return int(samples["customer_service_requests_waiting"])


def wait_until_waiting(server: Server, count: int) -> None:
    support.wait_until(lambda: waiting(server) == count, pause=0.1)


def wait_until_settled(server: Server, connections: list[http.client.HTTPConnection]) -> None:
    """Wait until each of these requests is either answered or waiting."""

    def is_settled() -> bool:
        answered, _, _ = select.select([each.sock for each in connections], [], [], 0)
        return len(answered) + waiting(server) == len(connections)

    support.wait_until(is_settled, pause=0.1)


def wait_in_groups(
    server: Server, cursor: str, stack: ExitStack, count: int, connections: list[http.client.HTTPConnection]
) -> None:
    """Add so many that wait if they may, a group at a time: a group has its permits, so none of it is refused."""
    for _ in range(count // MAXIMUM_IN_FLIGHT):
        connections += wait(server, cursor, stack, MAXIMUM_IN_FLIGHT)
        wait_until_settled(server, connections)


def answers(waiters: list[http.client.HTTPConnection]) -> list[list[str]]:
    """Return the types of the changes that each waiting request got."""
    types = []
    for connection in waiters:
        response = connection.getresponse()
        body = json.loads(response.read())
        assert response.status == HTTPStatus.OK, body
        assert body["cursor"]
        types.append([change["type"] for change in body["data"]])
    return types


@pytest.mark.timed
def test_more_waiting_requests_than_threads_delay_no_other_and_are_notified_at_once(
    server: Server, mongodb: Database[Document]
) -> None:
    with ExitStack() as stack:
        waiters = wait(server, end(server), stack, CROWD)
        wait_until_waiting(server, CROWD)
        began = time.monotonic()
        for _ in range(20):
            assert server.get(support.url(), support.bearer()).status == HTTPStatus.OK
        assert server.get("/readyz").status == HTTPStatus.OK
        assert time.monotonic() - began < PROMPT_SECONDS
        assert waiting(server) == CROWD
        began = time.monotonic()
        mongodb.customers.update_one({"_id": ObjectId(support.CUSTOMER_ID)}, {"$set": {"phone": "1"}})
        assert answers(waiters) == [["changed"]] * CROWD
        assert time.monotonic() - began < PROMPT_SECONDS
        wait_until_waiting(server, 0)


@pytest.mark.timed
def test_requests_without_a_free_slot_are_answered_at_once(server: Server) -> None:
    slots = DEFAULT_WORKERS * WAITERS
    connections: list[http.client.HTTPConnection] = []
    with ExitStack() as stack:
        cursor = end(server)
        wait_in_groups(server, cursor, stack, slots, connections)
        began = time.monotonic()
        wait_in_groups(server, cursor, stack, slots, connections)
        assert server.get(support.url(), support.bearer()).status == HTTPStatus.OK
        assert time.monotonic() - began < 2 * PROMPT_SECONDS
        assert WAITERS <= waiting(server) <= slots
        server.signal(signal.SIGTERM)
        assert answers(connections) == [[]] * (2 * slots)


def test_a_client_that_disconnects_frees_its_slot(server: Server) -> None:
    with ExitStack() as stack:
        wait(server, end(server), stack, 5)
        wait_until_waiting(server, 5)
    wait_until_waiting(server, 0)


@pytest.mark.timed
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_waiting_requests_do_not_delay_a_stop_or_a_reload(server: Server, number: signal.Signals) -> None:
    with ExitStack() as stack:
        waiters = wait(server, end(server), stack, CROWD)
        wait_until_waiting(server, CROWD)
        began = time.monotonic()
        server.signal(number)
        assert answers(waiters) == [[]] * CROWD
        assert time.monotonic() - began < 2 * PROMPT_SECONDS
        if number == signal.SIGTERM:
            assert server.wait() == 0
            assert time.monotonic() - began < 4 * PROMPT_SECONDS
        else:
            assert server.get(support.url(), support.bearer()).status == HTTPStatus.OK


@contextmanager
def changing(mongodb: Database[Document]) -> Iterator[None]:
    """Change the customer now and then, so that no request waits for long."""
    done = threading.Event()

    def change() -> None:
        while not done.wait(1):
            mongodb.customers.update_one({"_id": ObjectId(support.CUSTOMER_ID)}, {"$inc": {"version": 1}})

    thread = threading.Thread(target=change)
    thread.start()
    yield
    done.set()
    thread.join()


def test_the_page_runs_as_it_stands(
    server: Server, mongodb: Database[Document], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CUSTOMERS_URL", f"http://127.0.0.1:{server.port}")
    monkeypatch.setenv("CUSTOMERS_TOKEN", support.token())
    monkeypatch.setenv("CUSTOMERS_ORGANIZATION", support.ORGANIZATION)
    names: dict[str, Any] = {}
    printed = ""
    for language, text in documents.blocks("docs/how-to/follow-changes.md"):
        if language == "sh":
            done = documents.run(text, tmp_path, {})
            assert done.returncode == 0, done.stderr
            printed = done.stdout
        elif language == "python":
            with changing(mongodb):
                exec(text, names)  # noqa: S102 - it is this project's own page
    assert json.loads(printed)["hasMore"] is False
    assert list(names["copy"]) == [support.CUSTOMER_ID]
    assert names["cursor"]
    names["client"].close()


def test_the_client_follows_over_a_server_that_dies(mongodb_uri: str, mongodb: Database[Document]) -> None:
    support.fill(mongodb)
    backfill_search_fields(mongodb)
    token = support.token()
    with Server(mongodb_uri, mongodb.name) as first, ThreadPoolExecutor() as threads:
        url = f"http://127.0.0.1:{first.port}"
        with CustomerClient(url, token, support.ORGANIZATION) as client:
            pages = client.follow()
            held = {change.id: change.customer for change in next(pages).data}
            assert list(held) == [support.CUSTOMER_ID]
            first.crash()
            mongodb.customers.update_one({"_id": ObjectId(support.CUSTOMER_ID)}, {"$set": {"phone": "1"}})
            following = threads.submit(lambda: next(page for page in pages if page.data))
            second = Server(mongodb_uri, mongodb.name, PORT=str(first.port))
            second.port = first.port
            with second:
                (change,) = following.result().data
                assert (change.type, change.customer) == ("changed", client.get(support.CUSTOMER_ID))
                assert change.customer is not None
                assert change.customer.phone == "1"
