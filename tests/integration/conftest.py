"""The application over a filled database: each test runs on mongomock and on a real mongod."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import mongomock
import pytest

from tests.support import Service, serve

if TYPE_CHECKING:
    from pymongo.database import Database


@pytest.fixture(params=["mongomock", "mongod"])
def database(request: pytest.FixtureRequest, database_name: str) -> Database[dict[str, Any]]:
    """An empty database of either kind."""
    if request.param == "mongomock":
        empty: Database[dict[str, Any]] = mongomock.MongoClient()[database_name]
        return empty
    real: Database[dict[str, Any]] = request.getfixturevalue("mongodb")
    return real


@pytest.fixture
def service(database: Database[dict[str, Any]]) -> Service:
    """The service over the specification's example."""
    return serve(database)
