"""The server is killed between the two writes of a request: a retry creates one customer, and no version is lost."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, cast

import pymongo
import pytest

from customer_service.client import CustomerClient
from customer_service.repository.idempotency import TAKEOVER_SECONDS
from tests import support
from tests.support.failpoints import await_write, blocking
from tests.support.server import Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pymongo.database import Database

    from customer_service.client import CustomerInput
    from customer_service.repository.database import Document
    from tests.support import mongod
    from tests.support.server import Answer


BODY = json.dumps(support.NEW_CUSTOMER).encode()
IS_NEW = {"taxId": support.NEW_CUSTOMER["taxId"]}


@pytest.fixture
def database(own_mongod: mongod.Mongod) -> Iterator[Database[Document]]:
    """The specification's example, and its member as an editor."""
    with pymongo.MongoClient[dict[str, Any]](own_mongod.uri) as client:
        client.drop_database("customer_service")
        support.fill(client.customer_service)
        client.customer_service.memberships.update_many({}, {"$set": {"role": "editor"}})
        yield client.customer_service


def post(server: Server) -> Answer:
    headers = {"Content-Type": "application/json", "Idempotency-Key": "again-and-again"}
    return server.request("POST", f"/organizations/{support.ORGANIZATION}/customers", support.bearer() | headers, BODY)


def patch(server: Server) -> Answer:
    headers = support.bearer() | {"Content-Type": "application/json"}
    return server.request("PATCH", support.url(), headers, b'{"phone": null}')


def crash_before(
    command: str, collection: str, database: Database[Document], uri: str, ask: Callable[[Server], Answer] = post
) -> None:
    """Kill the server while the request waits for this write, which is never made."""
    with Server(uri, database.name) as server, blocking(database, command, collection):
        unheard = threading.Thread(target=ask_in_vain, args=(server, ask))
        unheard.start()
        await_write(database, command, collection)
        server.crash()
        unheard.join()


def ask_in_vain(server: Server, ask: Callable[[Server], Answer]) -> None:
    with suppress(OSError, HTTPException):
        ask(server)


def retry(database: Database[Document], uri: str) -> tuple[Answer, Answer, Answer]:
    """Start the server again; return its answer at once, its answer once the claim is abandoned, and one more."""
    with Server(uri, database.name) as server:
        age(database, 0)  # however long the start took
        early = post(server)
        age(database, TAKEOVER_SECONDS)
        return early, post(server), post(server)


def age(database: Database[Document], seconds: int) -> None:
    """Make the claim this old."""
    claimed = {"$set": {"claimedAt": datetime.now(UTC) - timedelta(seconds=seconds)}}
    assert database.idempotencyKeys.update_one({}, claimed).modified_count == 1


def check(database: Database[Document], answers: tuple[Answer, Answer, Answer], *, is_replayed: bool) -> None:
    """Check that the customer is there once, and what was answered: in progress, created, replayed."""
    early, late, again = answers
    assert early.status == 409
    assert json.loads(early.body)["type"] == "urn:problem-type:request-in-progress"
    assert late.status == again.status == 201
    assert ("Idempotent-Replayed" in late.headers, "Idempotent-Replayed" in again.headers) == (is_replayed, True)
    assert (late.body, late.headers["ETag"]) == (again.body, again.headers["ETag"])
    (customer,) = database.customers.find(IS_NEW)
    assert str(customer["_id"]) == json.loads(late.body)["id"]


def test_a_crash_after_the_claim_loses_no_customer(database: Database[Document], own_mongod: mongod.Mongod) -> None:
    crash_before("insert", "customers", database, own_mongod.uri)
    assert database.customers.count_documents(IS_NEW) == 0
    assert database.idempotencyKeys.count_documents({"body": None}) == 1
    check(database, retry(database, own_mongod.uri), is_replayed=False)
    assert database.customers.count_documents(IS_NEW) == 1


def test_a_crash_after_the_customer_creates_no_second(database: Database[Document], own_mongod: mongod.Mongod) -> None:
    crash_before("update", "idempotencyKeys", database, own_mongod.uri)
    assert database.customers.count_documents(IS_NEW) == 1
    assert database.idempotencyKeys.count_documents({"body": None}) == 1
    check(database, retry(database, own_mongod.uri), is_replayed=True)


def test_a_crash_before_the_claim_leaves_nothing(database: Database[Document], own_mongod: mongod.Mongod) -> None:
    crash_before("insert", "idempotencyKeys", database, own_mongod.uri)
    with Server(own_mongod.uri, database.name) as server:
        first, again = post(server), post(server)
    assert (first.status, again.status) == (201, 201)
    assert ("Idempotent-Replayed" in first.headers, "Idempotent-Replayed" in again.headers) == (False, True)
    assert database.customers.count_documents(IS_NEW) == 1


@pytest.mark.parametrize(("command", "collection"), [("insert", "customers"), ("update", "idempotencyKeys")])
def test_the_client_creates_across_a_crash(
    database: Database[Document], own_mongod: mongod.Mongod, command: str, collection: str
) -> None:
    """One call outlives the server: it goes on until the new one takes its abandoned claim over."""
    token = support.token()
    new = cast("CustomerInput", support.NEW_CUSTOMER)
    with (
        Server(own_mongod.uri, database.name) as server,
        CustomerClient(f"http://127.0.0.1:{server.port}", token, support.ORGANIZATION, timeout=40) as client,
        ThreadPoolExecutor(1) as pool,
    ):
        with blocking(database, command, collection):
            creation = pool.submit(client.create, new)
            await_write(database, command, collection)
            server.crash()
        age(database, 0)
        with server:  # another one, in its place
            while "RequestInProgress" not in server.log() and not creation.done():
                time.sleep(0.01)
            age(database, TAKEOVER_SECONDS)
            created = creation.result()
            (customer,) = database.customers.find(IS_NEW)
            assert str(customer["_id"]) == created.id
            assert client.get(created.id) == created


def test_a_change_whose_server_is_killed_is_no_version(own_mongod: mongod.Mongod, database: Database[Document]) -> None:
    """Its copy for the history is stored, and stands for what is still current."""
    crash_before("findAndModify", "customers", database, own_mongod.uri, patch)
    assert database.customer_versions.count_documents({}) == 1
    with Server(own_mongod.uri, database.name) as server:
        assert versions(server) == [1]
        assert patch(server).status == 200
        assert versions(server) == [2, 1]
    assert database.customer_versions.count_documents({}) == 1


def versions(server: Server) -> list[int]:
    answer = server.get(f"{support.url()}/versions", support.bearer())
    return [each["version"] for each in json.loads(answer.body)["data"]]
