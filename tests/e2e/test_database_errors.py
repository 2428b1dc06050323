"""MongoDB refuses a command, cuts the connection, blocks or half succeeds: which response the caller gets, and when."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from tests import support
from tests.support.failpoints import ONCE, SERVICE, failing
from tests.support.server import DeadlineServer

if TYPE_CHECKING:
    from collections.abc import Callable

    from pymongo.database import Database

    from customer_service.repository.database import Document
    from tests.support.server import Answer, Server

DEADLINE_SECONDS = 2.5
SECRETS = ("Unauthorized", "not authorized", "13", "mongo", "customer_service", "failCommand", "Traceback")
POST = {"Content-Type": "application/json", "Idempotency-Key": "once"}


@pytest.fixture(scope="module")
def server_class() -> type[Server]:
    """The answers come within its deadline."""
    return DeadlineServer


@pytest.fixture
def database(server: Server, mongodb_of_session: Database[Document]) -> Database[Document]:
    """The server's database, whose member may write."""
    mongodb_of_session.memberships.update_many({}, {"$set": {"role": "editor"}})
    mongodb_of_session.idempotencyKeys.delete_many({})
    mongodb_of_session.customers.delete_many({"taxId": support.NEW_CUSTOMER["taxId"]})
    return mongodb_of_session


def read(server: Server) -> tuple[Answer, float]:
    """Return the answer to a read, and its seconds."""
    started = time.monotonic()
    answer = server.get(support.url(), support.bearer())
    return answer, time.monotonic() - started


def create(server: Server) -> Answer:
    return server.request(
        "POST", support.customers_url(), support.bearer() | POST, json.dumps(support.NEW_CUSTOMER).encode()
    )


@pytest.mark.parametrize("command", ["find", "insert", "update"])
def test_a_connection_cut_once_is_retried(
    server: Server, database: Database[Document], measured: Callable[[str, str], None], command: str
) -> None:
    with failing(database, command, mode=ONCE, appName=SERVICE, closeConnection=True):
        assert read(server)[0].status == 200
        assert create(server).status == 201
    assert database.customers.count_documents({"taxId": support.NEW_CUSTOMER["taxId"]}) == 1
    measured(f"a connection cut once under `{command}` is retried", "200, 201, one customer")


@pytest.mark.timed
def test_a_find_that_blocks_ends_at_the_deadline(
    server: Server, database: Database[Document], measured: Callable[[str, str], None]
) -> None:
    with failing(database, "find", appName=SERVICE, blockConnection=True, blockTimeMS=5000):
        answer, seconds = read(server)
    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    assert seconds < DEADLINE_SECONDS
    assert read(server)[0].status == 200
    measured("a find that blocks for 5 s is a 503 within the deadline + 0.5 s", f"503 after {seconds:.2f} s")


def test_a_refused_command_leaks_nothing(
    server: Server, database: Database[Document], measured: Callable[[str, str], None]
) -> None:
    with failing(database, "find", appName=SERVICE, errorCode=13):
        answer, _ = read(server)
    assert answer.status in {500, 503}
    body = json.loads(answer.body)
    details = json.dumps({name: body[name] for name in body if name not in {"requestId", "status"}})
    assert [secret for secret in SECRETS if secret in details] == []
    assert body["type"].startswith("urn:problem-type:database-")
    measured("a find refused with error 13 leaks nothing", f"{answer.status} `{body['type'].rpartition(':')[2]}`")


@pytest.mark.parametrize(
    "code", [64, 91, 100], ids=["WriteConcernFailed", "ShutdownInProgress", "UnsatisfiableWriteConcern"]
)
def test_a_write_without_a_majority_is_never_answered_201(
    server: Server, database: Database[Document], measured: Callable[[str, str], None], code: int
) -> None:
    failure = {"code": code, "errmsg": "not enough members", "codeName": "x"}
    with failing(database, "insert", "update", appName=SERVICE, writeConcernError=failure):
        statuses = {create(server).status for _ in range(3)}
    assert 201 not in statuses
    assert statuses <= {409, 500, 503}
    measured(f"an insert whose write concern fails with {code} is never a 201", f"three tries: {sorted(statuses)}")
