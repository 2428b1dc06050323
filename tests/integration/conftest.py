"""The application over a filled database: each test runs on mongomock and on a real mongod."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import mongomock
import pymongo
import pytest

from customer_service.app import create_app
from customer_service.repository import ensure_indexes
from tests.support import Service, caller, empty, fill, settings
from tests.support.mongod import Mongod

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask import Flask
    from flask.testing import FlaskClient
    from pymongo.database import Database

    from customer_service.repository.database import Document

PASSWORD = "p"
ROLES = {"writer": "readWrite", "reader": "read"}
"""The users of `guarded`, each with its role."""


@pytest.fixture(scope="session")
def mongomock_of_session() -> Database[Document]:
    """A database of this run in memory."""
    database: Database[Document] = mongomock.MongoClient().customer_service
    return database


@pytest.fixture(scope="session")
def applications() -> dict[str, Flask]:
    """The application over each kind of database, once made: to make it takes longer than most tests."""
    return {}


@pytest.fixture(params=["mongomock", "mongod"])
def kind(request: pytest.FixtureRequest) -> str:
    """The kind of database that the test runs on."""
    name: str = request.param
    return name


@pytest.fixture
def database(request: pytest.FixtureRequest, kind: str) -> Database[Document]:
    """An empty database of either kind; its collections and indexes stay."""
    of_session: Database[Document] = request.getfixturevalue(
        "mongomock_of_session" if kind == "mongomock" else "mongodb_of_session"
    )
    empty(of_session)
    return of_session


@pytest.fixture
def service(database: Database[Document], kind: str, applications: dict[str, Flask]) -> Service:
    """The service over the specification's example."""
    fill(database)
    if kind not in applications:
        applications[kind] = create_app(settings(), database)
    return Service(applications[kind], database, applications[kind].test_client())


@pytest.fixture
def editor(service: Service) -> FlaskClient:
    """A client of a member who may write."""
    return caller(service, "editor")


@pytest.fixture
def admin(service: Service) -> FlaskClient:
    """A client of the organization's only admin."""
    return caller(service, "admin")


@pytest.fixture(scope="session")
def guarded() -> Iterator[Mongod]:
    """A MongoDB that asks who is there, with a user who may read and write and one who may read."""
    mongod = Mongod(replicated=False, options=["--auth"])
    mongod.launch()
    mongod.wait_until_it_answers()
    with pymongo.MongoClient[dict[str, Any]](mongod.uri) as client:
        client.admin.command("createUser", "root", pwd=PASSWORD, roles=["root"])
    address = mongod.uri.replace("//", f"//root:{PASSWORD}@")
    with pymongo.MongoClient[dict[str, Any]](address) as client:
        for name, role in ROLES.items():
            client.admin.command("createUser", name, pwd=PASSWORD, roles=[{"role": role, "db": "tests"}])
        ensure_indexes(client.tests)
    yield mongod
    mongod.close()


@pytest.fixture(scope="session")
def uninitiated() -> Iterator[Mongod]:
    """A member of a replica set that was not initiated: it answers, and takes no writes."""
    mongod = Mongod()
    mongod.launch()
    mongod.wait_until_it_answers()
    yield mongod
    mongod.close()
