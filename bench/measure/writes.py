"""What is written, no two requests alike, and the check that a target stores it as the service does."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import orjson
from pymongo import ASCENDING, IndexModel

from bench.measure import data
from bench.measure.check import Unequal, send
from bench.measure.data import Request
from customer_service.repository.customers import search_and_unique_fields

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from pymongo import MongoClient
    from pymongo.database import Database

    from bench.measure.check import Answer
    from bench.measure.targets import Target

CUSTOMERS = 10_000
BATCH = 20
BASE = f"/organizations/{data.ORGANIZATION}/customers"
SET_BY_THE_SERVICE = ("_id", "organizationId", "createdAt", "updatedAt", "version")
DIFFERENT = ("id", "createdAt", "updatedAt")
"""The fields in which two answers to the same write differ."""

CREATED, UPSERTED, CHECKED = 1_000_000, 6_000_000, 17_000_000
"""The first numbers of the customers that each kind of write creates."""

WRONG: Mapping[str, Mapping[str, Any]] = {
    "no legal name": {"legalName": None},
    "an empty legal name": {"legalName": ""},
    "too long a legal name": {"legalName": "x" * 301},
    "a number for a text": {"legalName": 1},
    "a list for an address": {"address": []},
    "an RFC that is none": {"taxId": "AAA901331AB3"},
    "an unknown regime": {"taxSystem": "600"},
    "an unknown use": {"defaultInvoiceUse": "G99"},
    "an e-mail address that is none": {"email": "billing"},
    "a phone that is none": {"phone": "12"},
    "a zip of four digits": {"address": {"zip": "8650"}},
    "too long a street": {"address": {"street": "x" * 256}},
    "a country of two letters": {"address": {"country": "MX"}},
    "an unknown field": {"legalname": "Dunder Mifflin"},
    "an unknown field of the address": {"address": {"planet": "Earth"}},
    "an empty external id": {"externalId": ""},
    "metadata that is no text": {"metadata": {"segment": 1}},
}
"""Changes to a customer that no target may store."""

PEER_INDEXES = [
    IndexModel([("organizationId", ASCENDING), ("taxId", ASCENDING)], unique=True),
    IndexModel(
        [("organizationId", ASCENDING), ("externalId", ASCENDING)],
        unique=True,
        partialFilterExpression={"externalId": {"$exists": True}},
    ),
]


def known(number: int) -> dict[str, Any]:
    """Return a stored customer as a peer stores it, with an external id."""
    return {**data.customer(number), "externalId": f"erp-{number}"}


def searchable(number: int) -> dict[str, Any]:
    """Return a stored customer as the service stores it, with an external id."""
    document = known(number)
    return {**document, **search_and_unique_fields(document)}


def ensure_peer_indexes(database: Database[dict[str, Any]]) -> None:
    """Make the indexes that the peers need for the same promises."""
    database.memberships.create_index([("userId", ASCENDING), ("organizationId", ASCENDING)], unique=True)
    database.customers.create_indexes(PEER_INDEXES)


def store(client: MongoClient[dict[str, Any]], targets: Iterable[Target], log: Callable[[str], None]) -> None:
    """Store customers for each of the targets that write, in its own database and as it stores them itself."""
    for name, kind in {each.environment["MONGODB_DATABASE"]: each.kind for each in targets}.items():
        if kind == "service":
            data.store(client[name], CUSTOMERS, log, searchable)
        else:
            data.store(client[name], CUSTOMERS, log, known, ensure_peer_indexes)


def new(number: int) -> dict[str, Any]:
    """Return a customer to send, whose every unique value follows from the number."""
    document = data.customer(number)
    return {name: value for name, value in document.items() if name not in SET_BY_THE_SERVICE}


def create(serial: int) -> Request:
    """Return a request that creates a customer."""
    return request("POST", BASE, new(CREATED + serial))


def patch(serial: int) -> Request:
    """Return a request that changes three fields of a stored customer, each time to other values."""
    changes = {"email": f"cobros{serial}@example.com", "address": {"street": f"Calle {serial}", "interior": None}}
    return request("PATCH", data.path(serial % CUSTOMERS), changes)


def upsert(serial: int) -> Request:
    """Return a request that creates half a batch of customers, and changes as many stored ones."""
    first = serial * BATCH // 2
    added = [{**new(UPSERTED + number), "externalId": f"new-{number}"} for number in range(first, first + BATCH // 2)]
    stored = [number % CUSTOMERS for number in range(first, first + BATCH // 2)]
    changed = [{**new(number), "externalId": f"erp-{number}", "legalName": f"Grupo {serial}"} for number in stored]
    return request("POST", f"{BASE}/batch-upsert", {"customers": added + changed})


def request(method: str, path: str, body: Any, subject: str | None = data.MEMBER) -> Request:
    """Return a request with a JSON body, and with a token of the subject if there is one."""
    return Request(path, subject and _token(subject), method, body=orjson.dumps(body))


@cache
def _token(subject: str) -> str:
    return data.token(subject)


KINDS: Mapping[str, tuple[Callable[[int], Request], int]] = {
    "create": (create, 4_000),
    "patch": (patch, 4_000),
    "upsert": (upsert, 800),
}
"""How each kind of write is made, and how many a second are prepared: more than any target can do."""


class Writer:
    """Writes files of requests, of which no target is sent the same one twice."""

    def __init__(self, directory: Path) -> None:
        """Write the files into a directory."""
        self._file = directory / "writes"
        self._used: dict[tuple[str, str], int] = {}

    def write(self, target: str, kind: str, seconds: int) -> Path:
        """Return a file with more requests of a kind than a target can answer in so many seconds."""
        make, most = KINDS[kind]
        first = self._used.get((target, kind), 0)
        self._used[target, kind] = first + seconds * most
        return data.write(map(make, range(first, first + seconds * most)), self._file)


@dataclass(frozen=True, slots=True)
class Step:
    """A request of the check, and the status that answers it."""

    name: str
    request: Request
    status: int


def refused() -> Iterator[Step]:
    """Yield what is to be refused: by the caller, by the shape of the customer, and by what is stored already."""
    body, other = new(CHECKED), data.customer(1)
    callers = (("no token", None, 401), ("a viewer", data.VIEWER, 403), ("a stranger", data.STRANGER, 403))
    for name, subject, status in callers:
        yield Step(f"a customer of {name}", request("POST", BASE, body, subject), status)
        yield Step(f"a patch of {name}", request("PATCH", data.path(0), {"phone": None}, subject), status)
        yield Step(f"a batch of {name}", request("POST", f"{BASE}/batch-upsert", {"customers": []}, subject), status)
    for name, wrong in WRONG.items():
        yield Step(f"a customer with {name}", request("POST", BASE, _with(body, wrong)), 422)
        yield Step(f"a patch to {name}", request("PATCH", data.path(0), wrong), 422)
    yield Step("a customer with the tax id of another", request("POST", BASE, {**body, "taxId": other["taxId"]}), 409)
    yield Step("a patch to the tax id of another", request("PATCH", data.path(0), {"taxId": other["taxId"]}), 409)
    yield Step("a patch of an unknown customer", request("PATCH", data.path(CHECKED), {"phone": None}), 404)


def _with(body: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a customer with fields in place of its own, also within the address."""
    changed = {**body, **changes}
    if isinstance(changed["address"], dict):
        changed["address"] = {**body["address"], **changed["address"]}
    return changed


def outcomes(port: int) -> list[Any]:
    """Create, patch, read and upsert customers; return what every target must answer alike. Raises Unequal."""
    body = {**new(CHECKED), "externalId": "checked", "metadata": {"segment": "paper"}}
    created = send(port, request("POST", BASE, body))
    if created.status != HTTPStatus.CREATED or not created.headers["location"].endswith(f"/{created.json()['id']}"):
        raise Unequal(f"answers {created.status} to a new customer: {created.body[:200]!r}")
    path = f"{BASE}/{created.json()['id']}"
    changes = {"phone": None, "externalId": None, "address": {"street": "Calle 1", "country": None}}
    batch = [
        *({**new(number), "externalId": f"erp-{number}"} for number in (2, CHECKED + 1)),
        {**new(3), "externalId": "erp-3", "legalName": "Otro"},
        {**new(CHECKED + 2), "externalId": "erp-4", "taxSystem": "600"},
        {**new(CHECKED + 3), "taxId": data.customer(5)["taxId"], "externalId": "another"},
    ]
    requests = [
        request("POST", BASE, body),
        request("PATCH", path, changes),
        Request(path, _token(data.MEMBER)),
        *2 * [request("POST", f"{BASE}/batch-upsert", {"customers": batch})],
        Request(data.path(3), _token(data.MEMBER)),
    ]
    return [_comparable(answer) for answer in (created, *(send(port, each) for each in requests))]


def _comparable(answer: Answer) -> Any:
    """Return what two answers to the same request have in common: the status, and the customer or the results."""
    if answer.status >= HTTPStatus.BAD_REQUEST:
        return answer.status
    body = answer.json()
    if "results" in body:
        return [(result["index"], result["status"]) for result in body["results"]]
    return answer.status, {name: value for name, value in body.items() if name not in DIFFERENT}


def check(port: int, expected: list[Any] | None) -> list[Any]:
    """Send what must be refused and what must be stored, and return the answers to the latter.

    Raises Unequal if they are not the expected ones; without any, they are the first.
    """
    for step in refused():
        answered = send(port, step.request).status
        if answered != step.status:
            raise Unequal(f"answers {answered} to {step.name}, not {step.status}")
    found = outcomes(port)
    if expected not in (None, found):
        raise Unequal(f"stores otherwise than the service: {found}, not {expected}")
    return found
