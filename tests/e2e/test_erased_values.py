"""After an erasure no collection, export, change feed, log or metric holds a byte of an erased value."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from bson import encode

from tests.support import INVOICED_ON, ORGANIZATION, bearer, customers_url, fill, new_customer
from tests.support.command_line import CommandRun
from tests.support.server import ROOT, Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pymongo.database import Database

    from customer_service.repository.database import Document

ADMIN = "admin-of-one"
RETAINED: dict[str, Any] = {"legalName": "RETAINED NAME", "taxId": "RET010203AB1", "externalId": "retained-2"}
ERASED: dict[str, Any] = {
    "email": "gone-1@erased.example",
    "phone": "6475550142",
    "metadata": {"gone-2": "gone-3"},
    "address": {
        "street": "Calle Gone-4",
        "exterior": "gone-5",
        "interior": "gone-6",
        "neighborhood": "gone-7",
        "city": "gone-8",
        "municipality": "gone-9",
        "zip": "86500",
        "state": "retained-3",
        "country": "MEX",
    },
}
EARLIER = {"email": "gone-10@erased.example", "phone": "6475550143"}
ERASED_VALUES = [
    *("6475550142", "6475550143", "erased.example"),
    *(f"gone-{number}" for number in (2, 3, 4, 5, 6, 7, 8, 9, "1@", "10@")),
]
RETAINED_VALUES = ["retained name", "ret010203ab1", "retained-2", "retained-3"]
REASON = "secret reason"


class Outputs:
    """The places where a value could be."""

    def __init__(self, server: Server, database: Database[Document], export: Callable[[], str]) -> None:
        self._server, self._database, self._export = server, database, export

    def find(self, values: list[str]) -> dict[str, list[str]]:
        """Return the values that each place holds, without the places that hold none."""
        places = {
            **{name: self._collection(name) for name in self._database.list_collection_names()},
            "export": self._export(),
            "log": self._server.log(),
            "metrics": self._server.get("/metrics").body.decode(),
            "changes": self._changes(),
        }
        found = {name: [each for each in values if each in text.lower()] for name, text in places.items()}
        return {name: those for name, those in found.items() if those}

    def _collection(self, name: str) -> str:
        return b"".join(encode(each) for each in self._database[name].find()).decode(errors="replace")

    def _changes(self) -> str:
        page, text = {"cursor": None, "hasMore": True}, ""
        while page["hasMore"]:
            cursor = f"?cursor={page['cursor']}" if page["cursor"] else ""
            answer = self._server.get(customers_url(f"/changes{cursor}"), bearer(ADMIN))
            page, text = json.loads(answer.body), text + answer.body.decode()
        return text


@pytest.fixture
def database(mongodb: Database[Document]) -> Database[Document]:
    fill(mongodb)
    mongodb.memberships.insert_one({"userId": ADMIN, "organizationId": ORGANIZATION, "role": "admin"})
    return mongodb


@pytest.fixture(scope="module")
def server(mongodb_uri: str, mongodb_of_session: Database[Document]) -> Iterator[Server]:
    name, options = mongodb_of_session.name, {"CUSTOMER_CACHE_ENTRIES": "100", "LOG_LEVEL": "debug"}
    with Server(mongodb_uri, name, directory=ROOT, **options) as running:
        yield running


@pytest.fixture
def export(
    mongodb_uri: str, database: Database[Document], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[], str]:
    monkeypatch.setenv("MONGODB_URI", mongodb_uri)
    monkeypatch.setenv("MONGODB_DATABASE", database.name)
    return lambda: CommandRun(monkeypatch, capsys, "export", ORGANIZATION).out


@pytest.mark.parametrize(
    "retention", [None, {"lastInvoicedOn": INVOICED_ON.isoformat()}, {"hold": True, "reason": REASON}]
)
def test_no_place_holds_an_erased_value(
    server: Server, database: Database[Document], export: Callable[[], str], retention: object
) -> None:
    def ask(method: str, path: str, body: object = None, **headers: str) -> Any:
        sent = None if body is None else json.dumps(body).encode()
        known = {**bearer(ADMIN), "Content-Type": "application/json", **headers}
        answer = server.request(method, path, known, sent)
        assert answer.status < 300, answer
        return json.loads(answer.body) if answer.body else None

    outputs, headers = Outputs(server, database, export), {"Idempotency-Key": "gone-11"}
    customer = {**new_customer(), **RETAINED, **ERASED}
    path = customers_url("/" + ask("POST", customers_url(), {**customer, **EARLIER}, **headers)["id"])
    ask("PATCH", path, {name: ERASED[name] for name in EARLIER})
    ask("PUT", customers_url("/by-external-id/retained-2"), {**customer, "phone": None})
    ask("PATCH", path, {"phone": ERASED["phone"]})
    ask("DELETE", path)
    ask("POST", f"{path}/restore")
    for _ in range(4):  # for each of the two workers
        ask("GET", path)
        ask("GET", f"{customers_url()}?q=gone&email=gone-1%40erased.example")
        ask("GET", f"{path}/versions")
    before = outputs.find([*ERASED_VALUES, *RETAINED_VALUES])
    assert set(before["customers"] + before["customer_versions"]) == {*ERASED_VALUES, *RETAINED_VALUES}
    assert {"export", "changes", "idempotencyKeys"} <= before.keys()
    assert before.keys().isdisjoint({"log", "metrics"})
    if retention:
        ask("PUT", f"{path}/retention", retention)
    assert ask("POST", f"{path}/erasure")["state"] == ("blocked" if retention else "erased")
    assert outputs.find([*ERASED_VALUES, "gone-"]) == {}
    retained = {"customers": RETAINED_VALUES, "customer_versions": RETAINED_VALUES} if retention else {}
    assert outputs.find(RETAINED_VALUES) == retained
    assert outputs.find([REASON]) == ({"customers": [REASON]} if retention and "hold" in str(retention) else {})
    stored = list(database.customers.find({"blockedAt": {"$exists": True}}))
    copies = [each["document"] for each in database.customer_versions.find()]
    for document in (*stored, *copies):
        assert document["address"] == {"zip": "86500", "state": "retained-3", "country": "MEX"}
        assert document.keys() <= ALLOWED


ALLOWED = {
    *("_id", "organizationId", *RETAINED, "taxSystem", "defaultInvoiceUse", "address", "createdAt", "updatedAt"),
    *("version", "updatedBy", "requestId", "deletedAt", "blockedAt", "retention"),
}
