"""`customer-service erase-due` erases what is blocked, past its date and not held, and prints counts alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from bson import ObjectId, encode, json_util
from bson.raw_bson import RawBSONDocument

from customer_service.cli import erasure
from customer_service.repository import ErasureRepository, ensure_indexes
from customer_service.repository.erasures import CustomerKey, find_due, find_reduced_since
from tests.support import INVOICED_ON, ORGANIZATION, OTHER_ORGANIZATION, Service
from tests.support.command_line import CommandRun

if TYPE_CHECKING:
    from collections.abc import Callable

    from pymongo.database import Database

    from customer_service.repository.database import Document

    Shell = Callable[..., CommandRun]

NOW = datetime.now(UTC).replace(tzinfo=None, microsecond=0)
PAST, PRESENT = "2015-06-30", INVOICED_ON.isoformat()
DUE: list[dict[str, Any]] = [
    {"retention": {"lastInvoicedOn": PAST}},
    {"retention": {}},
    {},
    {"retention": {"lastInvoicedOn": PAST}, "organizationId": OTHER_ORGANIZATION},
    {"retention": {"lastInvoicedOn": PAST, "hold": False}},
]
NOT_DUE: list[dict[str, Any]] = [
    {"retention": {"lastInvoicedOn": PRESENT}},
    {"retention": {"lastInvoicedOn": PAST, "hold": True, "reason": "secret-reason"}},
    {"retention": {"hold": True, "reason": "secret-reason"}},
    {"retention": {"lastInvoicedOn": PAST}, "blockedAt": None},
    {"blockedAt": None, "deletedAt": None},
    {"organizationId": None},
    {"retention": {"lastInvoicedOn": PAST, "hold": "no"}},
]


def document(**changes: Any) -> Document:
    """Return a customer that was blocked long ago, changed so."""
    old = NOW - timedelta(days=100)
    blocked: Document = {"_id": ObjectId(), "organizationId": ORGANIZATION, "legalName": "secret-name", "version": 3}
    return blocked | dict.fromkeys(("createdAt", "updatedAt", "deletedAt", "blockedAt"), old) | changes


@pytest.fixture
def filled(mongodb: Database[Document], mongodb_uri: str, monkeypatch: pytest.MonkeyPatch) -> Database[Document]:
    """A database with customers in every state, that the command uses."""
    monkeypatch.setenv("MONGODB_URI", mongodb_uri)
    monkeypatch.setenv("MONGODB_DATABASE", mongodb.name)
    ensure_indexes(mongodb)
    mongodb.customers.insert_many([document(**each) for each in (*DUE, *NOT_DUE)])
    return mongodb


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    return partial(CommandRun, monkeypatch, capsys, "erase-due")


def counted(database: Database[Document]) -> tuple[int, int]:
    """Return the numbers of the tombstones and of the other customers."""
    erased = database.customers.count_documents({"erasedAt": {"$exists": True}})
    return erased, database.customers.count_documents({}) - erased


def test_erases_what_is_due(filled: Database[Document], shell: Shell) -> None:
    before = {each["_id"]: each for each in filled.customers.find()}
    dry = shell("--dry-run")
    assert (dry.code, dry.out, dry.err) == (0, "due 5\n", "")
    assert counted(filled) == (0, 12)
    done = shell()
    assert (done.code, done.out, done.err) == (0, "due 5  erased 5\n", "")
    assert counted(filled) == (5, 7)
    assert all(each == before[each["_id"]] for each in filled.customers.find({"erasedAt": None}))
    (tombstone, *_) = filled.customers.find({"organizationId": OTHER_ORGANIZATION})
    assert tombstone.keys() == {"_id", "organizationId", "createdAt", "erasedAt", "erasedBy"}
    assert tombstone["erasedBy"] == "cli:erase-due"
    again = shell()
    assert (again.code, again.out) == (0, "due 0  erased 0\n")


@pytest.mark.parametrize("day", [2015, datetime(2010, 1, 1), ["2015-01-01"], "2015", "x", ""])  # noqa: DTZ001
def test_a_date_that_cannot_be_read_is_a_failure(filled: Database[Document], shell: Shell, day: object) -> None:
    filled.customers.insert_one(document(retention={"lastInvoicedOn": day}))
    done = shell()
    assert (done.code, done.out, done.err) == (1, "due 6  erased 5\n", "")


def test_a_hold_that_is_not_utf_8_does_not_stop_the_command(filled: Database[Document], shell: Shell) -> None:
    unreadable = encode(document(retention={"lastInvoicedOn": PAST, "reason": "~"})).replace(b"~", b"\xff")
    filled.customers.insert_one(RawBSONDocument(unreadable))
    done = shell()
    assert (done.code, done.out, done.err) == (1, "due 6  erased 5\n", "")


def test_a_terminal_has_a_progress_bar_without_names(
    filled: Database[Document], shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("customer_service.cli.console.is_terminal", lambda: True)
    done = shell()
    assert "erasing" in done.err
    assert "secret" not in done.out + done.err
    assert ORGANIZATION not in done.out + done.err


@pytest.mark.parametrize(
    "change",
    [
        {"$set": {"retention.hold": True}},
        {"$set": {"retention.lastInvoicedOn": "x"}},
        {"$set": {"retention.lastInvoicedOn": PRESENT}},
    ],
)
def test_judges_again_what_it_has_found(
    filled: Database[Document], shell: Shell, monkeypatch: pytest.MonkeyPatch, change: Document
) -> None:
    def find_and_change(*arguments: Any) -> list[CustomerKey]:
        found = find_due(*arguments)
        filled.customers.update_one({"_id": ObjectId(found[0].customer_id)}, change)
        filled.customers.delete_one({"_id": ObjectId(found[1].customer_id)})
        return found

    monkeypatch.setattr(erasure, "find_due", find_and_change)
    done = shell()
    assert (done.code, done.out) == (1, "due 5  erased 3\n")
    assert counted(filled) == (3, 8)


@pytest.mark.parametrize(("days", "left"), [(1, 0), (3, 1)])
def test_removes_again_what_a_killed_writer_left(
    filled: Database[Document], shell: Shell, days: int, left: int
) -> None:
    """It stored a copy after the erasure had removed all, and was killed before its update."""
    moment, customer_id = NOW - timedelta(days=days), ObjectId()
    tombstone = {"organizationId": ORGANIZATION, "createdAt": moment, "erasedAt": moment, "erasedBy": "an-admin"}
    filled.customers.insert_one({"_id": customer_id, **tombstone})
    blocked = document(blockedAt=moment, retention={"lastInvoicedOn": PRESENT})
    filled.customers.insert_one(blocked)
    for each in (customer_id, blocked["_id"]):
        late = document(_id=each, email="gone@erased.example", blockedAt=None, deletedAt=None)
        key = {"customer": each, "version": 3, "updatedAt": moment}
        filled.customer_versions.insert_one({"_id": key, "organizationId": ORGANIZATION, "document": late})
        answer = {"organizationId": ORGANIZATION, "customerId": each, "body": b"gone@erased.example"}
        filled.idempotencyKeys.insert_one({"_id": str(each), **answer})
    assert shell().code == 0
    assert filled.idempotencyKeys.count_documents({}) == 2 * left
    assert filled.customer_versions.count_documents({"_id.customer": customer_id}) == left
    copies = json_util.dumps(list(filled.customer_versions.find({"_id.customer": blocked["_id"]})))
    assert ("gone@" in copies, "secret-name" in copies) == (bool(left), True)


def test_a_customer_that_is_gone_meanwhile_is_no_failure(
    filled: Database[Document], shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    def find_and_remove(*arguments: Any) -> list[CustomerKey]:
        found = find_reduced_since(*arguments)
        filled.customers.delete_many({})
        return found

    filled.customers.delete_many({})
    filled.customers.insert_one(document(blockedAt=NOW, retention={"hold": True, "reason": "x"}))
    monkeypatch.setattr(erasure, "find_reduced_since", find_and_remove)
    assert (shell().code, ErasureRepository.COLLECTION in filled.list_collection_names()) == (0, True)


def test_its_finds_read_by_the_index_of_their_time(filled: Database[Document]) -> None:
    for criteria, indexes in (
        ({"blockedAt": {"$exists": True}, "retention.hold": None}, ["blockedAt"]),
        ({"$or": [{"blockedAt": {"$gte": NOW}}, {"erasedAt": {"$gte": NOW}}]}, ["blockedAt", "erasedAt"]),
    ):
        query = {"find": "customers", "filter": criteria}
        plan = str(filled.command("explain", query, verbosity="queryPlanner")["queryPlanner"]["winningPlan"])
        assert "COLLSCAN" not in plan
        assert all(f"'customer-service.{name}'" in plan for name in indexes)


def test_on_mongomock(service: Service) -> None:
    customers = service.database.customers
    customers.delete_many({})
    customers.insert_many([document(**each) for each in (*DUE, *NOT_DUE)])
    found = find_due(service.database, datetime(2020, 12, 31).date())  # noqa: DTZ001 - a date
    assert {each.scope for each in found} == {ORGANIZATION, OTHER_ORGANIZATION}
    assert all(erasure._is_erased(service.database, each) for each in found)
    assert counted(service.database) == (5, 7)
    reduced = find_reduced_since(service.database, NOW)
    assert sorted(reduced) == sorted(found)
