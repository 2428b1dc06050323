"""Store organizations of many customers, and read their lists."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from bson import ObjectId

from customer_service.cli.demo import EXAMPLE_CUSTOMER
from customer_service.repository.customers import search_and_unique_fields
from tests.support import MEMBER, bearer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from flask.testing import FlaskClient
    from pymongo.database import Database
    from werkzeug.test import TestResponse

    from customer_service.repository.database import Document

LISTED = "an organization with a list"
START = datetime(2025, 1, 1)  # noqa: DTZ001 - as the repository has it
LINK = re.compile(r'<([^<>]+)>; rel="next"')


def living(number: int, organization: str = LISTED, **values: Any) -> Document:
    """Return a living customer as it is stored: its id and its times grow with its number."""
    moment = START + timedelta(seconds=number)
    customer = {
        **EXAMPLE_CUSTOMER,
        "_id": ObjectId(f"{number:024x}"),
        "organizationId": organization,
        "taxId": f"TAX{number:06}AB1",
        "email": f"box{number}@example.com",
        "createdAt": moment,
        "updatedAt": moment,
        **values,
    }
    return {**customer, **search_and_unique_fields(customer)}


def deleted(number: int, organization: str = LISTED, **values: Any) -> Document:
    """Return a deleted customer as it is stored."""
    customer = living(number, organization, **values)
    del customer["search"], customer["unique"]
    return {**customer, "deletedAt": customer["updatedAt"]}


def store(database: Database[Document], customers: Iterable[Document], organization: str = LISTED) -> None:
    """Store the customers, and the reader of their organization."""
    key = {"userId": MEMBER, "organizationId": organization}
    database.memberships.update_one(key, {"$set": {"role": "viewer"}}, upsert=True)
    documents = list(customers)
    if documents:
        database.customers.insert_many(documents, ordered=False)


def list_url(organization: str = LISTED, base: str = "/api") -> str:
    """Return the path of an organization's list."""
    return f"{base}/organizations/{organization}/customers"


def get_page(client: FlaskClient, query: dict[str, Any] | str = "", organization: str = LISTED) -> TestResponse:
    """Ask for a page as the member."""
    return client.get(list_url(organization), query_string=query, headers=bearer())


def numbers(response: TestResponse) -> list[int]:
    """Return the numbers of the customers of a page."""
    assert response.status_code == 200, response.json
    assert response.json is not None
    return [int(customer["id"], 16) for customer in response.json["data"]]


def pages(client: FlaskClient, query: dict[str, Any], organization: str = LISTED) -> Iterator[list[int]]:
    """Walk a list by its links, followed as they are."""
    response = get_page(client, query, organization)
    while True:
        yield numbers(response)
        assert response.json is not None
        if response.json["nextCursor"] is None:
            assert "Link" not in response.headers
            return
        link = LINK.fullmatch(response.headers["Link"])
        assert link is not None
        response = client.get(link[1], headers=bearer())


def refusals(response: TestResponse) -> dict[str, str]:
    """Return the findings of a 422, each code by its path."""
    assert response.status_code == 422, (response.status_code, response.json)
    assert response.content_type == "application/problem+json"
    assert response.json is not None
    return {finding["path"]: finding["code"] for finding in response.json["errors"]}
