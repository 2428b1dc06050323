"""No caller sees another organization's customer, or learns from a response whether it exists."""

from __future__ import annotations

import base64
import itertools
import os
from typing import TYPE_CHECKING, Any

import pytest

from customer_service.app import create_app
from customer_service.repository import backfill_search_fields
from tests import support
from tests.attacks import tenants
from tests.attacks.tenants import CALLERS, MEMBERS, ORGANIZATIONS

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask.testing import FlaskClient
    from pymongo.database import Database
    from werkzeug.test import TestResponse

    from customer_service.repository.database import Document

CUSTOMERS = int(os.environ.get("ATTACK_CUSTOMERS", "100"))
OWN_TO_A_REQUEST = {"X-Request-ID", "traceparent"}
MISSING = "f" * 24
READS = ("", "/tax-info-validation", "/retention", "/erasure", "/versions", "/versions/1", "?asOf=2999-01-01T00:00:00Z")


@pytest.fixture
def ids(mongodb: Database[Document]) -> dict[str, list[str]]:
    """The ids of each organization's customers."""
    return tenants.fill(mongodb, CUSTOMERS, 1)


@pytest.fixture
def clients(mongodb: Database[Document], ids: dict[str, list[str]]) -> dict[str, FlaskClient]:
    app = create_app(support.settings(), mongodb)
    service = support.Service(app, mongodb, app.test_client())
    return {caller: support.client_of(service, caller) for caller in CALLERS}


def essentials_of(response: TestResponse) -> tuple[int, list[tuple[str, str]], Any]:
    """Return an answer without what differs each time."""
    headers = [(name, value) for name, value in response.headers if name not in OWN_TO_A_REQUEST]
    body = response.get_json() if response.data else None
    if isinstance(body, dict):
        body.pop("requestId", None)
    return response.status_code, sorted(headers), body


def test_two_organizations_every_id_three_callers(
    ids: dict[str, list[str]], clients: dict[str, FlaskClient], record_property: Callable[[str, object], None]
) -> None:
    """Every caller requests every id under either organization, and gets the response of an unknown id."""
    asked = seen = 0
    for caller, organization in itertools.product(CALLERS, ORGANIZATIONS):
        nothing = essentials_of(clients[caller].get(support.url(organization, MISSING)))
        assert nothing[0] == (404 if MEMBERS.get(caller) == organization else 403)
        for owner in ORGANIZATIONS:
            for customer_id in ids[owner]:
                answer = clients[caller].get(support.url(organization, customer_id))
                asked += 1
                if MEMBERS.get(caller) == organization == owner:
                    seen += 1
                    assert answer.get_json()["legalName"] == f"Secret of {owner}"
                else:
                    assert essentials_of(answer) == nothing
                    assert "Secret" not in answer.text
    assert (asked, seen) == (12 * CUSTOMERS, 2 * CUSTOMERS)
    record_property("figure", f"{asked:,} requests, {seen:,} customers, each to a member; none to another caller")


@pytest.mark.parametrize("suffix", READS)
@pytest.mark.parametrize(
    ("method", "body"), [("GET", None), ("HEAD", None), ("PATCH", {"phone": None}), ("DELETE", None)]
)
def test_every_method_answers_the_same(
    ids: dict[str, list[str]], clients: dict[str, FlaskClient], method: str, body: object, suffix: str
) -> None:
    foreign = ids["organization-b"][0]
    for organization in ORGANIZATIONS:
        for caller in ("member-of-a", "stranger"):
            if MEMBERS.get(caller) != organization or organization == "organization-a":
                missing, existing = (
                    clients[caller].open(support.url(organization, each) + suffix, method=method, json=body)
                    for each in (MISSING, foreign)
                )
                assert essentials_of(missing) == essentials_of(existing)


def test_lists_batches_and_searches_stay_within(ids: dict[str, list[str]], clients: dict[str, FlaskClient]) -> None:
    client, own = clients["member-of-a"], support.customers_url(organization="organization-a")
    page = client.get(f"{own}?limit=100&include=total").get_json()
    assert {each["organizationId"] for each in page["data"]} <= {"organization-a"}
    batch = client.post(f"{own}/batch-get", json={"ids": ids["organization-b"][:100]}).get_json()
    assert batch == {"data": [], "notFound": ids["organization-b"][:100]}


def test_a_cursor_of_another_organization_returns_only_own_customers(
    mongodb: Database[Document], clients: dict[str, FlaskClient]
) -> None:
    for organization, member in (("organization-a", "member-of-a"), ("organization-b", "member-of-b")):
        for number in (1, 2, 3):
            body = support.new_customer(taxId=f"AAA01010{number}AA1", legalName=f"New of {organization}")
            assert clients[member].post(support.customers_url(organization=organization), json=body).status_code == 201
    theirs = clients["member-of-b"].get(support.customers_url("?limit=1", "organization-b")).get_json()
    page = (
        clients["member-of-a"]
        .get(support.customers_url(f"?cursor={theirs['nextCursor']}", "organization-a"))
        .get_json()
    )
    assert {each["legalName"] for each in page["data"]} <= {"New of organization-a"}


def test_the_changes_stay_within(
    mongodb: Database[Document], ids: dict[str, list[str]], clients: dict[str, FlaskClient]
) -> None:
    """A member who reads all changes gets the customers of its organization, and no id of the other."""
    paths = {"member-of-a": "organization-a", "member-of-b": "organization-b"}
    backfill_search_fields(mongodb)
    cursors: dict[str, str] = {}
    for number in range(2):
        for member, organization in paths.items():
            path = support.customers_url("/changes", organization)
            page: dict[str, Any] = {"hasMore": True, "cursor": cursors.get(member)}
            seen_ids, text = set[str](), ""
            while page["hasMore"]:
                response = clients[member].get(path, query_string={"cursor": page["cursor"]} if page["cursor"] else {})
                page = response.get_json()
                seen_ids |= {change["id"] for change in page["data"]}
                text += response.text + base64.urlsafe_b64decode(page["cursor"] + "==").decode()
            cursors[member] = page["cursor"]
            (other,) = set(ORGANIZATIONS) - {organization}
            assert seen_ids == set(ids[organization])
            assert not [each for each in (other, *ids[other]) if each in text]
        mongodb.customers.update_many({}, {"$set": {"phone": str(number)}})
    foreign = clients["member-of-a"].get(
        support.customers_url("/changes", "organization-a"), query_string={"cursor": cursors["member-of-b"]}
    )
    support.problem(foreign, 422, "validation-error")
    stranger = clients["stranger"].get(support.customers_url("/changes", "organization-a"))
    support.problem(stranger, 403, "not-a-member")
