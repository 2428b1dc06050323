"""Every kind of change stream event, with and without each field that may be absent."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from bson import Code, Decimal128, ObjectId, Timestamp

from customer_service.errors import CursorExpired
from customer_service.repository import CustomerFeed, OrganizationScope
from customer_service.repository.change_watcher import ChangeWatcher
from tests.support import CUSTOMER_ID, ORGANIZATION, fill

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pymongo.database import Database

    from customer_service.repository.database import Document

Table = dict[str, tuple[dict[str, Any], str, str]]

KEY = {"documentKey": {"_id": ObjectId(CUSTOMER_ID)}}
NS = {"ns": {"db": "tests", "coll": "customers"}}
ELSEWHERE = {"ns": {"db": "tests", "coll": "elsewhere"}}
TO = {"to": {"db": "tests", "coll": "renamed"}}
OF_DATABASE = {"ns": {"db": "tests"}}
DROPPED, NAMELESS = "a collection was dropped or renamed", "a change names no document"
OVER = "closed"


def of_documents(kind: str) -> Table:
    """Return the events of a kind about documents: what the feed makes of each, and why the watcher ends."""
    return {
        kind: ({"operationType": kind, **NS, **KEY}, "returned", OVER),
        f"{kind} with a shard key": (
            {"operationType": kind, **NS, "documentKey": {"zone": 1, **KEY["documentKey"]}},
            "returned",
            OVER,
        ),
        **{
            f"{kind} of {_id}": ({"operationType": kind, **NS, "documentKey": {"_id": _id}}, "passed", OVER)
            for _id in ({"another": "program"}, "text", Decimal128("1"), Code("x"))
        },
        f"{kind} without documentKey": ({"operationType": kind, **NS}, "expired", NAMELESS),
        f"{kind} without its _id": ({"operationType": kind, **NS, "documentKey": {}}, "expired", NAMELESS),
        f"{kind} without ns.coll": ({"operationType": kind, **OF_DATABASE, **KEY}, "passed", NAMELESS),
        f"{kind} without ns": ({"operationType": kind, **KEY}, "passed", NAMELESS),
        f"{kind} elsewhere": ({"operationType": kind, **ELSEWHERE, **KEY}, "passed", NAMELESS),
        f"{kind} elsewhere without documentKey": ({"operationType": kind, **ELSEWHERE}, "passed", NAMELESS),
    }


def of_collections(kind: str) -> Table:
    """Return the events of a kind about a collection."""
    return {
        kind: ({"operationType": kind, **NS}, "expired", DROPPED),
        f"{kind} with a key": ({"operationType": kind, **NS, **KEY}, "expired", DROPPED),
        f"{kind} elsewhere": ({"operationType": kind, **ELSEWHERE}, "passed", DROPPED),
        f"{kind} without ns": ({"operationType": kind}, "passed", DROPPED),
    }


def of_databases(kind: str) -> Table:
    """Return the events of a kind after which there are no customers."""
    shapes = {"": {}, " with ns": OF_DATABASE, " with ns.coll": NS, " elsewhere": ELSEWHERE}
    return {kind + name: ({"operationType": kind, **shape}, "expired", DROPPED) for name, shape in shapes.items()}


EVENTS: Table = {
    **of_documents("insert"),
    **of_documents("replace"),
    **of_documents("update"),
    **of_documents("delete"),
    **of_collections("drop"),
    **of_collections("create"),
    **of_collections("createIndexes"),
    **of_collections("modify"),
    **of_collections("shardCollection"),
    **of_databases("dropDatabase"),
    **of_databases("invalidate"),
    "rename": ({"operationType": "rename", **NS, **TO}, "expired", DROPPED),
    "rename without to": ({"operationType": "rename", **NS}, "expired", DROPPED),
    "rename into it": ({"operationType": "rename", **ELSEWHERE, "to": NS["ns"]}, "expired", DROPPED),
    "rename without ns": ({"operationType": "rename", "to": NS["ns"]}, "expired", DROPPED),
    "rename elsewhere": ({"operationType": "rename", **ELSEWHERE, **TO}, "passed", DROPPED),
    "endOfTransaction": ({"operationType": "endOfTransaction"}, "passed", DROPPED),
}


class Scripted:
    """A change stream of a few events, in the driver's two shapes."""

    alive = True
    resume_token = None

    def __init__(self, events: list[dict[str, Any]], address: object = None) -> None:
        self._events = list(events)
        self.address = address
        self._cursor = self

    def try_next(self) -> dict[str, Any] | None:
        return self._events.pop(0) if self._events else None

    def _has_next(self) -> bool:
        return bool(self._events)

    def __enter__(self) -> Scripted:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def at_once(event: dict[str, Any]) -> dict[str, Any]:
    """Return the event with what each one has."""
    return {"clusterTime": Timestamp(int(time.time()), 1), "isOwn": True, "isNoChange": False, **event}


@pytest.fixture
def database(mongodb: Database[Document]) -> Database[Document]:
    """The specification's example, whose clock has gone on since the test before."""
    fill(mongodb)
    mongodb["later"].insert_one({})
    return mongodb


@pytest.mark.parametrize(("event", "outcome"), [each[:2] for each in EVENTS.values()], ids=EVENTS)
def test_the_feed(
    database: Database[Document], monkeypatch: pytest.MonkeyPatch, event: dict[str, Any], outcome: str
) -> None:
    changes = CustomerFeed(database, OrganizationScope(ORGANIZATION))
    _, position, _ = changes.read(None, lambda: False)
    monkeypatch.setattr(CustomerFeed, "_stream", lambda *_: Scripted([at_once(event)]))
    with _expecting(outcome):
        page = changes.read(position, lambda: False)
        assert [each.customer_id for each in page.changes] == ([CUSTOMER_ID] if outcome == "returned" else [])


@contextmanager
def _expecting(outcome: str) -> Iterator[None]:
    if outcome == "expired":
        with pytest.raises(CursorExpired):
            yield
    else:
        yield


@pytest.mark.parametrize(("event", "reason"), [(each[0], each[2]) for each in EVENTS.values()], ids=EVENTS)
def test_the_watcher(
    database: Database[Document], monkeypatch: pytest.MonkeyPatch, event: dict[str, Any], reason: str
) -> None:
    forgotten: list[object] = []

    def forget(key: object) -> None:
        forgotten.append(key)
        watcher.close()

    watcher = ChangeWatcher(database, {"customers": forget}, lambda: None)
    primary = database.client.primary
    monkeypatch.setattr(ChangeWatcher, "_open", lambda *_: Scripted([at_once(event)], primary))
    assert watcher._follow() == reason
    assert forgotten == ([event["documentKey"]["_id"]] if reason == OVER else [])
