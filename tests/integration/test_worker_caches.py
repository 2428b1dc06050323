"""Workers cache memberships and customers over a real change stream, never staler than promised."""

from __future__ import annotations

import random
import threading
import time
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

import mongomock
import pymongo
import pytest
from bson import ObjectId

from customer_service.app import create_app
from customer_service.repository import WorkerCaches, change_watcher
from customer_service.settings import CacheSettings, Settings
from tests.support import (
    CUSTOMER_ID,
    EXAMPLE,
    MEMBER,
    ORGANIZATION,
    OTHER_ORGANIZATION,
    PATIENT_MS,
    STRANGER,
    bearer,
    fill,
    problem,
    settings,
    url,
    wait_until,
)
from tests.support.command_recorder import CommandRecorder
from tests.support.failpoints import failing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flask.testing import FlaskClient
    from pymongo.database import Database

    from customer_service.repository.database import Document

KEY = {"_id": ObjectId(CUSTOMER_ID)}
MEMBERSHIP = {"userId": MEMBER, "organizationId": ORGANIZATION}
MARGIN_SECONDS = 5.0
PROMISED_SECONDS = 2.0  # the deadline, after which a silent stream is given up


class Worker(NamedTuple):
    """One process of the service, and what it asked MongoDB for."""

    client: FlaskClient
    caches: WorkerCaches[Any]
    recorder: CommandRecorder

    def finds(self) -> list[str]:
        """Return the collections that were asked since the last time."""
        found = [command["find"] for command in self.recorder.commands if "find" in command]
        self.recorder.commands.clear()
        return found

    def has_cached(self) -> bool:
        """Return whether the customer can be read without MongoDB."""
        self.finds()
        self.name()
        return self.finds() == []

    def name(self, **headers: str) -> str:
        """Return the name that the customer has."""
        answer = self.client.get(url(), headers=bearer() | headers)
        assert answer.status_code == 200, answer.text
        return str(answer.get_json()["legalName"])


@pytest.fixture
def database(mongodb: Database[Document]) -> Database[Document]:
    """The specification's example, and its member as an editor."""
    fill(mongodb)
    mongodb.memberships.update_one(MEMBERSHIP, {"$set": {"role": "admin"}})
    mongodb["later"].insert_one({})  # a change stream that opens now starts after this
    return mongodb


def configured(cache: CacheSettings) -> Settings:
    plain = settings("mongodb://of-the-test")
    return Settings(plain.mongodb, plain.jwt, plain.server, cache)


@pytest.fixture
def start(mongodb_uri: str, database: Database[Document]) -> Iterator[Callable[..., Worker]]:
    """Start workers with these cache settings."""
    opened: list[tuple[WorkerCaches[Any], pymongo.MongoClient[Document]]] = []

    def started(**cache: float) -> Worker:
        recorder = CommandRecorder()
        client: pymongo.MongoClient[Document] = pymongo.MongoClient(
            mongodb_uri, event_listeners=[recorder], timeoutMS=PATIENT_MS, w="majority"
        )
        given: dict[str, Any] = {"membership_seconds": 300, "customer_entries": 100} | cache
        app = create_app(configured(CacheSettings(**given)), client[database.name])
        worker = Worker(app.test_client(), app.extensions["worker_caches"], recorder)
        opened.append((worker.caches, client))
        wait_until(lambda: worker.caches.valid_from)
        return worker

    yield started
    for worker_caches, client in opened:
        worker_caches.close()
        client.close()


def test_the_stream_waits_for_less_than_the_drivers_timeout(mongodb_uri: str, database: Database[Document]) -> None:
    """Otherwise a quiet stream would break each time, and nothing be cached."""
    recorder, timeout_ms = CommandRecorder(), 900
    with pymongo.MongoClient[dict[str, Any]](mongodb_uri, event_listeners=[recorder], timeoutMS=timeout_ms) as client:
        watcher = change_watcher.ChangeWatcher(client[database.name], {"customers": lambda _: None}, lambda: None)
        watcher.start()
        wait_until(lambda: any("getMore" in command for command in recorder.commands))
        watcher.close()
    waits = [command["maxTimeMS"] for command in recorder.commands if "getMore" in command]
    assert all(0 < wait < timeout_ms for wait in waits)


class TestMemberships:
    """Memberships are cached by default, and invalidated as soon as they change."""

    def test_one_find_for_many_requests(self, start: Callable[..., Worker]) -> None:
        worker = start(customer_entries=0)
        for _ in range(3):
            worker.name()
        assert worker.finds() == ["memberships", "customers", "customers", "customers"]

    def test_a_refusal_is_not_cached(self, start: Callable[..., Worker], database: Database[Document]) -> None:
        worker = start()
        for _ in range(2):
            problem(worker.client.get(url(), headers=bearer(STRANGER)), 403, "not-a-member")
        assert worker.finds() == ["memberships"] * 2
        database.memberships.insert_one({**MEMBERSHIP, "userId": STRANGER, "role": "viewer"})
        assert worker.client.get(url(), headers=bearer(STRANGER)).status_code == 200

    @pytest.mark.timed
    def test_a_revoked_member_is_refused_within_100_ms(
        self, start: Callable[..., Worker], database: Database[Document]
    ) -> None:
        workers = [start(), start()]
        delays = []
        for _ in range(15):
            for worker in workers:
                worker.name()
            database.memberships.delete_one(MEMBERSHIP)
            revoked = time.perf_counter()
            for worker in workers:
                wait_until(lambda: worker.client.get(url(), headers=bearer()).status_code == 403)  # noqa: B023
            delays.append(time.perf_counter() - revoked)
            database.memberships.insert_one({**MEMBERSHIP, "role": "admin"})
        print(f"revoked everywhere after {median(delays) * 1000:.1f} ms, at most {max(delays) * 1000:.1f}")  # noqa: T201
        assert median(delays) < 0.1

    def test_a_change_through_the_same_worker_is_seen_at_once(self, start: Callable[..., Worker]) -> None:
        worker = start()
        members = f"/organizations/{ORGANIZATION}/members"
        assert worker.client.put(f"{members}/other", json={"role": "admin"}, headers=bearer()).status_code == 201
        for _ in range(20):
            put = worker.client.put(f"{members}/{STRANGER}", json={"role": "viewer"}, headers=bearer())
            assert put.status_code == 201
            assert worker.client.get(url(), headers=bearer(STRANGER)).status_code == 200
            assert worker.client.delete(f"{members}/{STRANGER}", headers=bearer()).status_code == 204
            problem(worker.client.get(url(), headers=bearer(STRANGER)), 403, "not-a-member")

    @pytest.mark.parametrize("seconds", [0, 0.3])
    def test_no_membership_is_cached_for_longer_than_its_setting(
        self, start: Callable[..., Worker], seconds: float
    ) -> None:
        worker = start(membership_seconds=seconds)
        worker.name()
        time.sleep(seconds + 0.05)
        worker.name()
        assert worker.finds().count("memberships") == 2

    def test_without_a_change_stream_the_setting_bounds_their_age(self) -> None:
        database: Database[Document] = mongomock.MongoClient().customer_service
        fill(database)
        app = create_app(configured(CacheSettings(membership_seconds=0.3, customer_entries=100)), database)
        client, worker_caches = app.test_client(), app.extensions["worker_caches"]
        assert client.get(url(), headers=bearer()).status_code == 200
        database.memberships.delete_one(MEMBERSHIP)
        wait_until(lambda: client.get(url(), headers=bearer()).status_code == 403, 0.3 + MARGIN_SECONDS)
        assert worker_caches.valid_from is None
        worker_caches.close()


class TestCustomers:
    """Customers are cached only if that is set, and while the change stream delivers every change."""

    def test_no_find_for_many_requests(self, start: Callable[..., Worker]) -> None:
        worker = start()
        answers = [worker.client.get(url(), headers=bearer()) for _ in range(3)]
        assert {(answer.data, answer.headers["ETag"]) for answer in answers} == {
            (answers[0].data, answers[0].headers["ETag"])
        }
        assert answers[0].get_json() == EXAMPLE
        assert worker.finds() == ["memberships", "customers"]
        again = worker.client.get(url(), headers=bearer() | {"If-None-Match": answers[0].headers["ETag"]})
        assert (again.status_code, again.data) == (304, b"")
        assert worker.client.head(url(), headers=bearer()).headers["ETag"] == answers[0].headers["ETag"]
        assert worker.finds() == []
        assert worker.caches.customers is not None
        assert (worker.caches.customers.hits, worker.caches.customers.misses) == (4, 1)

    def test_by_default_no_customer_is_cached(self, start: Callable[..., Worker], database: Database[Document]) -> None:
        worker = start(customer_entries=0)
        for name in ("A", "B"):
            database.customers.update_one(KEY, {"$set": {"legalName": name}})
            assert worker.name() == name

    def test_a_request_with_no_cache_reads_the_database(self, start: Callable[..., Worker]) -> None:
        worker = start()
        worker.name()
        worker.finds()
        worker.name(**{"Cache-Control": "max-age=0, no-cache"})
        assert worker.finds() == ["customers"]

    def test_another_organizations_member_gets_nothing_cached(
        self, start: Callable[..., Worker], database: Database[Document]
    ) -> None:
        worker = start()
        worker.name()
        database.memberships.insert_one({"userId": STRANGER, "organizationId": OTHER_ORGANIZATION, "role": "viewer"})
        for _ in range(2):
            foreign = worker.client.get(url(OTHER_ORGANIZATION), headers=bearer(STRANGER))
            problem(foreign, 404, "customer-not-found")
        worker.name()
        assert worker.finds().count("customers") == 3

    def test_the_worker_that_writes_sees_it_at_once(self, start: Callable[..., Worker]) -> None:
        worker = start()
        for number in range(30):
            patch = worker.client.patch(url(), json={"legalName": f"NAME {number}"}, headers=bearer())
            assert patch.status_code == 200
            assert worker.name() == f"NAME {number}"
        assert worker.client.delete(url(), headers=bearer()).status_code == 204
        problem(worker.client.get(url(), headers=bearer()), 404, "customer-not-found")
        assert worker.client.post(url() + "/restore", headers=bearer()).status_code == 200
        assert worker.name() == "NAME 29"

    @pytest.mark.parametrize("customer", [CUSTOMER_ID, CUSTOMER_ID.upper()])
    def test_every_other_worker_sees_it_soon(
        self, start: Callable[..., Worker], database: Database[Document], customer: str
    ) -> None:
        worker = start()
        for name in ("A", "B", "C"):
            worker.client.get(url(customer=customer), headers=bearer())
            database.customers.update_one(KEY, {"$set": {"legalName": name}})
            wait_until(
                lambda: worker.client.get(url(customer=customer), headers=bearer()).get_json()["legalName"] == name  # noqa: B023
            )
        database.customers.delete_one(KEY)
        wait_until(lambda: worker.client.get(url(customer=customer), headers=bearer()).status_code == 404)


class TestStream:
    """Nothing is cached while changes may be missed."""

    @pytest.fixture
    def worker(self, start: Callable[..., Worker]) -> Worker:
        """Return a worker that has cached the customer."""
        worker = start()
        worker.name()
        return worker

    def assert_starts_anew(self, worker: Worker, database: Database[Document]) -> None:
        """Assert that changes are seen again, and that customers are cached again."""
        wait_until(lambda: worker.caches.valid_from)
        worker.finds()
        database.customers.update_one(KEY, {"$set": {"legalName": "LATER"}})
        wait_until(lambda: worker.name() == "LATER")
        wait_until(worker.has_cached)

    def test_a_broken_stream_clears_the_caches(self, worker: Worker, database: Database[Document]) -> None:
        with failing(database, "aggregate", "getMore", closeConnection=True):
            wait_until(lambda: worker.caches.valid_from is None)
            database.customers.update_one(KEY, {"$set": {"legalName": "MEANWHILE"}})
            assert worker.name() == "MEANWHILE"
            worker.finds()
            worker.name()
            assert "customers" in worker.finds()
        self.assert_starts_anew(worker, database)

    def test_a_dropped_collection_clears_the_caches(self, worker: Worker, database: Database[Document]) -> None:
        other = database.customers.find_one(KEY) or {}
        database.customers.drop()
        wait_until(lambda: worker.client.get(url(), headers=bearer()).status_code == 404)
        database.customers.insert_one(other)
        self.assert_starts_anew(worker, database)

    def test_a_collection_that_replaces_another_clears_the_caches(
        self, worker: Worker, database: Database[Document]
    ) -> None:
        """`$out` renames its result."""
        worker.name()
        database.customers.aggregate([{"$set": {"legalName": "REBUILT"}}, {"$out": "customers"}])
        wait_until(lambda: worker.name() == "REBUILT")
        database["later"].insert_one({})  # a stream that opens now starts after the replacement
        self.assert_starts_anew(worker, database)
        database.memberships.aggregate([{"$match": {"userId": STRANGER}}, {"$out": "memberships"}])
        wait_until(lambda: worker.client.get(url(), headers=bearer()).status_code == 403)

    def test_a_stream_that_lags_clears_the_caches(
        self,
        worker: Worker,
        database: Database[Document],
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        with caplog.at_level("INFO", change_watcher.__name__):
            monkeypatch.setattr(change_watcher, "MAXIMUM_LAG_SECONDS", -1)
            database.customers.update_one(KEY, {"$set": {"legalName": "LATE"}})
            wait_until(lambda: worker.caches.valid_from is None)
            monkeypatch.undo()
            self.assert_starts_anew(worker, database)
        own = [each for each in caplog.records if each.name == change_watcher.__name__]  # other tests' threads log too
        logged = [(record.levelname, record.message) for record in own]
        assert logged[:2] == [("WARNING", "changes are not followed: it lags"), ("INFO", "changes are followed")]

    def test_an_election_clears_the_caches(self, worker: Worker, database: Database[Document]) -> None:
        class Elected:
            """A view of the deployment in which another primary was elected."""

            topology_type_name = "ReplicaSetWithPrimary"

        client = worker.caches._watcher._database.client
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(type(client), "topology_description", Elected())
            wait_until(lambda: worker.caches.valid_from is None)
        self.assert_starts_anew(worker, database)

    def test_without_a_cache_no_change_stream_is_opened(self, database: Database[Document]) -> None:
        before = set(threading.enumerate())
        WorkerCaches[Any](database, 0, 0).start()
        assert [thread for thread in set(threading.enumerate()) - before if thread.name == "watcher"] == []

    def test_a_standalone_has_no_change_stream(
        self, database: Database[Document], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(pymongo.client_session.ClientSession, "operation_time", None)
        worker_caches: WorkerCaches[Any] = WorkerCaches(database, 1, 1)
        worker_caches.start()
        time.sleep(0.3)
        assert worker_caches.valid_from is None
        worker_caches.close()


@pytest.mark.parametrize("retention", [None, {"hold": True, "reason": "audit"}])
def test_an_erased_customer_leaves_the_cache_of_every_worker(start: Callable[..., Worker], retention: object) -> None:
    """No worker answers with the customer after that, not even with the deleted one of the version in between."""
    workers = [start(), start()]
    for _ in range(2):
        assert {worker.name() for worker in workers} == {"Dunder Mifflin"}
    headers = bearer()
    if retention:
        assert workers[0].client.put(f"{url()}/retention", json=retention, headers=headers).status_code == 200
        assert {worker.name() for worker in workers} == {"Dunder Mifflin"}
    assert workers[0].client.post(f"{url()}/erasure", headers=headers).status_code == 200
    problem(workers[0].client.get(url(), headers=headers), 404, "customer-not-found")
    wait_until(lambda: workers[1].client.get(url(), headers=headers).status_code == 404)
    for worker in workers:
        problem(worker.client.get(url(), headers=headers), 404, "customer-not-found")
        assert worker.caches.customers is not None
        assert worker.caches.customers.get((ORGANIZATION, CUSTOMER_ID)) is None


@pytest.mark.timed
@pytest.mark.parametrize("entries", [0, 100])
def test_no_response_is_staler_than_promised(
    start: Callable[..., Worker], database: Database[Document], entries: int
) -> None:
    """Random writers, through workers and beside them, and readers who know what was acknowledged before they asked."""
    workers = [start(customer_entries=entries), start(customer_entries=entries)]
    chance = random.Random(11)  # noqa: S311 - the same turns in every run
    acknowledged: list[tuple[float, int]] = [(time.perf_counter(), 0)]
    database.customers.update_one(KEY, {"$set": {"phone": "0"}})
    ages: list[float] = []
    done = threading.Event()

    def read(worker: Worker) -> None:
        while not done.is_set():
            asked = time.perf_counter()
            answered = int(worker.client.get(url(), headers=bearer()).get_json()["phone"])
            missed = [moment for moment, number in acknowledged if number > answered and moment < asked]
            ages.append(asked - missed[0] if missed else 0.0)

    readers = [threading.Thread(target=read, args=(worker,)) for worker in workers]
    time.sleep(0.05)
    for reader in readers:
        reader.start()
    for number in range(1, 200):
        database.customers.update_one(KEY, {"$set": {"phone": str(number)}, "$inc": {"version": 1}})
        acknowledged.append((time.perf_counter(), number))
        time.sleep(chance.random() * 0.01)
    done.set()
    for reader in readers:
        reader.join()
    print(f"{len(ages)} reads, {sum(age > 0 for age in ages)} stale, the oldest by {max(ages) * 1000:.1f} ms")  # noqa: T201
    assert max(ages) <= (PROMISED_SECONDS if entries else 0)
