"""Every command on customers names the organization and uses an index."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pymongo
import pymongo.monitoring
import pytest

from customer_service import repository
from customer_service.repository import MembershipRepository
from tests.support import (
    MEMBER,
    MISSING_CUSTOMER_ID,
    ORGANIZATION,
    OTHER_CUSTOMER_ID,
    STRANGER,
    Service,
    bearer,
    serve,
    url,
)
from tests.support.command_recorder import INDEXES, CommandRecorder, stages_of
from tests.support.lists import living

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pymongo.database import Database

    from customer_service.repository.database import Document


@pytest.fixture
def recorder() -> CommandRecorder:
    return CommandRecorder()


@pytest.fixture
def recorded(mongodb: Database[Document], mongodb_uri: str, recorder: CommandRecorder) -> Iterator[Service]:
    """The service over a client whose commands are recorded, from after it was filled."""
    client: pymongo.MongoClient[Document] = pymongo.MongoClient(mongodb_uri, event_listeners=[recorder])
    with client:
        service = serve(client[mongodb.name])
        recorder.commands.clear()
        yield service


def read_everything(service: Service) -> None:
    for caller in (MEMBER, STRANGER):
        for customer in ("", "x", MISSING_CUSTOMER_ID, OTHER_CUSTOMER_ID):
            service.client.get(url(customer=customer), headers=bearer(caller))
    service.client.get(url(), headers=bearer())


def test_every_command_on_customers_is_scoped(recorded: Service, recorder: CommandRecorder) -> None:
    read_everything(recorded)
    on_customers = [command for command in recorder.commands if command.get("find") == "customers"]
    assert on_customers
    assert all(command["filter"]["organizationId"] == ORGANIZATION for command in on_customers)
    assert {next(iter(command)) for command in recorder.commands} == {"find"}


def test_a_read_is_two_finds_and_a_refusal_one(recorded: Service, recorder: CommandRecorder) -> None:
    recorded.client.get(url(), headers=bearer())
    assert [command["find"] for command in recorder.commands] == ["memberships", "customers"]
    recorder.commands.clear()
    recorded.client.get(url(), headers=bearer(STRANGER))
    assert [command["find"] for command in recorder.commands] == ["memberships"]
    recorder.commands.clear()
    recorded.client.get(url())
    recorded.client.get("/livez")
    assert recorder.commands == []


def test_every_plan_is_an_index_scan(recorded: Service, recorder: CommandRecorder) -> None:
    read_everything(recorded)
    MembershipRepository(recorded.database).all_of(ORGANIZATION)
    finds = [command for command in recorder.commands if "find" in command]
    assert finds
    for command in finds:
        query = {name: command[name] for name in ("find", "filter", "sort", "limit") if name in command}
        explained = recorded.database.command("explain", query, verbosity="queryPlanner")
        stages = stages_of(explained["queryPlanner"]["winningPlan"])
        assert "COLLSCAN" not in stages
        assert "SORT" not in stages
        assert "IXSCAN" in stages


def test_a_customer_of_a_long_name_makes_at_most_120_index_keys(mongodb: Database[Document]) -> None:
    repository.ensure_indexes(mongodb)
    name = " ".join(f"{letter * 3}palabra{number}" for number in range(3) for letter in "abcdefgh")
    mongodb.customers.insert_one(living(1, legalName=name, externalId="crm-1", metadata={"a": "b"}))
    keys = mongodb.command("validate", "customers")["keysPerIndex"]
    assert sum(keys.values()) == 120


def test_a_stored_membership_is_unique(recorded: Service) -> None:
    with pytest.raises(pymongo.errors.DuplicateKeyError):
        recorded.database.memberships.insert_one({"userId": MEMBER, "organizationId": ORGANIZATION, "role": "admin"})


def test_indexes_are_created_once(mongodb: Database[Document]) -> None:
    for name in ("memberships", "customers", "customer_versions", "idempotencyKeys", "requestCounts"):
        mongodb[name].drop()
    assert repository.ensure_indexes(mongodb) == [(name, True) for name in INDEXES]
    assert repository.ensure_indexes(mongodb) == [(name, False) for name in INDEXES]
