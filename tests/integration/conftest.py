"""The application over a filled database: each test runs on mongomock and on a real mongod."""

from __future__ import annotations

from typing import TYPE_CHECKING

import mongomock
import pytest

from customer_service.app import create_app
from tests.support import Service, caller, empty, fill, settings

if TYPE_CHECKING:
    from flask import Flask
    from flask.testing import FlaskClient
    from pymongo.database import Database

    from customer_service.repository.database import Document


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
