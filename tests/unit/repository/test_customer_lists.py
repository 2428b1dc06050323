"""Lists of several criteria find exactly the customers that a comparison of every customer finds."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import mongomock
import pytest

from customer_service.repository import CustomerRepository, customer_lists
from customer_service.repository.search import CustomerQuery, words_of
from tests.support import WRITER
from tests.support.lists import LISTED, living, store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pymongo.database import Database

    from customer_service.repository import OrganizationScope
    from customer_service.repository.database import Document

START = datetime(2025, 1, 1)  # noqa: DTZ001 - as the repository has it
SCOPE: OrganizationScope = LISTED  # type: ignore[assignment]
NAMES = ("ANA LUZ", "ANABEL LUZ", "LUZ", "EVA ANA", "LUZ EVA ANA")
GENERIC = "XAXX010101000"
COUNT = 40
LATER, EARLIER = START + timedelta(seconds=5), START + timedelta(seconds=15)
RANGES: tuple[dict[str, dict[str, datetime]], ...] = (
    {},
    {"createdAt": {"gte": LATER}},
    {"updatedAt": {"lt": EARLIER}},
    {"createdAt": {"gt": LATER}, "updatedAt": {"lte": EARLIER}},
)


def customer(number: int) -> Document:
    """Return one whose times grow in another order than its id, with ties."""
    return living(
        number,
        legalName=NAMES[number % len(NAMES)],
        taxId=GENERIC if number % 2 else f"TAX{number}",
        email=f"box{number % 7}@x.mx",
        createdAt=START + timedelta(seconds=number * 7 % 20),
        updatedAt=START + timedelta(seconds=number * 11 % 23),
    )


CUSTOMERS = [customer(number) for number in range(COUNT)]


@pytest.fixture(scope="module")
def shared() -> Database[Document]:
    """A database that no test changes."""
    database: Database[Document] = mongomock.MongoClient().customer_service
    store(database, CUSTOMERS)
    return database


@pytest.fixture(params=[1, 12, 1000], autouse=True)
def _common(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any list can be read by either index."""
    monkeypatch.setattr(customer_lists, "MAXIMUM_COUNTED_CUSTOMERS", request.param)


def is_asked_for(customer: Document, q: str, exact: Mapping[str, str], query: CustomerQuery) -> bool:
    words = [*customer["legalName"].lower().split(), customer["taxId"].lower(), customer["email"]]
    compare: dict[str, Callable[[Any, Any], bool]] = {
        "gt": datetime.__gt__,
        "gte": datetime.__ge__,
        "lt": datetime.__lt__,
        "lte": datetime.__le__,
    }
    return (
        all(customer[name] == value for name, value in exact.items())
        and all(any(word.startswith(part) for word in words) for part in q.split())
        and all(compare[o](customer[n], moment) for n, bounds in query.ranges.items() for o, moment in bounds.items())
    )


def walk(repository: CustomerRepository, query: CustomerQuery, limit: int) -> Iterator[Document]:
    after = None
    while page := repository.page(query, limit, after):
        assert len(page) <= limit
        yield from page
        after = (page[-1][query.order], str(page[-1]["_id"]))


@pytest.mark.parametrize("limit", [3, 100])
@pytest.mark.parametrize("ranges", RANGES, ids="+".join)
@pytest.mark.parametrize("exact", [{}, {"taxId": GENERIC}, {"taxId": GENERIC, "email": "box1@x.mx"}], ids=len)
@pytest.mark.parametrize("q", ["", "an", "ana luz", "luz anab", "eva an", "ana eva luz", "box1 ana", "ana qqq", "x lu"])
def test_pages_list_each_customer_once_and_in_order(
    shared: Database[Document], q: str, exact: dict[str, str], ranges: dict[str, dict[str, datetime]], limit: int
) -> None:
    query = CustomerQuery(words_of(q), exact, ranges=ranges)
    expected = [each for each in CUSTOMERS if is_asked_for(each, q, exact, query)]
    expected.sort(key=lambda each: (each[query.order], each["_id"]))
    repository = CustomerRepository(shared, SCOPE, WRITER)
    assert [each["_id"] for each in walk(repository, query, limit)] == [each["_id"] for each in expected]
    assert repository.count(query) == len(expected)
