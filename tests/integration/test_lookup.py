"""One document by its key: what the driver's own `find_one` gives, on a connection of the driver's pool."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pymongo
import pytest
from bson import Binary, CodecOptions, Decimal128, ObjectId
from pymongo.errors import OperationFailure, PyMongoError

from customer_service.database import connect, connections, deadline
from customer_service.repository.lookup import find_first
from customer_service.settings import MongoSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pymongo.database import Database

    from customer_service.database import Document

LARGE = "x" * 3_000_000
ODD: list[dict[str, Any]] = [
    {"_id": 1, "name": "ñandú \0 🦙", "date": datetime(2026, 1, 1), "none": None, "deep": {"list": [{}, [1.5]]}},  # noqa: DTZ001 - as BSON has it
    {"_id": ObjectId("6" * 24), "binary": Binary(b"\0\1", 5), "decimal": Decimal128("1.10"), "long": 2**60},
    {"_id": 3, "large": LARGE},
]


@pytest.fixture
def own(mongodb_uri: str, mongodb: Database[Document]) -> Iterator[Database[Document]]:
    """The database, with the odd documents, as the service connects to it."""
    mongodb.scratch.delete_many({})
    mongodb.scratch.insert_many(ODD)
    database = connect(MongoSettings(mongodb_uri, mongodb.name))
    yield database
    database.client.close()


@contextmanager
def failing(database: Database[Document], times: int | str, **how: object) -> Iterator[None]:
    """Let the finds of the service fail so many times."""
    admin, data = database.client.admin, {"failCommands": ["find"], "appName": "customer-service", **how}
    mode = {"times": times} if isinstance(times, int) else times
    admin.command("configureFailPoint", "failCommand", mode=mode, data=data)
    try:
        yield
    finally:
        admin.command("configureFailPoint", "failCommand", mode="off")


def looked_up(database: Database[Document], key: object, seconds: float = 5.0) -> Document | None:
    with deadline(seconds):
        return find_first(database.scratch, {"_id": key})


@pytest.mark.parametrize("document", ODD, ids=lambda document: str(document["_id"]))
def test_it_is_what_the_driver_finds(own: Database[Document], document: Document) -> None:
    assert looked_up(own, document["_id"]) == own.scratch.find_one({"_id": document["_id"]}) == document


def test_nothing_is_nothing(own: Database[Document]) -> None:
    assert looked_up(own, "absent") is None
    with deadline(5):
        assert find_first(own["no such collection"], {}) is None


def test_in_memory_and_without_a_deadline(database: Database[Document]) -> None:
    database.scratch.insert_one({"_id": 1})
    assert find_first(database.scratch, {"_id": 1}) == {"_id": 1}
    assert find_first(database.scratch, {"_id": 2}) is None
    database.scratch.drop()


def test_what_is_asked(own: Database[Document], mongodb: Database[Document]) -> None:
    """It is asked once, of a majority, with the deadline that is left; and no session is opened for it."""
    mongodb.command("profile", 2)
    try:
        looked_up(own, 3, seconds=1.0)
    finally:
        mongodb.command("profile", 0)
    asked = [each["command"] for each in mongodb["system.profile"].find({"ns": f"{mongodb.name}.scratch"})]
    mongodb["system.profile"].drop()
    (command,) = asked
    assert (command["find"], command["filter"], command["limit"]) == ("scratch", {"_id": 3}, 1)
    assert command["readConcern"] == {"level": "majority"}
    assert 0 < command["maxTimeMS"] <= 950
    assert "lsid" not in command


@pytest.mark.parametrize("how", [{"closeConnection": True}, {"errorCode": 11600}], ids=["cut", "shutting down"])
def test_once_is_not_noticed(own: Database[Document], mongodb: Database[Document], how: dict[str, Any]) -> None:
    looked_up(own, 1)
    with failing(mongodb, 1, **how):
        assert looked_up(own, 1) == ODD[0]
    assert connections(own).in_use == 0


def test_a_refusal_is_the_drivers(own: Database[Document], mongodb: Database[Document]) -> None:
    with failing(mongodb, "alwaysOn", errorCode=13), pytest.raises(OperationFailure) as raised:
        looked_up(own, 1)
    assert raised.value.code == 13
    assert connections(own).in_use == 0


def test_an_answer_that_comes_too_late_is_nobody_elses(own: Database[Document], mongodb: Database[Document]) -> None:
    looked_up(own, 1)
    with failing(mongodb, 1, blockConnection=True, blockTimeMS=700), pytest.raises(PyMongoError) as raised:
        looked_up(own, 1, seconds=0.3)
    assert raised.value.timeout
    for _ in range(5):
        assert looked_up(own, 3) == ODD[2]
    assert connections(own).in_use == 0


def test_it_waits_for_longer_than_the_driver_listens_at_a_time(
    own: Database[Document], mongodb: Database[Document]
) -> None:
    with failing(mongodb, 1, blockConnection=True, blockTimeMS=1200):
        assert looked_up(own, 1) == ODD[0]


def test_a_deadline_that_is_over(own: Database[Document]) -> None:
    with pytest.raises(PyMongoError) as raised, deadline(0):
        find_first(own.scratch, {"_id": 1})
    assert raised.value.timeout


def test_who_listens_hears_it(mongodb_uri: str, own: Database[Document]) -> None:
    class Listener(pymongo.monitoring.CommandListener):
        heard: list[str]

        def started(self, event: pymongo.monitoring.CommandStartedEvent) -> None:
            self.heard.append(event.command_name)

        def succeeded(self, event: pymongo.monitoring.CommandSucceededEvent) -> None: ...

        def failed(self, event: pymongo.monitoring.CommandFailedEvent) -> None: ...

    listener = Listener()
    listener.heard = []
    database = connect(MongoSettings(mongodb_uri, own.name), [listener])
    assert looked_up(database, 1) == ODD[0]
    assert listener.heard == ["find"]
    database.client.close()


def test_a_member_that_is_no_primary(own: Database[Document], monkeypatch: pytest.MonkeyPatch) -> None:
    """What has no cursor decides nothing: `find_one` is asked, and its error is told."""
    monkeypatch.setattr("customer_service.repository.lookup._op_msg", refusing)
    assert looked_up(own, 1) == ODD[0]


def refusing(*_: object) -> tuple[int, bytes, int, int]:
    """Return a message that MongoDB refuses in place of the one that is asked for."""
    from pymongo.message import _op_msg  # noqa: PLC0415 - the one that is replaced

    return _op_msg(0, {"no such command": 1}, "admin", None, CodecOptions())
