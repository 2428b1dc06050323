"""An admin remains and a key creates one customer, in any order in which concurrent requests reach the database."""

from __future__ import annotations

from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

import mongomock
import pytest

from customer_service.errors import DuplicateTaxId, KeyReused, LastAdmin, RequestInProgress
from customer_service.repository import (
    CustomerRepository,
    IdempotencyRepository,
    MembershipRepository,
    ensure_indexes,
    idempotency,
    memberships,
)
from customer_service.repository.database import as_stored
from customer_service.repository.memberships import OrganizationScope
from tests.support import MEMBER, NEW_CUSTOMER, ORGANIZATION, WRITER
from tests.support.interleaving import interleavings

if TYPE_CHECKING:
    from collections.abc import Callable

    from pymongo.database import Database

    from customer_service.repository.database import Document

SCOPE = OrganizationScope(ORGANIZATION)
BODY = b"the same bytes"


class Clock(datetime):
    """Goes on by a minute whenever it is read, so that a claim that was left behind is old."""

    minutes = count()
    START = datetime.now(UTC)

    @classmethod
    def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
        """Return a minute more than the last time."""
        return cls.START.astimezone(tz) + timedelta(minutes=next(cls.minutes))


class Skewed(datetime):
    """In each process a minute ahead of the one that looked at it before: its marks look old to the next."""

    ahead: ContextVar[timedelta] = ContextVar("ahead")
    minutes = count()

    @classmethod
    def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
        """Return the time of this process's clock."""
        ahead = cls.ahead.get(None)
        if ahead is None:  # a greenlet begins without one
            ahead = timedelta(minutes=next(cls.minutes))
            cls.ahead.set(ahead)
        return datetime.now(tz) + ahead


@pytest.fixture(params=["in-time", "late"])
def clock(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Return whether every process is in time, or so slow that others think it dead."""
    if request.param == "late":
        monkeypatch.setattr(idempotency, "now_as_stored", lambda: as_stored(Clock.now(UTC)))
        monkeypatch.setattr(memberships, "datetime", Skewed)


def new_database(*admins: str) -> Database[Document]:
    database: Database[Document] = mongomock.MongoClient().customer_service
    ensure_indexes(database)
    for admin in admins:
        MembershipRepository(database).set_role(admin, ORGANIZATION, "admin")
    return database


def remove_member(user: str, database: Database[Document]) -> object:
    return MembershipRepository(database).remove_keeping_admin(user, ORGANIZATION)


def make_viewer(user: str, database: Database[Document]) -> object:
    return MembershipRepository(database).set_role_keeping_admin(user, ORGANIZATION, "viewer")


def create(database: Database[Document]) -> object:
    """Do what a POST with an idempotency key does, and return the id of the customer and whether it is a replay."""
    keys = IdempotencyRepository(database, SCOPE, MEMBER)
    claim = keys.claim("key", BODY)
    if claim.response:
        return claim.response[0].decode(), True
    try:
        document, added = CustomerRepository(database, SCOPE, WRITER).add(NEW_CUSTOMER, claim.customer_id)
    except DuplicateTaxId:
        keys.release(claim)
        raise
    keys.store_response(claim, str(document["_id"]).encode(), "etag")
    return str(document["_id"]), not added


def delete_customer(database: Database[Document]) -> object:
    """Delete the customer that has the tax id."""
    customers = CustomerRepository(database, SCOPE, WRITER)
    document = database["customers"].find_one({"unique.taxId": NEW_CUSTOMER["taxId"]})
    return document and customers.remove(document)["_id"]


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("second", [remove_member, make_viewer])
@pytest.mark.parametrize("first", [remove_member, make_viewer])
@pytest.mark.parametrize("victims", [("ana", "bea"), ("ana", "ana"), ("ana", "bea", "bea")])
def test_one_admin_remains(
    first: Callable[..., object], second: Callable[..., object], victims: tuple[str, ...]
) -> None:
    works = [partial(work, victim) for work, victim in zip((first, second, remove_member), victims, strict=False)]
    seen = set()
    for database, outcomes, order in interleavings(
        lambda: new_database("ana", "bea"), works, 2 if len(works) == 2 else 1
    ):
        admins = database.memberships.count_documents({"role": "admin"})
        assert admins > 0, (order, outcomes)
        assert set(outcomes) <= {True, False, LastAdmin}, order
        seen.add(order)
    assert len(seen) > 5


@pytest.mark.usefixtures("clock")
def test_of_three_admins_one_remains() -> None:
    works = [partial(remove_member, victim) for victim in ("ana", "bea", "cleo")]
    for database, outcomes, order in interleavings(lambda: new_database("ana", "bea", "cleo"), works, 1):
        assert database.memberships.count_documents({"role": "admin"}) > 0, (order, outcomes)


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("posts", [2, 3])
def test_one_idempotency_key_makes_one_customer(posts: int) -> None:
    for database, outcomes, order in interleavings(new_database, [create] * posts, 3 if posts == 2 else 2):
        (customer,) = database.customers.find()
        made = [outcome for outcome in outcomes if outcome is not RequestInProgress]
        first, again = (str(customer["_id"]), False), (str(customer["_id"]), True)
        assert set(made) <= {first, again}, order
        assert made.count(first) == 1, order
        assert create(database) == again, order


@pytest.mark.usefixtures("clock")
def test_one_idempotency_key_makes_one_customer_while_another_is_deleted() -> None:
    def occupied() -> Database[Document]:
        database = new_database()
        CustomerRepository(database, SCOPE, WRITER).add(NEW_CUSTOMER)
        return database

    for database, outcomes, order in interleavings(occupied, [create, create, delete_customer], 2):
        made = {outcome[0] for outcome in outcomes[:2] if isinstance(outcome, tuple)}
        living = [str(customer["_id"]) for customer in database.customers.find({"deletedAt": None})]
        assert len(living) <= 1, (order, outcomes)
        assert made <= set(living), (order, outcomes)


class TestSlowRequest:
    """One that goes on after its claim was taken over."""

    @pytest.fixture
    def keys(self, monkeypatch: pytest.MonkeyPatch) -> IdempotencyRepository:
        """Keys whose claims are abandoned whenever the next request comes."""
        monkeypatch.setattr(idempotency, "now_as_stored", lambda: as_stored(Clock.now(UTC)))
        return IdempotencyRepository(new_database(), SCOPE, MEMBER)

    def test_does_not_release_a_claim_that_was_taken_over(self, keys: IdempotencyRepository) -> None:
        slow, next_one = keys.claim("key", BODY), keys.claim("key", BODY)
        keys.release(slow)
        keys.store_response(next_one, b"answer", "etag")
        assert keys.claim("key", BODY).response == (b"answer", "etag")

    def test_stores_its_response_after_another_request_released_the_key(self, keys: IdempotencyRepository) -> None:
        slow, next_one = keys.claim("key", BODY), keys.claim("key", BODY)
        keys.release(next_one)
        with pytest.raises(KeyReused):
            keys.claim("key", b"corrected")
        assert keys.claim("key", BODY).customer_id == slow.customer_id
        keys.store_response(slow, b"answer", "etag")
        assert keys.claim("key", BODY).response == (b"answer", "etag")

    def test_does_not_replace_a_stored_response(self, keys: IdempotencyRepository) -> None:
        slow, next_one = keys.claim("key", BODY), keys.claim("key", BODY)
        keys.store_response(next_one, b"first", "etag")
        keys.store_response(slow, b"second", "etag")
        assert keys.claim("key", BODY).response == (b"first", "etag")
