"""Whether the service says that it is ready: only if it can do its work, else with what is missing and what to do."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pymongo
import pytest

from customer_service.app import create_app
from customer_service.repository import ensure_indexes, readiness
from customer_service.repository.customer_lists import BY_TERM
from customer_service.repository.readiness import (
    LOGIN_REFUSED,
    NO_RIGHTS,
    NOT_WRITABLE,
    READINESS_SECONDS,
    UNAVAILABLE,
    UNKNOWN,
    Readiness,
)
from tests.integration.conftest import PASSWORD
from tests.support import Service, bearer, customers_url, problem, serve, settings, wait_until
from tests.support.command_recorder import INDEXES, CommandRecorder
from tests.support.failpoints import failing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pymongo.database import Database

    from customer_service.repository.database import Document
    from tests.support.mongod import Mongod

READY = {"server": "ok", "mongodb": "ok", "rights": "ok", "indexes": "ok", "signingKeys": "ok"}


def checks(service: Service) -> dict[str, str]:
    """Return what a service that is not ready names."""
    found: dict[str, str] = problem(service.client.get("/readyz"), 503, "not-ready")["checks"]
    return found


def test_it_is_ready_if_everything_is_there(service: Service) -> None:
    answer = service.client.get("/readyz")
    assert (answer.status_code, answer.get_json()) == (200, {"status": "ok", "checks": READY})


def test_what_cannot_change_is_asked_until_it_holds(mongodb: Database[Document], mongodb_uri: str) -> None:
    recorder = CommandRecorder()
    client: pymongo.MongoClient[Document] = pymongo.MongoClient(mongodb_uri, event_listeners=[recorder])
    with client:
        service = serve(client[mongodb.name])
        asked = []
        for _ in range(2):
            recorder.commands.clear()
            assert service.client.get("/readyz").status_code == 200
            asked.append([next(iter(command)) for command in recorder.commands])
    assert asked == [["ping", "find", "update", *["listIndexes"] * 5], ["ping"]]


@pytest.fixture
def without_index(service: Service) -> Iterator[Service]:
    """A service that was started before `customer-service indexes`, as far as lists are concerned."""
    service.database.customers.drop_index(BY_TERM)
    app = create_app(settings(), service.database)
    yield Service(app, service.database, app.test_client())
    ensure_indexes(service.database)


def test_a_missing_index_is_named_until_it_is_there(without_index: Service) -> None:
    missing = f"missing: customers.{BY_TERM}; run `customer-service indexes`"
    assert checks(without_index) == READY | {"indexes": missing}
    ensure_indexes(without_index.database)
    assert without_index.client.get("/readyz").status_code == 200


def test_every_index_is_asked_for(mongodb: Database[Document]) -> None:
    empty = mongodb.client[f"{mongodb.name}_empty"]
    assert Readiness(empty).checks()["indexes"] == f"missing: {', '.join(INDEXES)}; run `customer-service indexes`"


@pytest.mark.parametrize("kind", ["mongod"], indirect=True)
@pytest.mark.parametrize("path", [customers_url(), customers_url("/changes")])
def test_a_list_without_its_index_says_so(without_index: Service, path: str) -> None:
    answer = without_index.client.get(path, headers=bearer())
    assert "`customer-service indexes`" in problem(answer, 503, "indexes-missing")["detail"]
    assert answer.headers["Retry-After"] == "1"


@pytest.mark.parametrize(
    ("login", "found"),
    [
        (f"writer:{PASSWORD}@", {"mongodb": "ok", "rights": "ok", "indexes": "ok"}),
        (f"reader:{PASSWORD}@", {"mongodb": "ok", "rights": NO_RIGHTS, "indexes": "ok"}),
        ("", {"mongodb": "ok", "rights": NO_RIGHTS, "indexes": NO_RIGHTS}),
        ("writer:other@", {"mongodb": LOGIN_REFUSED, "rights": UNKNOWN, "indexes": UNKNOWN}),
    ],
)
def test_what_a_login_lacks(guarded: Mongod, login: str, found: dict[str, str]) -> None:
    app = create_app(settings(guarded.uri.replace("//", f"//{login}")))
    client = app.test_client()
    answer, again = client.get("/readyz"), client.get("/readyz")
    app.extensions["database"].client.close()
    assert answer.get_json()["checks"] == again.get_json()["checks"] == READY | found
    assert (answer.status_code == 200) == (found["rights"] == "ok")


def test_a_server_that_takes_no_writes(uninitiated: Mongod) -> None:
    with pymongo.MongoClient[dict[str, Any]](uninitiated.uri) as client:
        assert Readiness(client.tests).checks() == {"mongodb": NOT_WRITABLE, "rights": UNKNOWN, "indexes": UNKNOWN}


def test_lasting_checks_that_ran_in_the_background_are_not_repeated(
    mongodb_uri: str, mongodb: Database[Document]
) -> None:
    ensure_indexes(mongodb)
    recorder = CommandRecorder()
    with pymongo.MongoClient[dict[str, Any]](mongodb_uri, event_listeners=[recorder]) as client:
        readiness = Readiness(client[mongodb.name])
        readiness.start()
        wait_until(lambda: not readiness.pending)
        recorder.commands.clear()
        assert set(readiness.checks().values()) == {"ok"}
        assert [next(iter(command)) for command in recorder.commands] == ["ping"]


@pytest.mark.timed
@pytest.mark.parametrize("slow", ["ping", "find", "update", "listIndexes"])
def test_a_slow_database_is_not_waited_for(
    mongodb: Database[Document], monkeypatch: pytest.MonkeyPatch, slow: str
) -> None:
    monkeypatch.setattr(readiness, "READINESS_SECONDS", READINESS_SECONDS)
    with failing(mongodb, slow, blockConnection=True, blockTimeMS=1500):
        began = time.monotonic()
        found = Readiness(mongodb).checks()
        seconds = time.monotonic() - began
    assert UNAVAILABLE in found.values()
    assert seconds < READINESS_SECONDS + 0.5
