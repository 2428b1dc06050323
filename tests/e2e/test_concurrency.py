"""Concurrent requests to two workers: nothing is stored twice, no change is lost, and an admin always remains."""

from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier
from typing import TYPE_CHECKING, Any

import pytest

from tests.support import EXAMPLE, MEMBER, NEW_CUSTOMER, ORGANIZATION, bearer, empty, fill, url
from tests.support.server import Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pymongo.database import Database

    from customer_service.repository.database import Document
    from tests.support.server import Answer

CUSTOMERS = f"/api/organizations/{ORGANIZATION}/customers"
MEMBERS = f"/api/organizations/{ORGANIZATION}/members"
ADMINS = ("ana", "bea", "cleo", "dora", "eva")
ROUNDS = 30


@pytest.fixture(scope="module")
def server(mongodb_uri: str, mongodb_of_session: Database[Document]) -> Iterator[Server]:
    """The service over the specification's example."""
    empty(mongodb_of_session)
    fill(mongodb_of_session)
    with Server(mongodb_uri, mongodb_of_session.name) as running:
        yield running


@pytest.fixture(params=range(5))
def attempt(request: pytest.FixtureRequest) -> int:
    """Repeat the test: one round in four misses a lost check."""
    number: int = request.param
    return number


@pytest.fixture
def database(server: Server, mongodb_of_session: Database[Document]) -> Database[Document]:
    """The server's database, with the example as the only customer and the member as the only admin."""
    example = mongodb_of_session.customers.find_one({"organizationId": ORGANIZATION, "legalName": EXAMPLE["legalName"]})
    assert example is not None
    mongodb_of_session.customers.delete_many({"_id": {"$ne": example["_id"]}})
    mongodb_of_session.idempotencyKeys.delete_many({})
    appoint(mongodb_of_session, MEMBER)
    return mongodb_of_session


def appoint(database: Database[Document], *admins: str) -> None:
    """Make these the members, all of them admins."""
    database.memberships.delete_many({})
    database.memberships.insert_many(
        [{"userId": admin, "organizationId": ORGANIZATION, "role": "admin"} for admin in admins]
    )


def at_once(requests: Iterable[Callable[[], Answer]]) -> list[Answer]:
    """Make all requests at the same moment, again if the server was overloaded; return their answers in order."""
    waiting = list(requests)
    barrier = Barrier(len(waiting))

    def go(request: Callable[[], Answer]) -> Answer:
        barrier.wait()
        answer = request()
        while slugs([answer], 503) == {"overloaded"}:
            answer = request()
        return answer

    with ThreadPoolExecutor(len(waiting)) as threads:
        return list(threads.map(go, waiting))


def asking(
    server: Server, method: str, path: str, body: Any = None, caller: str = MEMBER, **more: str
) -> partial[Answer]:
    """Return a request that is ready to be made; an underscore in a header's name is a hyphen."""
    headers = {"Content-Type": "application/json", **{name.replace("_", "-"): more[name] for name in more}}
    data = None if body is None else json.dumps(body).encode()
    return partial(server.request, method, path, bearer(caller) | headers, data, 30)


def statuses(answers: Iterable[Answer]) -> dict[int, int]:
    return dict(Counter(answer.status for answer in answers))


def slugs(answers: Iterable[Answer], status: int) -> set[str]:
    """Return the kinds of the problems that were answered with this status."""
    return {json.loads(answer.body)["type"].rpartition(":")[2] for answer in answers if answer.status == status}


def created(server: Server, **changes: Any) -> Answer:
    answer = asking(server, "POST", CUSTOMERS, NEW_CUSTOMER | changes)()
    assert answer.status == 201, answer.body
    return answer


class TestCreation:
    """Among many who create the same customer, one does."""

    def test_one_tax_id(self, server: Server, database: Database[Document]) -> None:
        answers = at_once([asking(server, "POST", CUSTOMERS, NEW_CUSTOMER)] * 50)
        assert statuses(answers) == {201: 1, 409: 49}
        assert slugs(answers, 409) == {"duplicate-tax-id"}
        location = {answer.headers["Location"] for answer in answers if answer.status == 201}
        assert {json.loads(answer.body)["existing"] for answer in answers if answer.status == 409} == location
        assert database.customers.count_documents({"taxId": NEW_CUSTOMER["taxId"]}) == 1

    @pytest.mark.parametrize("tax_id", [NEW_CUSTOMER["taxId"], "XAXX010101000"], ids=["unique", "generic"])
    def test_one_idempotency_key(self, server: Server, database: Database[Document], tax_id: str) -> None:
        generic = {"taxSystem": "616", "defaultInvoiceUse": "S01"} if tax_id.startswith("X") else {}
        request = asking(server, "POST", CUSTOMERS, NEW_CUSTOMER | {"taxId": tax_id} | generic, Idempotency_Key="once")
        answers = at_once([request] * 50)
        assert set(statuses(answers)) <= {201, 409}
        assert slugs(answers, 409) <= {"request-in-progress"}
        same = {(each.body, each.headers["ETag"], each.headers["Location"]) for each in answers if each.status == 201}
        assert len(same) == 1
        assert sum(each.status == 201 and "Idempotent-Replayed" not in each.headers for each in answers) == 1
        assert database.customers.count_documents({"taxId": tax_id}) == 1
        again = request()
        assert again.headers["Idempotent-Replayed"] == "true"
        assert again.body in {body for body, _, _ in same}

    def test_one_external_id(self, server: Server, database: Database[Document]) -> None:
        path = f"{CUSTOMERS}/by-external-id/the-one"
        bodies = [NEW_CUSTOMER | {"legalName": f"Sabre {number}"} for number in range(20)]
        answers = at_once(asking(server, "PUT", path, body) for body in bodies)
        assert statuses(answers) == {201: 1, 200: 19}
        (document,) = database.customers.find({"externalId": "the-one"})
        assert document["version"] == 20
        assert len({answer.headers["ETag"] for answer in answers}) == 20
        assert server.get(path, bearer()).headers["ETag"] in {answer.headers["ETag"] for answer in answers}

    def test_one_external_id_of_many_tax_ids(self, server: Server, database: Database[Document]) -> None:
        path = f"{CUSTOMERS}/by-external-id/the-one"
        bodies = [NEW_CUSTOMER | {"taxId": f"SAB0102{day:02}AB1"} for day in range(1, 21)]
        answers = at_once(asking(server, "PUT", path, body) for body in bodies)
        assert statuses(answers) == {201: 1, 200: 19}
        (document,) = database.customers.find({"externalId": "the-one"})
        assert document["unique"] == {"externalId": "the-one", "taxId": document["taxId"]}


class TestBatches:
    """Among many batches of the same customers each customer is created once, and no change is lost."""

    @staticmethod
    def batch(server: Server, *bodies: dict[str, Any]) -> partial[Answer]:
        return asking(server, "POST", f"{CUSTOMERS}/batch-upsert", {"customers": bodies})

    def test_the_same_customers(self, server: Server, database: Database[Document]) -> None:
        batches = [
            [
                NEW_CUSTOMER | {"externalId": f"b-{day}", "taxId": f"SAB0102{day:02}AB1", "legalName": f"Sabre {each}"}
                for day in range(1, 6)
            ]
            for each in range(6)
        ]
        answers = at_once(self.batch(server, *bodies) for bodies in batches)
        assert statuses(answers) == {200: 6}
        results = [json.loads(answer.body)["results"] for answer in answers]
        for day in range(5):
            of_the_day = [each[day] for each in results]
            assert Counter(each["status"] for each in of_the_day) == {"created": 1, "changed": 5}
            assert len({each["id"] for each in of_the_day}) == 1
            assert len({each["etag"] for each in of_the_day}) == 6
            (document,) = database.customers.find({"externalId": f"b-{day + 1}"})
            assert document["version"] == 6
            now = server.get(url(customer=str(document["_id"])), bearer())
            assert now.headers["ETag"] in {each["etag"] for each in of_the_day}

    def test_beside_patches(self, server: Server, database: Database[Document]) -> None:
        body = NEW_CUSTOMER | {"externalId": "b-1"}
        location = url(customer=json.loads(self.batch(server, body)().body)["results"][0]["id"])
        before = [asking(server, "PATCH", location, {"metadata": {f"k{each}": "x"}}) for each in range(10)]
        answers = at_once([*before, *(self.batch(server, body | {"legalName": f"Sabre {n}"}) for n in range(5))])
        assert statuses(answers) == {200: 15}
        (document,) = database.customers.find({"externalId": "b-1"})
        assert document["version"] == 16


class TestChange:
    """No change is lost."""

    @pytest.mark.usefixtures("attempt")
    def test_one_of_many_writes_on_one_etag_succeeds(self, server: Server, database: Database[Document]) -> None:
        etag = server.get(url(), bearer()).headers["ETag"]
        names = [f"Dunder Mifflin {number}" for number in range(100)]
        answers = at_once(asking(server, "PATCH", url(), {"legalName": name}, If_Match=etag) for name in names)
        assert statuses(answers) == {200: 1, 412: 99}
        assert slugs(answers, 412) == {"version-mismatch"}
        (winner,) = (answer for answer in answers if answer.status == 200)
        now = server.get(url(), bearer())
        assert (now.body, now.headers["ETag"]) == (winner.body, winner.headers["ETag"])
        back = asking(server, "PATCH", url(), {"legalName": EXAMPLE["legalName"]}, If_Match=now.headers["ETag"])()
        assert back.status == 200
        assert database.customers.count_documents({"legalName": EXAMPLE["legalName"]}) == 1

    def test_writes_without_a_condition_all_succeed(self, server: Server, database: Database[Document]) -> None:
        location = created(server).headers["Location"]
        keys = [f"key-{number}" for number in range(40)]
        answers = at_once(asking(server, "PATCH", location, {"metadata": {key: key}}) for key in keys)
        assert statuses(answers) == {200: 40}
        assert json.loads(server.get(location, bearer()).body)["metadata"] == {key: key for key in keys}
        (document,) = database.customers.find({"taxId": NEW_CUSTOMER["taxId"]})
        assert document["version"] == 41

    def test_with_deletion_and_restoration(self, server: Server, database: Database[Document]) -> None:
        location = created(server, externalId="ours").headers["Location"]
        kinds = [
            *(asking(server, "PATCH", location, {"metadata": {f"key-{number}": "x"}}) for number in range(8)),
            *[asking(server, "DELETE", location)] * 8,
            *[asking(server, "POST", f"{location}/restore")] * 8,
        ]
        for _ in range(10):
            answers = at_once(kinds)
            assert set(statuses(answers)) <= {200, 204, 404}
            (document,) = database.customers.find({"taxId": NEW_CUSTOMER["taxId"]})
            is_living = "deletedAt" not in document
            assert ("search" in document, "unique" in document) == (is_living, is_living)
            assert server.get(location, bearer()).status == (200 if is_living else 404)

    def test_creations_and_restorations_leave_one_customer_of_a_tax_id(
        self, server: Server, database: Database[Document]
    ) -> None:
        location = created(server).headers["Location"]
        for _ in range(10):
            assert asking(server, "DELETE", location)().status == 204
            restores = [asking(server, "POST", f"{location}/restore")] * 5
            answers = at_once([*restores, *[asking(server, "POST", CUSTOMERS, NEW_CUSTOMER)] * 5])
            assert set(statuses(answers)) <= {200, 201, 409}
            assert slugs(answers, 409) == {"duplicate-tax-id"}
            (living,) = database.customers.find({"taxId": NEW_CUSTOMER["taxId"], "deletedAt": None})
            location = url(customer=str(living["_id"]))


class TestAdmins:
    """At least one always remains."""

    def test_two_admins_who_remove_each_other_leave_one(self, server: Server, database: Database[Document]) -> None:
        for _ in range(ROUNDS):
            appoint(database, "ana", "bea")
            answers = at_once(
                [
                    asking(server, "DELETE", f"{MEMBERS}/bea", caller="ana"),
                    asking(server, "DELETE", f"{MEMBERS}/ana", caller="bea"),
                ]
            )
            assert set(statuses(answers)) <= {204, 409, 403}
            assert slugs(answers, 409) <= {"last-admin"}
            assert database.memberships.count_documents({"role": "admin"}) == 2 - statuses(answers).get(204, 0) > 0

    def test_many_role_changes_leave_an_admin(self, server: Server, database: Database[Document]) -> None:
        for number in range(ROUNDS):
            appoint(database, *ADMINS)
            storm = []
            for place, admin in enumerate(ADMINS):
                victim = f"{MEMBERS}/{ADMINS[place - 1]}"
                storm.append(asking(server, "DELETE", victim, caller=admin))
                storm.append(asking(server, "PUT", victim, {"role": ("viewer", "editor")[number % 2]}, caller=admin))
                storm.append(asking(server, "DELETE", f"{MEMBERS}/{admin}", caller=admin))
            answers = at_once(storm)
            assert set(statuses(answers)) <= {200, 201, 204, 403, 404, 409}
            assert slugs(answers, 409) <= {"last-admin"}
            assert database.memberships.count_documents({"role": "admin"}) > 0

    def test_many_removals_of_one_admin_leave_an_admin(self, server: Server, database: Database[Document]) -> None:
        for _ in range(5):
            appoint(database, MEMBER, "ana")
            answers = at_once([asking(server, "DELETE", f"{MEMBERS}/ana")] * 20)
            assert statuses(answers) == {204: 1, 404: 19}

    def test_many_demotions_of_one_admin_leave_an_admin(self, server: Server, database: Database[Document]) -> None:
        appoint(database, MEMBER, "ana")
        answers = at_once([asking(server, "PUT", f"{MEMBERS}/ana", {"role": "viewer"})] * 20)
        assert statuses(answers) == {200: 20}
        assert [each["role"] for each in database.memberships.find({"userId": "ana"})] == ["viewer"]
