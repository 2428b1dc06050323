"""A service with two workers over TCP, whose log level is the most detailed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests import support
from tests.support.server import Server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pymongo.database import Database

    from customer_service.repository.database import Document


@pytest.fixture(scope="module")
def server(mongodb_uri: str, mongodb_of_session: Database[Document]) -> Iterator[Server]:
    """The service over the specification's example, with everything logged."""
    for name in mongodb_of_session.list_collection_names():
        mongodb_of_session[name].delete_many({})
    support.fill(mongodb_of_session)
    with Server(mongodb_uri, mongodb_of_session.name, LOG_LEVEL="debug") as running:
        yield running
