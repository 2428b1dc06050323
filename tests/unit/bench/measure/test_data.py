"""The stored customers and the requests that read them."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

import mongomock
import pytest

from bench.measure import data
from customer_service.repository import CustomerRepository
from customer_service.repository.customers import search_and_unique_fields
from customer_service.repository.memberships import OrganizationScope
from customer_service.repository.search import CustomerQuery
from tests.support import WRITER

if TYPE_CHECKING:
    from pathlib import Path

    from pymongo.database import Database

SINCE = {"createdAt": {"gte": datetime(2025, 1, 1)}}  # noqa: DTZ001 - as BSON has it


class TestData:
    def test_customers_differ_in_what_must_be_unique(self) -> None:
        customers = [data.customer(number) for number in (0, 1, 25, 26, 17_575, 17_576, 999_999)]
        assert len({str(customer["_id"]) for customer in customers}) == len(customers)
        assert len({search_and_unique_fields(customer)["unique"]["taxId"] for customer in customers}) == len(customers)
        assert {len(customer["taxId"]) for customer in customers} == {12}

    def test_requests_are_written_apart(self, tmp_path: Path) -> None:
        written = data.write(data.reads([0, 1]), tmp_path / "file").read_bytes().split(b"\0")
        assert [each.split()[1].decode() for each in written] == [data.path(0), data.path(1)]
        assert all(each.endswith(b"\r\n\r\n") for each in written)

    def test_a_body_has_its_length(self) -> None:
        raw = next(iter(data.batch_gets(100))).raw()
        head, _, body = raw.partition(b"\r\n\r\n")
        assert f"Content-Length: {len(body)}".encode() in head
        assert len(json.loads(body)["ids"]) == 20

    @pytest.mark.parametrize("query", [CustomerQuery(), CustomerQuery(("7",)), CustomerQuery(ranges=SINCE)], ids=repr)
    def test_customers_without_most_tokens_are_found(self, query: CustomerQuery) -> None:
        database: Database[dict[str, Any]] = mongomock.MongoClient().bench
        database.customers.insert_many(map(data.found_by_number, range(10)))
        found = CustomerRepository(database, OrganizationScope(data.ORGANIZATION), WRITER).page(query, 10)
        assert data.customer(7)["_id"] in [each["_id"] for each in found]

    def test_a_walk_over_very_many_is_a_sample_of_them(self) -> None:
        walk = data.walk(1_000_000)
        assert len(set(walk)) == data.MOST_REQUESTS
        assert max(walk) > 900_000
