"""Fixtures for every test: a real MongoDB and a database on it."""

from __future__ import annotations

import os
import uuid
from typing import TYPE_CHECKING

import pymongo
import pytest
from hypothesis import settings

from customer_service.repository import readiness
from tests import support
from tests.support import mongod

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pymongo.database import Database

    from customer_service.repository.database import Document

settings.register_profile("default", deadline=None)  # a shared machine's pauses are no failures
settings.load_profile("default")


@pytest.fixture(scope="session", autouse=True)
def patience() -> Iterator[None]:
    """Deadlines that a busy machine meets; a test of a deadline sets its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MONGODB_TIMEOUT_MS", str(support.PATIENT_MS))
        patch.setattr(readiness, "READINESS_SECONDS", support.PATIENT_MS / 1000)
        yield


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


@pytest.fixture(scope="session")
def mongodb_of_session(mongodb_uri: str) -> Iterator[Database[Document]]:
    """A database of this run on a real MongoDB, dropped afterwards."""
    client: pymongo.MongoClient[Document] = pymongo.MongoClient(mongodb_uri)
    with client:
        database = client[f"customer_service_test_{uuid.uuid4().hex}"]
        yield database
        client.drop_database(database)


@pytest.fixture
def mongodb(mongodb_of_session: Database[Document]) -> Database[Document]:
    """An empty database on a real MongoDB; its collections and indexes stay."""
    support.empty(mongodb_of_session)
    return mongodb_of_session
