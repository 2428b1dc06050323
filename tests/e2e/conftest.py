"""The service over TCP, with a real mongod behind it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests import support
from tests.faults.measurements import record
from tests.support import mongod
from tests.support.server import Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pymongo.database import Database

    from customer_service.repository.database import Document


@pytest.fixture(scope="module")
def server_class() -> type[Server]:
    """The class of `server`; a module may return another."""
    return Server


@pytest.fixture(scope="module")
def server(mongodb_uri: str, mongodb_of_session: Database[Document], server_class: type[Server]) -> Iterator[Server]:
    """The service over the specification's example, shared by the tests of a module that only read."""
    support.empty(mongodb_of_session)
    support.fill(mongodb_of_session)
    with server_class(mongodb_uri, mongodb_of_session.name) as running:
        yield running


@pytest.fixture(scope="module")
def own_mongod() -> Iterator[mongod.Mongod]:
    """A mongod of this module, so that its failpoints affect no other test."""
    if mongod.executable() is None and not mongod.required():
        pytest.skip("no mongod on this machine")
    server = mongod.Mongod()
    server.start()
    yield server
    server.close()


@pytest.fixture
def measured(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Keep the figure that the test measured for a promise."""
    return partial(record, request.node.nodeid)
