"""What every test may ask for."""

from __future__ import annotations

import os
import uuid
from typing import TYPE_CHECKING, Any

import pymongo
import pytest

from tests import mongod

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def mongodb_uri() -> Iterator[str]:
    """The connection string of a real MongoDB."""
    given = os.environ.get("TEST_MONGODB_URI")
    if given:
        yield given
        return
    if mongod.executable() is None and not mongod.required():
        pytest.skip("no mongod on this machine; set TEST_MONGODB_URI")
    server = mongod.Mongod()
    server.start()
    yield server.uri
    server.close()


@pytest.fixture
def database_name() -> str:
    """A name that no other test uses."""
    return f"test_{uuid.uuid4().hex}"


@pytest.fixture
def mongodb(mongodb_uri: str, database_name: str) -> Iterator[pymongo.database.Database[dict[str, Any]]]:
    """An empty database on a real MongoDB, dropped afterwards."""
    with pymongo.MongoClient[dict[str, Any]](mongodb_uri) as client:
        yield client[database_name]
        client.drop_database(database_name)
