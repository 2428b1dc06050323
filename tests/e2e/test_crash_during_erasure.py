"""The server is killed before each write of an erasure: what is left is harmless, and the same request completes it."""

from __future__ import annotations

import threading
from contextlib import suppress
from http.client import HTTPException
from typing import TYPE_CHECKING, Any

import pymongo
import pytest
from bson import ObjectId, encode

from customer_service.app import create_app
from customer_service.repository import backfill_search_fields
from tests import support
from tests.support import CUSTOMER_ID, mongod
from tests.support.failpoints import await_write, blocking
from tests.support.server import Server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask.testing import FlaskClient
    from pymongo.database import Database

    from customer_service.repository.database import Document

ERASURE = f"{support.url()}/erasure"
PERSONAL = "gone@erased.example"
WRITES = [
    ("insert", "customer_versions", 0),
    ("findAndModify", "customers", 0),
    ("findAndModify", "customers", 1),
    ("delete", "customer_versions", 0),
    ("delete", "idempotencyKeys", 0),
]
"""The commands of an erasure that write, each with how many of its name are before it."""


@pytest.fixture
def database(own_mongod: mongod.Mongod) -> Iterator[Database[Document]]:
    """The specification's example with a version and a stored answer, and its member as an admin."""
    with pymongo.MongoClient[dict[str, Any]](own_mongod.uri) as client:
        client.drop_database("customer_service")
        support.fill(client.customer_service)
        client.customer_service.memberships.update_many({}, {"$set": {"role": "admin"}})
        backfill_search_fields(client.customer_service)
        yield client.customer_service


def personal_bytes(database: Database[Document]) -> list[str]:
    """Return the collections that hold the email."""
    names = database.list_collection_names()
    return [name for name in names if any(PERSONAL.encode() in encode(each) for each in database[name].find())]


@pytest.mark.parametrize(("command", "collection", "skip"), WRITES)
def test_the_same_request_completes_it(
    database: Database[Document], own_mongod: mongod.Mongod, command: str, collection: str, skip: int
) -> None:
    client = create_app(support.settings(own_mongod.uri), database).test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = support.bearer()["Authorization"]
    prepare(client, database)
    with (
        Server(own_mongod.uri, database.name, WEB_CONCURRENCY="1") as server,
        blocking(database, command, collection, skip),
    ):
        unheard = threading.Thread(target=erase_in_vain, args=(server,))
        unheard.start()
        await_write(database, command, collection)
        server.crash()
        unheard.join()
    document = database.customers.find_one({"_id": ObjectId(CUSTOMER_ID)}) or {}
    assert "erasedAt" in document or document["email"] == PERSONAL
    assert personal_bytes(database) != []
    assert client.post(ERASURE).get_json() == {"state": "erased"}
    assert personal_bytes(database) == []


def prepare(client: FlaskClient, database: Database[Document]) -> None:
    for phone in ("6475550142", "6475550143"):
        assert client.patch(support.url(), json={"email": PERSONAL, "phone": phone}).status_code == 200
    answer = {"organizationId": support.ORGANIZATION, "customerId": ObjectId(CUSTOMER_ID), "body": PERSONAL.encode()}
    database.idempotencyKeys.insert_one(answer)
    assert set(personal_bytes(database)) == {"customers", "customer_versions", "idempotencyKeys"}


def erase_in_vain(server: Server) -> None:
    with suppress(OSError, HTTPException):
        server.request("POST", ERASURE, support.bearer(), timeout=60)
