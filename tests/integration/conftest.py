"""The application over a filled database: each test runs on mongomock and on a real mongod."""

from __future__ import annotations

from typing import TYPE_CHECKING

import mongomock
import pytest

from tests.support import Service, caller, serve

if TYPE_CHECKING:
    from flask.testing import FlaskClient
    from pymongo.database import Database

    from customer_service.database import Document


@pytest.fixture(params=["mongomock", "mongod"])
def database(request: pytest.FixtureRequest) -> Database[Document]:
    """An empty database of either kind."""
    if request.param == "mongomock":
        empty: Database[Document] = mongomock.MongoClient().customer_service
        return empty
    real: Database[Document] = request.getfixturevalue("mongodb")
    return real


@pytest.fixture
def service(database: Database[Document]) -> Service:
    """The service over the specification's example."""
    return serve(database)


@pytest.fixture
def editor(service: Service) -> FlaskClient:
    """A client of a member who may write."""
    return caller(service, "editor")


@pytest.fixture
def admin(service: Service) -> FlaskClient:
    """A client of the organization's only admin."""
    return caller(service, "admin")
