"""The change feed is complete, in order, only of the own organization, and continues from any cursor."""

from __future__ import annotations

import base64
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, cast

import mongomock
import orjson
import pymongo
import pytest
from bson import ObjectId, Timestamp
from hypothesis import example, given
from hypothesis import strategies as st

from customer_service.app import create_app
from customer_service.errors import CursorExpired
from customer_service.repository import (
    ChangePosition,
    CustomerFeed,
    OrganizationScope,
    backfill_search_fields,
    change_feed,
)
from customer_service.repository.change_position import EventReader
from customer_service.web.wsgi_environ import LONG_POLLING
from tests.support import (
    CUSTOMER_ID,
    EXAMPLE,
    MEMBER,
    MISSING_CUSTOMER_ID,
    ORGANIZATION,
    OTHER_CUSTOMER_ID,
    OTHER_ORGANIZATION,
    STRANGER,
    Service,
    bearer,
    caller,
    client_of,
    customers_url,
    findings,
    mongod,
    new_customer,
    problem,
    serve,
    settings,
    url,
)
from tests.support.command_recorder import CommandRecorder
from tests.support.failpoints import ONCE, failing
from tests.support.lists import deleted, living

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from flask.testing import FlaskClient
    from pymongo.collection import Collection
    from pymongo.database import Database

    from customer_service.repository.database import Document

CHANGES = customers_url("/changes")
KEY = {"_id": ObjectId(CUSTOMER_ID)}
NOTHING_MUCH = {"$set": {"seen": 1}}


@pytest.fixture
def database(mongodb: Database[Document]) -> Database[Document]:
    """A real MongoDB, whose clock has gone on since the test before."""
    mongodb["later"].insert_one({})
    return mongodb


@pytest.fixture
def kind() -> str:
    """The kind of database that has change streams."""
    return "mongod"


def environ_of(client: FlaskClient) -> dict[str, Any]:
    """Return what each request of the client has in its WSGI environment."""
    return cast("dict[str, Any]", client.environ_base)


@pytest.fixture
def patient(editor: FlaskClient) -> None:
    """Let the editor's requests wait, as a server does."""
    environ_of(editor)[LONG_POLLING] = lambda: nullcontext(lambda: False)


def get_changes(client: FlaskClient, cursor: str | None = None, wait: int = 0) -> dict[str, Any]:
    query = {"wait": wait, **({"cursor": cursor} if cursor else {})}
    response = client.get(CHANGES, query_string=query)
    assert response.status_code == 200, response.text
    page: dict[str, Any] = response.get_json()
    assert set(page) == {"data", "cursor", "hasMore"}
    assert len(page["data"]) <= change_feed.MAXIMUM_CHANGES
    return page


def catch_up(client: FlaskClient, cursor: str | None = None) -> tuple[list[dict[str, Any]], str]:
    """Return all changes after the cursor, and the cursor behind the last."""
    changes: list[dict[str, Any]] = []
    while True:
        page = get_changes(client, cursor)
        changes, cursor = changes + page["data"], page["cursor"]
        assert cursor is not None
        if not page["hasMore"]:
            return changes, cursor


def apply(changes: list[dict[str, Any]], held: dict[str, Any]) -> None:
    """Do what a consumer does."""
    for change in changes:
        held.pop(change["id"], None)
        if change["type"] != "deleted":
            held[change["id"]] = change["customer"]


def listed(client: FlaskClient) -> dict[str, Any]:
    """Return the whole list, each customer by its id."""
    found: dict[str, Any] = {}
    query: dict[str, Any] = {"limit": 100}
    while query.get("cursor", "") is not None:
        page = client.get(customers_url(), query_string=query).get_json()
        found |= {each["id"]: each for each in page["data"]}
        query["cursor"] = page["nextCursor"]
    return found


def types_and_ids(changes: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(change["type"], change["id"]) for change in changes]


def create(client: FlaskClient, number: int, **changes: Any) -> str:
    """Create a customer, and return its id."""
    response = client.post(customers_url(), json=new_customer(taxId=f"AAA010101{number:03}", **changes))
    assert response.status_code == 201, response.text
    customer_id: str = response.get_json()["id"]
    return customer_id


@pytest.fixture(scope="module")
def in_memory() -> FlaskClient:
    """A client of a service that knows no changes: what gets so far was well made."""
    return caller(serve(mongomock.MongoClient().customer_service), "viewer")


def encoded(value: object) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(value)).decode().rstrip("=")


def decoded(cursor: str) -> list[Any]:
    value: list[Any] = orjson.loads(base64.urlsafe_b64decode(cursor + "=="))
    return value


@contextmanager
def later(*steps: tuple[float, Callable[[], object]]) -> Iterator[None]:
    """Do each so many seconds from now."""
    timers = [threading.Timer(seconds, step) for seconds, step in steps]
    for timer in timers:
        timer.start()
    yield
    for timer in timers:
        timer.join()


class TestOrder:
    """401, 403, then 422, then what the feed itself says."""

    @pytest.mark.parametrize("query", ["", "?wait=21", "?cursor=x"])
    def test_callers(self, service: Service, query: str) -> None:
        path = CHANGES + query
        problem(service.client.get(path), 401, "authentication-required")
        problem(service.client.get(path, headers={"Authorization": "Bearer x"}), 401, "invalid-token")
        problem(service.client.get(path, headers=bearer(STRANGER)), 403, "not-a-member")
        foreign = customers_url("/changes", OTHER_ORGANIZATION) + query
        problem(service.client.get(foreign, headers=bearer()), 403, "not-a-member")

    @pytest.mark.parametrize("role", ["viewer", "editor", "admin"])
    def test_any_member_reads(self, service: Service, role: str) -> None:
        assert [each["customer"] for each in get_changes(caller(service, role))["data"]] == []

    @pytest.mark.parametrize(
        ("query", "path", "code"),
        [
            *((f"wait={each}", "/wait", "invalid-value") for each in ("", "-1", "21", "1.0", "01", "x", "٣", "1 ")),
            *((f"cursor={each}", "/cursor", "invalid-cursor") for each in ("", "x", "e30", "W10", "%00", "é")),
            ("wait=1&wait=1", "/wait", "repeated-parameter"),
            ("limit=1", "/limit", "unknown-parameter"),
        ],
    )
    def test_parameters(self, service: Service, query: str, path: str, code: str) -> None:
        assert findings(service.client.get(f"{CHANGES}?{query}", headers=bearer())) == [(path, code)]

    def test_no_other_method_takes_it_for_a_customer(self, editor: FlaskClient) -> None:
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            response = editor.open(CHANGES, method=method)
            assert (response.status_code, sorted(response.headers["Allow"].split(", "))) == (405, ["GET", "HEAD"])


class TestWithoutAChangeStream:
    def test_an_in_memory_database_is_501(self, in_memory: FlaskClient) -> None:
        problem(in_memory.get(CHANGES), 501, "changes-unsupported")
        problem(in_memory.get(f"{CHANGES}?cursor={encoded([ORGANIZATION, 1, 1, 0])}"), 501, "changes-unsupported")

    def test_a_standalone(self) -> None:
        if mongod.executable() is None and not mongod.required():
            pytest.skip("no mongod on this machine")
        server = mongod.Mongod(replicated=False)
        server.launch()
        try:
            with pymongo.MongoClient[dict[str, Any]](server.uri) as client:
                problem(caller(serve(client.standalone), "viewer").get(CHANGES), 501, "changes-unsupported")
        finally:
            server.close()


class TestBeginning:
    """Without a cursor, the feed first returns every customer that exists."""

    def test_the_first_page_has_the_existing_customers(self, service: Service, editor: FlaskClient) -> None:
        backfill_search_fields(service.database)
        page = get_changes(editor)
        assert page["data"] == [{"type": "created", "id": CUSTOMER_ID, "customer": EXAMPLE}]
        assert page["hasMore"] is True
        assert catch_up(editor, page["cursor"])[0] == []

    def test_no_customers(self, service: Service, editor: FlaskClient) -> None:
        service.database.customers.delete_many({})
        assert catch_up(editor)[0] == []

    @pytest.mark.parametrize("count", [99, 100, 101, 250])
    def test_existing_customers_come_in_pages(self, service: Service, editor: FlaskClient, count: int) -> None:
        service.database.customers.delete_many({})
        service.database.customers.insert_many(living(number, ORGANIZATION) for number in range(count))
        service.database.customers.insert_one(deleted(count, ORGANIZATION))
        service.database.customers.insert_one({**living(2000, ORGANIZATION), "_id": "mine"})
        service.database.customers.insert_many(living(1000 + number, OTHER_ORGANIZATION) for number in range(3))
        changes, _ = catch_up(editor)
        assert types_and_ids(changes) == [("created", f"{number:024x}") for number in range(count)]

    def test_what_happens_between_the_pages_comes_after_them(self, service: Service, editor: FlaskClient) -> None:
        service.database.customers.delete_many({})
        service.database.customers.insert_many(living(number, ORGANIZATION) for number in range(150))
        page = get_changes(editor)
        first, last = (f"{number:024x}" for number in (0, 149))
        editor.delete(customers_url(f"/{first}"))
        editor.patch(customers_url(f"/{last}"), json={"legalName": "Sabre"})
        created = create(editor, 1)
        held: dict[str, Any] = {}
        apply(page["data"], held)
        changes, _ = catch_up(editor, page["cursor"])
        apply(changes, held)
        assert types_and_ids(changes)[-3:] == [("deleted", first), ("changed", last), ("created", created)]
        assert held == listed(editor)


class TestChanges:
    """What happens behind a cursor, in order."""

    @pytest.fixture
    def now(self, service: Service, editor: FlaskClient) -> str:
        """The end of the changes, with the example among the listed."""
        backfill_search_fields(service.database)
        return catch_up(editor)[1]

    def test_each_kind(self, editor: FlaskClient, now: str) -> None:
        created = create(editor, 1)
        page = get_changes(editor, now)
        assert page["data"] == [
            {"type": "created", "id": created, "customer": editor.get(customers_url(f"/{created}")).get_json()}
        ]
        assert page["hasMore"] is False
        editor.patch(url(), json={"legalName": "Sabre"})
        editor.delete(customers_url(f"/{created}"))
        page = get_changes(editor, page["cursor"])
        assert page["data"] == [
            {"type": "changed", "id": CUSTOMER_ID, "customer": editor.get(url()).get_json()},
            {"type": "deleted", "id": created, "customer": None},
        ]
        editor.post(customers_url(f"/{created}/restore"))
        page = get_changes(editor, page["cursor"])
        assert types_and_ids(page["data"]) == [("changed", created)]
        assert page["data"][0]["customer"]["id"] == created

    def test_as_it_is_now(self, editor: FlaskClient, now: str) -> None:
        created = create(editor, 1)
        editor.patch(customers_url(f"/{created}"), json={"legalName": "Sabre"})
        editor.patch(url(), json={"legalName": "Stanley"})
        editor.delete(url())
        changes, _ = catch_up(editor, now)
        assert types_and_ids(changes) == [
            ("created", created),
            ("changed", created),
            ("deleted", CUSTOMER_ID),
            ("deleted", CUSTOMER_ID),
        ]
        assert {each["customer"] and each["customer"]["legalName"] for each in changes} == {"Sabre", None}

    def test_what_the_sat_answered(self, editor: FlaskClient, now: str) -> None:
        validation = {"status": "matched", "checkedAt": "2025-01-26T10:00:00Z", "source": "my-pac"}
        expected = []
        for write, body in (("put", validation), ("put", validation), ("delete", None), ("delete", None)):
            assert editor.open(url() + "/sat-validation", method=write, json=body).status_code in {200, 204}
            page = get_changes(editor, now)
            now = page["cursor"]
            expected.append([(each["type"], each["customer"].get("satValidation")) for each in page["data"]])
        assert expected == [[("changed", validation)], [], [("changed", None)], []]

    def test_nothing_moves_the_cursor_on(
        self, service: Service, editor: FlaskClient, now: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(change_feed, "MARKER_INTERVAL", 1_000_000)
        service.database["elsewhere"].insert_many([{} for _ in range(300)])
        with service.database.client.start_session() as session:
            service.database["elsewhere"].insert_one({}, session=session)
            last = session.operation_time
        page = get_changes(editor, now)
        assert (page["data"], page["hasMore"]) == ([], False)
        assert Timestamp(*decoded(page["cursor"])[1:3]) >= last

    def test_pages_are_full_and_bounded(self, editor: FlaskClient, now: str) -> None:
        for number in range(120):
            editor.patch(url(), json={"legalName": f"Name {number}"})
        first = get_changes(editor, now)
        second = get_changes(editor, first["cursor"])
        assert 95 < len(first["data"]) <= 100  # a copy for the history may be one of the markers of the stream
        assert first["hasMore"] is True
        assert (len(second["data"]), second["hasMore"]) == (120 - len(first["data"]), False)
        assert catch_up(editor, second["cursor"])[0] == []

    def test_it_can_be_taken_up_at_every_place(self, service: Service, editor: FlaskClient, now: str) -> None:
        """The operations of a transaction share their time: neither is returned twice, nor lost."""
        keys = [ObjectId(f"{number:024x}") for number in range(130)]
        service.database.customers.insert_many(living(number, ORGANIZATION) for number in range(130))
        with service.database.client.start_session() as session, session.start_transaction():
            for key in keys:
                service.database.customers.update_one({"_id": key}, {"$set": {"phone": "1"}}, session=session)
        service.database.customers.update_one(KEY, {"$set": {"phone": "2"}})
        changes: list[dict[str, Any]] = []
        cursors: list[list[Any]] = []
        page: dict[str, Any] = {"cursor": now, "hasMore": True}
        while page["hasMore"] and len(cursors) < 100:
            page = get_changes(editor, page["cursor"])
            changes += page["data"]
            cursors.append(decoded(page["cursor"]))
        expected = [("created", str(key)) for key in keys] + [("changed", str(key)) for key in keys]
        assert types_and_ids(changes) == [*expected, ("changed", CUSTOMER_ID)]
        assert max(place for *_, place in cursors) > 1
        assert catch_up(editor, encoded(cursors[-1]))[0] == []

    def test_what_another_program_does(self, service: Service, editor: FlaskClient, now: str) -> None:
        customers = service.database.customers
        inserted = ObjectId()
        customers.insert_one({**living(1, ORGANIZATION), "_id": inserted})
        customers.replace_one({"_id": inserted}, {**living(2, ORGANIZATION), "_id": inserted})
        customers.update_one(KEY, {"$push": {"search": "x"}})
        assert types_and_ids(catch_up(editor, now)[0]) == [
            ("created", str(inserted)),
            ("changed", str(inserted)),
            ("changed", CUSTOMER_ID),
        ]

    def test_what_another_program_erased(self, service: Service, editor: FlaskClient, now: str) -> None:
        """A deletion in MongoDB does not say whose the customer was: only one that was known before is returned."""
        inserted = create(editor, 1)
        editor.patch(url(), json={"legalName": "Sabre"})
        service.database.customers.delete_many({})
        assert types_and_ids(catch_up(editor, now)[0]) == [("deleted", inserted)]

    def test_one_that_cannot_be_serialized(self, service: Service, editor: FlaskClient, now: str) -> None:
        service.database.customers.update_one(KEY, {"$set": {"phone": 7}})
        created = create(editor, 1)
        changes, _ = catch_up(editor, now)
        assert types_and_ids(changes) == [("unreadable", CUSTOMER_ID), ("created", created)]
        assert changes[0]["customer"] is None

    def test_one_whose_id_is_no_object_id(self, service: Service, editor: FlaskClient, now: str) -> None:
        service.database.customers.insert_one({**living(1, ORGANIZATION), "_id": "seven"})
        problem(editor.get(customers_url("/seven")), 404, "customer-not-found")
        assert types_and_ids(catch_up(editor, now)[0]) == []

    def test_a_backfill_returns_what_lists_contain_from_then_on(self, service: Service, editor: FlaskClient) -> None:
        _, end = catch_up(editor)
        backfill_search_fields(service.database)
        assert types_and_ids(catch_up(editor, end)[0]) == [("changed", CUSTOMER_ID)]


class TestTenancy:
    """Nothing of another organization: no customer, no id, and no change that it made."""

    @pytest.mark.parametrize("marks", [2, 100])
    def test_only_the_own_organizations_changes_are_returned(
        self, service: Service, editor: FlaskClient, monkeypatch: pytest.MonkeyPatch, marks: int
    ) -> None:
        """Even if every other operation of the database is returned, which advances the cursor."""
        monkeypatch.setattr(change_feed, "MARKER_INTERVAL", marks)
        _, now = catch_up(editor)
        customers = service.database.customers
        foreign = {"_id": ObjectId(OTHER_CUSTOMER_ID)}
        others = [living(number, OTHER_ORGANIZATION) for number in range(120)]
        customers.insert_many(others)
        customers.update_many({"organizationId": OTHER_ORGANIZATION}, {"$set": {"phone": "1"}})
        customers.replace_one(foreign, {**living(500, OTHER_ORGANIZATION), **foreign})
        own = create(editor, 1)
        pages = [get_changes(editor, now)]
        while pages[-1]["hasMore"]:
            pages.append(get_changes(editor, pages[-1]["cursor"]))
        customers.update_many({"organizationId": OTHER_ORGANIZATION}, {"$set": {"deletedAt": 1}})
        customers.delete_many({"organizationId": OTHER_ORGANIZATION})
        pages.append(get_changes(editor, pages[-1]["cursor"]))
        while pages[-1]["hasMore"]:
            pages.append(get_changes(editor, pages[-1]["cursor"]))
        assert [each for page in pages for each in types_and_ids(page["data"])] == [("created", own)]
        text = str([(page, decoded(page["cursor"])) for page in pages])
        assert not any(str(each["_id"]) in text for each in (*others, foreign))
        assert OTHER_ORGANIZATION not in text

    def test_an_organization_whose_name_is_an_expression(self, service: Service) -> None:
        names = ("$fullDocument.organizationId", "$$ROOT", "{}")
        clients = {}
        for name in names:
            member = {"userId": MEMBER, "organizationId": name, "role": "viewer"}
            service.database.memberships.insert_one(member)
            path = customers_url("/changes", name)
            clients[name] = path, service.client.get(path, headers=bearer()).get_json()["cursor"]
        service.database.customers.insert_one(living(1, OTHER_ORGANIZATION))
        for number, name in enumerate(names):
            service.database.customers.insert_one(living(10 + number, name))
        for number, (path, cursor) in enumerate(clients.values()):
            page = service.client.get(path, query_string={"cursor": cursor}, headers=bearer()).get_json()
            assert types_and_ids(page["data"]) == [("created", f"{10 + number:024x}")]

    def test_another_organizations_cursor(self, editor: FlaskClient) -> None:
        for place in (0, MISSING_CUSTOMER_ID):
            foreign = encoded([OTHER_ORGANIZATION, 1, 1, place])
            assert findings(editor.get(f"{CHANGES}?cursor={foreign}")) == [("/cursor", "invalid-cursor")]


class TestCursors:
    @given(
        st.lists(
            st.none() | st.booleans() | st.integers() | st.text() | st.just(ORGANIZATION) | st.just(CUSTOMER_ID),
            max_size=5,
        )
        | st.tuples(st.just(ORGANIZATION), st.integers(), st.integers(), st.integers() | st.text())
        | st.text()
    )
    @example([ORGANIZATION, True, 1, 0])
    @example([ORGANIZATION, 1, 1, True])
    @example([ORGANIZATION, 1, 1, ""])
    @example([ORGANIZATION, 1, 1, CUSTOMER_ID + "0"])
    @example([ORGANIZATION, 1, 2**32, 0])
    @example([ORGANIZATION, 1.0, 1, 0])
    @example([ORGANIZATION, 1, 1, None])
    def test_none_that_was_made_up_is_an_error_of_the_service(self, in_memory: FlaskClient, value: object) -> None:
        try:
            cursor = encoded(value)
        except TypeError:  # an integer that JSON has no place for
            return
        response = in_memory.get(CHANGES, query_string={"cursor": cursor})
        assert response.status_code in {422, 501}
        if response.status_code == 501:  # it was well made
            assert isinstance(value, list | tuple)
            assert value[0] == ORGANIZATION

    @pytest.mark.parametrize("place", [0, 7, CUSTOMER_ID])
    def test_of_a_time_to_come(self, editor: FlaskClient, place: object) -> None:
        """The cluster was restored to an earlier time, or the cursor was made up."""
        cursor = encoded([ORGANIZATION, int(time.time()) + 3600, 1, place])
        problem(editor.get(f"{CHANGES}?cursor={cursor}"), 410, "cursor-expired")

    @pytest.mark.parametrize("place", [0, 2**32 - 1])
    def test_of_the_oldest_time(self, editor: FlaskClient, place: int) -> None:
        cursor = encoded([ORGANIZATION, 1, 0, place])
        assert editor.get(f"{CHANGES}?cursor={cursor}").status_code in {200, 410}

    @pytest.mark.parametrize("code", [136, 280, 286])
    def test_a_cursor_older_than_the_oplog_is_410(self, service: Service, editor: FlaskClient, code: int) -> None:
        _, cursor = catch_up(editor)
        with failing(service.database, "aggregate", mode=ONCE, errorCode=code):
            expired = problem(editor.get(f"{CHANGES}?cursor={cursor}"), 410, "cursor-expired")
        assert "Begin again without a cursor" in expired["detail"]
        assert get_changes(editor, cursor)["data"] == []

    def test_the_collection_was_dropped(self, service: Service, editor: FlaskClient) -> None:
        _, cursor = catch_up(editor)
        service.database.customers.rename("renamed")
        problem(editor.get(f"{CHANGES}?cursor={cursor}"), 410, "cursor-expired")
        _, cursor = catch_up(editor)
        service.database["renamed"].rename("customers")
        problem(editor.get(f"{CHANGES}?cursor={cursor}"), 410, "cursor-expired")
        _, cursor = catch_up(editor)
        service.database.customers.drop()
        problem(editor.get(f"{CHANGES}?cursor={cursor}"), 410, "cursor-expired")
        assert catch_up(editor)[0] == []

    @pytest.mark.parametrize("seconds", [0.0, 0.5], ids=["before", "meanwhile"])
    def test_the_database_was_dropped(self, mongodb: Database[Document], seconds: float) -> None:
        """Where no customer had been stored, no event is about the customers."""
        database = mongodb.client[f"{mongodb.name}_dropped"]
        database["elsewhere"].insert_one({})
        changes = CustomerFeed(database, OrganizationScope(ORGANIZATION))
        _, position, _ = changes.read(None, lambda: False)
        ends = time.monotonic() + 10
        with later((seconds, lambda: mongodb.client.drop_database(database))):
            time.sleep(0.5 - seconds)
            with pytest.raises(CursorExpired):
                changes.read(position, lambda: time.monotonic() < ends)
            assert time.monotonic() < ends

    def test_other_errors_are_what_they_are(self, service: Service, editor: FlaskClient) -> None:
        _, cursor = catch_up(editor)
        with failing(service.database, "aggregate", mode=ONCE, errorCode=2):
            problem(editor.get(f"{CHANGES}?cursor={cursor}"), 500, "database-error")


class TestWaiting:
    @pytest.fixture
    def now(self, service: Service, editor: FlaskClient) -> str:
        backfill_search_fields(service.database)
        return catch_up(editor)[1]

    def test_a_server_that_may_not_wait_answers_at_once(self, editor: FlaskClient, now: str) -> None:
        began = time.monotonic()
        assert get_changes(editor, now, wait=20)["data"] == []
        assert time.monotonic() - began < 2

    @pytest.mark.usefixtures("patient")
    def test_a_waiting_request_without_a_change_ends_after_its_time(self, editor: FlaskClient, now: str) -> None:
        began = time.monotonic()
        page = get_changes(editor, now, wait=3)
        assert (page["data"], page["hasMore"]) == ([], False)
        assert 3 <= time.monotonic() - began < 6

    @pytest.mark.usefixtures("patient")
    @pytest.mark.parametrize("timeout", [None, 600])
    def test_a_short_deadline_of_the_driver_does_not_end_it(
        self, mongodb_uri: str, database: Database[Document], now: str, timeout: int | None
    ) -> None:
        with pymongo.MongoClient[dict[str, Any]](mongodb_uri, timeoutMS=timeout) as client:
            app = create_app(settings(), client[database.name])
            page = get_changes(client_of(Service(app, database, app.test_client()), "editor-of-one"), now, wait=2)
        assert (page["data"], page["hasMore"]) == ([], False)

    @pytest.mark.usefixtures("patient")
    def test_a_waiting_request_gets_a_change_at_once(self, service: Service, editor: FlaskClient, now: str) -> None:
        """Longer than the deadline of a request, and not for another organization's change."""
        with later(
            (0.5, lambda: service.database.customers.insert_one(living(1, OTHER_ORGANIZATION))),
            (1.0, lambda: service.database.customers.update_one({"_id": ObjectId(OTHER_CUSTOMER_ID)}, NOTHING_MUCH)),
            (3.0, lambda: service.database.customers.update_one(KEY, NOTHING_MUCH)),
        ):
            began = time.monotonic()
            assert types_and_ids(get_changes(editor, now, wait=20)["data"]) == [("changed", CUSTOMER_ID)]
            assert 2.5 < time.monotonic() - began < 10

    def test_until_it_is_over_otherwise(self, editor: FlaskClient, now: str) -> None:
        over = threading.Event()
        environ_of(editor)[LONG_POLLING] = lambda: nullcontext(over.is_set)
        with later((0.3, over.set)):
            began = time.monotonic()
            assert get_changes(editor, now, wait=20)["data"] == []
            assert time.monotonic() - began < 10

    @pytest.mark.usefixtures("patient")
    def test_a_member_removed_while_waiting_gets_403(self, service: Service, editor: FlaskClient, now: str) -> None:
        def dismiss() -> None:
            service.database.memberships.delete_many({"userId": "editor-of-one"})
            service.database.customers.update_one(KEY, NOTHING_MUCH)

        with later((0.5, dismiss)):
            problem(editor.get(CHANGES, query_string={"cursor": now, "wait": 20}), 403, "not-a-member")

    @pytest.mark.usefixtures("patient")
    def test_a_broken_connection_is_taken_up(self, service: Service, editor: FlaskClient, now: str) -> None:
        with (
            failing(service.database, "getMore", mode=ONCE, closeConnection=True),
            later((1.5, lambda: service.database.customers.update_one(KEY, NOTHING_MUCH))),
        ):
            assert types_and_ids(get_changes(editor, now, wait=20)["data"]) == [("changed", CUSTOMER_ID)]


def test_no_read_is_older_than_the_returned_change(mongodb_uri: str, service: Service, editor: FlaskClient) -> None:
    """Neither behind the time at which the stream will begin, nor behind a change: another primary may be behind."""
    backfill_search_fields(service.database)
    recorder = CommandRecorder()
    with pymongo.MongoClient[dict[str, Any]](mongodb_uri, event_listeners=[recorder]) as client:
        app = create_app(settings(), client[service.database.name])
        member = client_of(Service(app, service.database, app.test_client()), "editor-of-one")
        _, cursor = catch_up(member)
        editor.patch(url(), json={"legalName": "Sabre"})
        page = get_changes(member, cursor)
        assert types_and_ids(page["data"]) == [("changed", CUSTOMER_ID)]
    first, second = (command["readConcern"] for command in recorder.commands if command.get("find") == "customers")
    _, seconds, increment, _ = decoded(cursor)
    assert first["level"] == second["level"] == "majority"
    changed = Timestamp(*decoded(page["cursor"])[1:3])
    assert second["afterClusterTime"] >= changed >= Timestamp(seconds, increment) > first["afterClusterTime"]
    streams = [command for command in recorder.commands if command.get("aggregate") == 1]
    assert streams[0]["pipeline"][0]["$changeStream"]["startAtOperationTime"] > first["afterClusterTime"]


class TestHeadway:
    """A quiet organization's cursor advances past a busy one's changes, and past events that no feed returns."""

    def test_a_page_ends_in_time_and_further_on(
        self, service: Service, editor: FlaskClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(change_feed, "READ_SECONDS", 0)
        monkeypatch.setattr(change_feed, "MARKER_INTERVAL", 10)
        _, now = catch_up(editor)
        service.database.customers.insert_many(living(number, OTHER_ORGANIZATION) for number in range(200))
        service.database.customers.update_many({"organizationId": OTHER_ORGANIZATION}, {"$set": {"phone": "1"}})
        service.database["elsewhere"].insert_many([{} for _ in range(2000)])
        own = create(editor, 1)
        pages = [get_changes(editor, now)]
        while pages[-1]["hasMore"]:
            pages.append(get_changes(editor, pages[-1]["cursor"]))
        assert [types_and_ids(page["data"]) for page in pages if page["data"]] == [[("created", own)]]
        assert len(pages) >= 1 + 200 // 50 + 2000 // 10 // 50
        places = [decoded(page["cursor"])[1:] for page in pages]
        assert places == sorted(places)

    @pytest.mark.parametrize("is_own", [False, True])
    def test_a_transaction_is_passed_however_long_it_takes(
        self, service: Service, editor: FlaskClient, monkeypatch: pytest.MonkeyPatch, is_own: bool
    ) -> None:
        """All its events have one time, so each page reads them again, up to its own."""
        monkeypatch.setattr(change_feed, "READ_SECONDS", 0)
        organization = ORGANIZATION if is_own else OTHER_ORGANIZATION
        service.database.customers.insert_many(living(number, organization) for number in range(200))
        _, now = catch_up(editor)
        update_in_one_transaction(service.database.customers, organization)
        own = create(editor, 1)
        changes: list[dict[str, Any]] = []
        for _ in range(12):
            page = get_changes(editor, now)
            changes, now = changes + page["data"], page["cursor"]
        assert page["hasMore"] is False
        assert (len(changes), changes[-1]["id"]) == (202 if is_own else 1, own)

    def test_a_consumer_must_begin_again_after_a_transaction_that_is_too_long(
        self, service: Service, editor: FlaskClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(change_feed, "READ_SECONDS", 0)
        monkeypatch.setattr(change_feed, "deadline_seconds", lambda _: 0.01)
        service.database.customers.insert_many(living(number, OTHER_ORGANIZATION) for number in range(200))
        _, now = catch_up(editor)
        update_in_one_transaction(service.database.customers, OTHER_ORGANIZATION)
        for _ in range(3):
            now = get_changes(editor, now)["cursor"]
        problem(editor.get(CHANGES, query_string={"cursor": now}), 410, "cursor-expired")
        own = create(editor, 1)
        assert types_and_ids(catch_up(editor)[0]) == [("created", own)]


def update_in_one_transaction(collection: Collection[Document], organization: str) -> None:
    with collection.database.client.start_session() as session, session.start_transaction():
        collection.update_many({"organizationId": organization}, {"$set": {"phone": "1"}}, session=session)


def test_a_token_of_another_make_moves_nothing() -> None:
    reader = EventReader(ChangePosition(5, 6, 7))
    for token in (None, {"_data": "81" + "F" * 40}, {"_data": ""}):
        assert reader.position(token) == (5, 6, 7)
    assert reader.position({"_data": "8200000005000000072B0229296E04"}) == (5, 7, 0)


def write(client: FlaskClient, known: list[str], chance: random.Random, numbers: Iterable[int]) -> None:
    """Create, change, delete and restore, as chance has it."""
    for number in numbers:
        path = customers_url(f"/{chance.choice(known)}")
        match chance.randrange(4):
            case 0:
                known.append(create(client, number))
            case 1:
                client.delete(path)
            case 2:
                client.post(f"{path}/restore")
            case _:
                client.patch(path, json={"legalName": f"Name {number}"})


def follow(client: FlaskClient, chance: random.Random, done: threading.Event) -> dict[str, Any]:
    """Return the customers that a consumer has which pauses at random, once it has received every change."""
    held: dict[str, Any] = {}
    cursor, was_done, has_more = None, False, True
    while has_more or not was_done:
        was_done = done.is_set()
        page = get_changes(client, cursor)
        apply(page["data"], held)
        cursor, has_more = page["cursor"], page["hasMore"]
        time.sleep(chance.random() * 0.05)
    return held


@pytest.mark.parametrize("seed", [1, 2])
def test_who_follows_ends_with_the_whole_list(service: Service, seed: int) -> None:
    """Three writers at once, each on its own customers and on the others', and two consumers."""
    service.database.customers.delete_many({})
    service.database.customers.insert_many(living(number, ORGANIZATION) for number in range(230))
    editors = [caller(service, "editor", f"editor-{number}") for number in range(5)]
    chances = [random.Random(f"{seed} {number}") for number in range(5)]  # noqa: S311 - a run that can be repeated
    done = threading.Event()
    with ThreadPoolExecutor() as threads:
        consumers = [threads.submit(follow, editors[number], chances[number], done) for number in (3, 4)]
        writers = [
            threads.submit(
                write,
                editors[number],
                [f"{each:024x}" for each in range(number, 230, 3)],
                chances[number],
                range(100 + 100 * number, 180 + 100 * number),
            )
            for number in range(3)
        ]
        for writer in writers:
            writer.result()
        done.set()
        whole = listed(editors[0])
        assert len(whole) > 100
        assert [consumer.result() for consumer in consumers] == [whole, whole]
