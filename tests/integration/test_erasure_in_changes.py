"""The change feed says once that a blocked or an erased customer is deleted, and nothing of a retention."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from customer_service.repository import backfill_search_fields
from tests.support import CUSTOMER_ID, INVOICED_ON, Service, url

if TYPE_CHECKING:
    from flask.testing import FlaskClient
    from pymongo.database import Database

    from customer_service.repository.database import Document

CHANGES = url().rpartition("/")[0] + "/changes"
RETENTIONS: list[Any] = [{}, {"lastInvoicedOn": INVOICED_ON.isoformat()}, {"hold": True, "reason": "audit"}]
DELETED = [{"type": "deleted", "id": CUSTOMER_ID, "customer": None}]


@pytest.fixture
def database(mongodb: Database[Document]) -> Database[Document]:
    """A real MongoDB, whose clock has gone on since the test before."""
    mongodb["later"].insert_one({})
    return mongodb


@pytest.fixture
def kind() -> str:
    """The kind of database that has change streams."""
    return "mongod"


class Consumer:
    """Follows the changes, from the customers that exist now."""

    def __init__(self, client: FlaskClient) -> None:
        self.client = client
        self.cursor: str | None = None
        self.read()

    def read(self) -> list[Any]:
        """Return the changes since the last time."""
        changes: list[Any] = []
        while True:
            page = self.client.get(CHANGES, query_string={"cursor": self.cursor} if self.cursor else {}).get_json()
            changes, self.cursor = changes + page["data"], page["cursor"]
            if not page["hasMore"]:
                return changes


@pytest.fixture
def consumer(service: Service, admin: FlaskClient) -> Consumer:
    backfill_search_fields(service.database)
    return Consumer(admin)


def retain(admin: FlaskClient, retention: Any) -> None:
    assert not retention or admin.put(url() + "/retention", json=retention).status_code == 200


@pytest.mark.parametrize("reads_at_once", [True, False])
@pytest.mark.parametrize("retention", RETENTIONS)
def test_an_active_customer_is_deleted_once(
    admin: FlaskClient, consumer: Consumer, retention: Any, reads_at_once: bool
) -> None:
    retain(admin, retention)
    assert not reads_at_once or consumer.read() == []
    for _ in range(2):
        admin.post(url() + "/erasure")
    assert consumer.read() == DELETED
    retain(admin, {"hold": True, "reason": "x"} if retention else {})
    retain(admin, {"hold": False} if retention else {})
    assert consumer.read() == []


@pytest.mark.parametrize("retention", RETENTIONS)
def test_a_deleted_customer_is_not_deleted_again(admin: FlaskClient, consumer: Consumer, retention: Any) -> None:
    admin.delete(url())
    assert consumer.read() == DELETED
    retain(admin, retention)
    for _ in range(2):
        admin.post(url() + "/erasure")
    assert consumer.read() == []


def test_an_erasure_after_a_block_is_no_change(service: Service, admin: FlaskClient, consumer: Consumer) -> None:
    retain(admin, {"hold": True, "reason": "audit"})
    admin.post(url() + "/erasure")
    retain(admin, {"hold": False})
    assert consumer.read() == DELETED
    assert admin.post(url() + "/erasure").get_json() == {"state": "erased"}
    assert consumer.read() == []


def test_a_retention_is_no_change(admin: FlaskClient, consumer: Consumer) -> None:
    for retention in (
        *RETENTIONS,
        {"hold": False},
        {"hold": True, "reason": "another", "lastInvoicedOn": "2020-01-01"},
    ):
        retain(admin, retention)
    assert consumer.read() == []


def test_every_other_write_is_a_change(service: Service, admin: FlaskClient, consumer: Consumer) -> None:
    """Also one of another program, that changes no version, and a replacement."""
    retain(admin, {"hold": True, "reason": "audit"})
    customers, key = service.database.customers, {"legalName": "Dunder Mifflin"}
    for update in (
        {"$set": {"retention.seen": 1, "phone": None}},
        {"$set": {"retentions": 1}},
        {"$unset": {"retentions": ""}},
        {"$unset": {"retention": "", "phone": ""}},
        {"$set": {"tags": [1, 2, 3]}},
        {"$push": {"tags": {"$each": [], "$slice": 1}}},
    ):
        customers.update_many(key, update)
        assert [change["type"] for change in consumer.read()] == ["changed"], update
    document = customers.find_one({"organizationId": url().split("/")[3]}) or {}
    for null in ({}, {"blockedAt": None}, {"erasedAt": None}):
        customers.replace_one({"_id": document["_id"]}, document | {"phone": "6475550142"} | null)
        assert [change["type"] for change in consumer.read()] == ["changed"], null
    assert admin.patch(url(), json={"phone": "6475550143"}).status_code == 200
    assert [change["type"] for change in consumer.read()] == ["changed"]


def test_an_event_that_passes_as_a_marker_is_no_change_either(
    admin: FlaskClient, consumer: Consumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("customer_service.repository.change_feed.MARKER_INTERVAL", 2)
    retain(admin, {"hold": True, "reason": "audit"})
    assert consumer.read() == []
    admin.post(url() + "/erasure")
    assert consumer.read() == DELETED


def test_the_first_pages_leave_it_out(admin: FlaskClient, consumer: Consumer) -> None:
    for retention in ({"hold": True, "reason": "audit"}, {"hold": False}):
        retain(admin, retention)
        admin.post(url() + "/erasure")
        assert Consumer(admin).read() == []
        assert CUSTOMER_ID not in admin.get(CHANGES).text
