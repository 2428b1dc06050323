"""The stored customers, the tokens, and the requests that walk them."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import jwt
import orjson
from bson import ObjectId

from customer_service.cli.demo import EXAMPLE_CUSTOMER
from customer_service.repository.customers import search_and_unique_fields
from customer_service.repository.indexes import ensure_indexes
from customer_service.repository.search import ACTIVE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from pymongo.database import Database

ORGANIZATION = "550e8400-e29b-41d4-a716-446655440000"
OTHER_ORGANIZATION = "another-organization"
MEMBER = "auth0|5f7c8ec7c33c6c004bbafe82"
VIEWER = "auth0|viewer"
STRANGER = "auth0|stranger"
SECRET = "0123456789abcdef0123456789abcdef"  # noqa: S105 - of this benchmark's own servers, which listen on 127.0.0.1
LIFETIME_SECONDS = 86_400
MEMBERSHIP = ("userId", "organizationId", "role")
BATCH = 5_000
PROGRESS = 50_000
MOST_REQUESTS = 100_000
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
WORDS = ("Aceros", "Bebidas", "Constructora", "Distribuidora", "Empaques", "Ferretera", "Grupo", "Hidráulica")
PLACES = ("Azteca", "Bajío", "Caribe", "Durango", "Esmeralda", "Frontera", "Guadiana", "Huasteca", "Istmo", "Jalisco")


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, without what belongs to the connection."""

    path: str
    token: str | None
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def raw(self) -> bytes:
        """Return the request as it goes over the wire."""
        fields = {"Host": "localhost", **self.fields()}
        lines = [f"{self.method} {self.path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
        return "\r\n".join([*lines, "", ""]).encode() + self.body

    def fields(self) -> dict[str, str]:
        """Return the header fields, but for the host's."""
        credentials = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        content = {"Content-Type": "application/json", "Content-Length": str(len(self.body))} if self.body else {}
        return {"Accept": "application/json", **credentials, **dict(self.headers), **content}


def token(subject: str, lifetime_seconds: int = LIFETIME_SECONDS, secret: str = SECRET) -> str:
    """Return a token of the subject, signed with HS256."""
    return jwt.encode({"sub": subject, "exp": int(time.time()) + lifetime_seconds}, secret, "HS256")


def customer_id(number: int) -> str:
    """Return the id of the customer with this number, which counts from 0."""
    return f"66000000{number:016x}"


def customer(number: int, organization_id: str = ORGANIZATION) -> dict[str, Any]:
    """Return the document of the customer with this number, all of whose fields follow from it."""
    created = datetime(2025, 1, 26, 10, number // 60 % 60, number % 60)  # noqa: DTZ001 - as MongoDB gives it back
    return {
        "_id": ObjectId(customer_id(number)),
        "organizationId": organization_id,
        "legalName": f"{WORDS[number % 8]} {PLACES[number // 8 % 10]} {number}",
        "taxId": _tax_id(number),
        "taxSystem": "601",
        "email": f"facturas{number}@example.com",
        "phone": None if number % 3 else "6474010101",
        "defaultInvoiceUse": "G01",
        "address": {**EXAMPLE_CUSTOMER["address"], "exterior": str(number % 1000)},
        "createdAt": created,
        "updatedAt": created,
        "version": 1,
    }


def searchable(number: int) -> dict[str, Any]:
    """Return a customer as the service stores it, with all that it is found by."""
    document = customer(number)
    return {**document, **search_and_unique_fields(document)}


def found_by_number(number: int) -> dict[str, Any]:
    """Return a customer that is found by its number alone: 60 search terms for each of a million take long to index."""
    document = customer(number)
    found_by = search_and_unique_fields({**document, "legalName": str(number), "email": ""})
    search = [term for term in found_by["search"] if term in ACTIVE.values() or term.isdigit()]
    return {**document, **found_by, "search": search}


def store(
    database: Database[dict[str, Any]],
    count: int,
    progress: Callable[[str], None],
    make: Callable[[int], dict[str, Any]] = searchable,
    index: Callable[[Database[dict[str, Any]]], object] = ensure_indexes,
) -> None:
    """Store so many customers, with one of another organization, and their memberships; then make the indexes."""
    database.customers.insert_one(customer(count, OTHER_ORGANIZATION))
    for start in range(0, count, BATCH):
        end = min(start + BATCH, count)
        database.customers.insert_many(map(make, range(start, end)), ordered=False)
        if end % PROGRESS == 0 or end == count:
            progress(f"{end:,} of {count:,} customers stored")
    members = (
        (MEMBER, ORGANIZATION, "editor"),
        (VIEWER, ORGANIZATION, "viewer"),
        ("auth0|other", OTHER_ORGANIZATION, "editor"),
    )
    database.memberships.insert_many([dict(zip(MEMBERSHIP, member, strict=True)) for member in members])
    progress(f"making the indexes of {count:,} customers")
    index(database)


def path(number: int, organization_id: str = ORGANIZATION) -> str:
    """Return the path of the customer with this number."""
    return f"/organizations/{organization_id}/customers/{customer_id(number)}"


def reads(numbers: Iterable[int]) -> Iterator[Request]:
    """Return the request for each of these customers."""
    bearer = token(MEMBER)
    return (Request(path(number), bearer) for number in numbers)


def walk(count: int) -> list[int]:
    """Return the numbers of the customers that a load walks in random order: all, or a sample of very many."""
    return list(range(count)) if count <= MOST_REQUESTS else random.Random(count).sample(range(count), MOST_REQUESTS)  # noqa: S311


def lists(count: int) -> Iterator[Request]:
    """Return requests for pages of 20 from all over the list."""
    bearer, base = token(MEMBER), f"/organizations/{ORGANIZATION}/customers?limit=20"
    for number in walk(count)[:BATCH]:
        yield Request(f"{base}&createdAt[gte]=2025-01-26T10:{number // 60 % 60:02}:{number % 60:02}Z", bearer)


def searches(count: int) -> Iterator[Request]:
    """Return searches by a word's beginning that few customers have, for pages of 20."""
    bearer = token(MEMBER)
    for number in walk(count)[:BATCH]:
        yield Request(f"/organizations/{ORGANIZATION}/customers?limit=20&q={number}", bearer)


def batch_gets(count: int) -> Iterator[Request]:
    """Return requests for 20 customers by their ids."""
    bearer, numbers = token(MEMBER), walk(count)
    for start in range(0, len(numbers) - 20, 20):
        ids = [customer_id(number) for number in numbers[start : start + 20]]
        body = orjson.dumps({"ids": ids})
        yield Request(f"/organizations/{ORGANIZATION}/customers/batch-get", bearer, "POST", body=body)


def write(requests: Iterable[Request], file: Path) -> Path:
    """Write the requests for wrk and for the load generator: raw, with a NUL between two."""
    file.write_bytes(b"\0".join(request.raw() for request in requests))
    return file


def _tax_id(number: int) -> str:
    letters = "".join(LETTERS[number // 26**place % 26] for place in range(3))
    return f"{letters}900101{number // 26**3:03d}"
