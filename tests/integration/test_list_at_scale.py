"""Each page of a list of 20,000 customers examines few index keys and documents."""

from __future__ import annotations

import random
import string
import threading
import time
from dataclasses import replace
from datetime import timedelta
from statistics import median
from typing import TYPE_CHECKING, Any

import pymongo
import pytest
from bson import ObjectId

from customer_service.repository import ensure_indexes
from customer_service.repository.customer_lists import MAXIMUM_COUNTED_CUSTOMERS, MAXIMUM_COUNTED_TERMS
from customer_service.settings import MongoSettings
from customer_service.web.query_parameters import ListRequest
from tests.support import Service, serve, settings
from tests.support.command_recorder import CommandRecorder, stages_of
from tests.support.lists import START, deleted, get_page, living, numbers, store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from customer_service.repository.database import Document


ACTIVE, DELETED, BATCH, LIMIT = 20_000, 1_000, 10_000, 20
MOST, ROUNDS, TRIALS = 1.3, 60, 5  # the more rounds, the less it matters what else the machine does
OFFSET = 500_000  # of the ids of the busy organization
SYLLABLES = [first + vowel for first in "bcdfghjlmnprstvyz" for vowel in "aeiou"]
SPREAD = random.Random(7)  # noqa: S311 - the same names in every run
FIRST_NAMES = ["Ana", "José", "María", "Zoé", "Ángel", *("".join(SPREAD.sample(SYLLABLES, 3)) for _ in range(295))]
SURNAMES = ["Abad", "Muñoz", "Pérez", "Zúñiga", *("".join(SPREAD.sample(SYLLABLES, 3)) + "z" for _ in range(396))]
SINGLE = {
    "plain": {},
    "start": {"q": "abad"},
    "middle": {"q": "MUNOZ"},
    "end": {"q": "Zúñiga"},
    "letter": {"q": "z"},
    "no-word": {"q": "qqqq"},
    "tax-id-prefix": {"q": "TAX0100"},
    "email-prefix": {"q": "box7"},
    "external-id-prefix": {"q": "crm-9"},
    "whole-tax-id": {"q": "TAX010000AB1"},
    "tax-id": {"taxId": "tax019998ab1"},
    "generic-tax-id": {"taxId": "XAXX010101000"},
    "email": {"email": "BOX1@example.com"},
    "external-id": {"externalId": "crm-10000"},
    "metadata": {"metadata[segment]": "paper"},
    "status": {"satValidation": "matched"},
    "no-status": {"satValidation": "unchecked"},
    "created-after": {"createdAt[gte]": "2025-01-01T02:00:00Z"},
    "created-between": {"createdAt[gt]": "2025-01-01T00:00:09Z", "createdAt[lt]": "2025-01-02T00:00:00Z"},
    "updated-before": {"updatedAt[lte]": "2025-01-01T02:00:00Z"},
}
RANGE = {"createdAt[gte]": "2025-01-01T02:00:00Z"}
UPDATED = {"updatedAt[gte]": "2025-01-01T02:00:00Z", "updatedAt[lt]": "2025-01-01T08:00:00Z"}
GENERIC = {"taxId": "XAXX010101000"}
ANSWER = {"checkedAt": START, "source": "my-pac"}
STATUSES = ("matched", "mismatched", "not-found")
SEVERAL: dict[str, dict[str, Any]] = {
    **{q: {"q": q} for q in ("jose perez", "perez jose", "jo pe", "ana abad", "zo zu", "angel perez", "tax0 ana")},
    **{q: {"q": q} for q in ("maria mu", "box1 zoe", "munoz zuniga", "jose munoz zuniga", "box1 zoe z", "ma z p")},
    "word+created": {"q": "munoz", **RANGE},
    "short-word+created": {"q": "zu", **RANGE},
    "rare-word+created": {"q": "zoe", **RANGE},
    "word+updated": {"q": "perez", **UPDATED},
    "long-word+updated": {"q": "zuniga", **UPDATED},
    "external-id-prefix+created": {"q": "crm-9", **RANGE},
    "external-id+updated": {"q": "crm-1000", "updatedAt[gte]": "2025-01-01T00:00:00Z"},
    "email-prefix+created": {"q": "box10000", **RANGE},
    "two-words+created": {"q": "munoz zuniga", **RANGE},
    "two-words+updated": {"q": "maria mu", **UPDATED},
    "three-words+created": {"q": "m munoz zuniga", **RANGE},
    "generic-tax-id+email": {**GENERIC, "email": "box1@example.com"},
    "generic-tax-id+created": {**GENERIC, **RANGE},
    "generic-tax-id+updated": {**GENERIC, **UPDATED},
    "generic-tax-id+word": {**GENERIC, "q": "maria"},
    "generic-tax-id+common-word": {**GENERIC, "q": "munoz"},
    "generic-tax-id+word+created": {**GENERIC, "q": "zoe", **RANGE},
    "email+word": {"email": "box7@example.com", "q": "box"},
    "metadata+word": {"metadata[segment]": "steel", "q": "munoz"},
    "metadata+metadata+created": {"metadata[segment]": "steel", "metadata[number]": "10004", **RANGE},
    "status+word": {"satValidation": "unchecked", "q": "zoe"},
    "status+created": {"satValidation": "matched", **RANGE},
    "status+updated": {"satValidation": "unchecked", **UPDATED},
    "all-exact": {"externalId": "crm-10000", "email": "box10000@example.com", "taxId": "TAX010000AB1"},
}
NONE = {
    "maria qqqq": {"q": "maria qqqq"},
    "ana munoz zuniga": {"q": "box9999 munoz zuniga"},
    "word+range": {"q": "munoz", "createdAt[gt]": "2025-01-01T00:00:09Z", "createdAt[lt]": "2025-01-01T00:00:10Z"},
    "two-words+range": {"q": "munoz qqqq", **RANGE},
    "another-tax-id": {**GENERIC, "email": "box2@example.com"},
    "another-email": {"externalId": "crm-10000", "email": "box1@example.com"},
}


def created_at(number: int) -> datetime:
    """Return the time of three customers, five seconds after that of the three before."""
    return START + timedelta(seconds=number // 3 * 5)


def named(number: int) -> dict[str, Any]:
    """Four surnames are very common, half have the generic tax id, one in ten has an external id, a third are paper."""
    surnames = (SPREAD.choice(SURNAMES[:4] if SPREAD.random() < 0.25 else SURNAMES) for _ in range(2))
    own = {"externalId": f"crm-{number}"} if number % 10 == 0 else {}
    return {
        "legalName": " ".join((SPREAD.choice(FIRST_NAMES), *surnames)),
        "createdAt": created_at(number),
        "updatedAt": created_at(number * 7919 % ACTIVE),
        "metadata": {"segment": ("paper", "food", "steel")[number % 3], "number": str(number)},
        **({"satValidation": {**ANSWER, "status": STATUSES[number % 3]}} if number % 100 == 0 else {}),
        **(GENERIC if number % 2 else {}),
        **own,
    }


@pytest.fixture(scope="module")
def recorder() -> CommandRecorder:
    return CommandRecorder()


@pytest.fixture(scope="module")
def large(mongodb_uri: str, recorder: CommandRecorder) -> Iterator[Service]:
    """The service over an organization of many customers, its commands recorded."""
    name = f"customer_service_scale_{ObjectId()}"
    client: pymongo.MongoClient[Document] = pymongo.MongoClient(mongodb_uri, event_listeners=[recorder])
    with client:
        for first in range(0, ACTIVE, BATCH):
            store(client[name], (living(number, **named(number)) for number in range(first, first + BATCH)))
        store(client[name], (deleted(ACTIVE + number, **named(ACTIVE + number)) for number in range(DELETED)))
        ensure_indexes(client[name])
        yield serve(client[name], replace(settings(), mongodb=MongoSettings("mongomock://")))  # with the usual deadline
        client.drop_database(name)


def explained(service: Service, recorder: CommandRecorder, query: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """Return how many customers a page has, and how the database executed its find."""
    recorder.commands.clear()
    returned = len(numbers(get_page(service.client, {"limit": LIMIT, **query})))
    finds = [command for command in recorder.commands if command.get("find") == "customers"]
    assert len(finds) == 1, "a list is one find"
    counts = [command for command in recorder.commands if command.get("aggregate") == "customers"]
    assert len(counts) <= MAXIMUM_COUNTED_TERMS
    assert all({"$limit": MAXIMUM_COUNTED_CUSTOMERS} in command["pipeline"] for command in counts)
    asked = {name: finds[0][name] for name in ("find", "filter", "sort", "limit", "hint")}
    plan = service.database.command("explain", asked, verbosity="executionStats")
    stages, execution = stages_of(plan["queryPlanner"]["winningPlan"]), plan["executionStats"]
    assert "IXSCAN" in stages
    assert "COLLSCAN" not in stages
    assert "SORT" not in stages or execution["totalDocsExamined"] <= MAXIMUM_COUNTED_CUSTOMERS
    return returned, execution


def fewest(service: Service, recorder: CommandRecorder) -> int:
    """Return how many customers meet the rarest of the criteria of the list that was explained last."""
    (find,) = (command for command in recorder.commands if command.get("find") == "customers")
    terms = [each["search"] for each in find["filter"]["$and"] if isinstance(each.get("search"), str)]
    scope = {"organizationId": find["filter"]["organizationId"]}
    return min(service.database.customers.count_documents({**scope, "search": term}) for term in terms)


def cursor_at(query: dict[str, str], number: int) -> dict[str, str]:
    """Return the page of a list that begins behind this customer."""
    by_time = any("At[" in name for name in query)
    value = created_at(number) if by_time else None
    return {"cursor": ListRequest(query, LIMIT, None, total=False).cursor(value, f"{number:024x}")}


@pytest.mark.parametrize("depth", [None, 0, 6_000, 12_001, ACTIVE - 2])
@pytest.mark.parametrize("criterion", SINGLE)
def test_one_criterion_examines_a_page_and_one(
    large: Service, recorder: CommandRecorder, criterion: str, depth: int | None
) -> None:
    query = SINGLE[criterion] if depth is None else cursor_at(SINGLE[criterion], depth)
    returned, execution = explained(large, recorder, query)
    by_time = any("At[" in name for name in SINGLE[criterion])
    ties = 2 if depth is not None and by_time else 0  # those of the position's own time are merged from another scan
    assert execution["totalKeysExamined"] <= LIMIT + 1 + ties
    assert execution["totalDocsExamined"] <= LIMIT + 1 + ties
    assert execution["nReturned"] in {returned, returned + 1}
    assert returned or depth is not None or criterion == "no-word"


def test_a_text_of_many_words_is_a_few_commands(large: Service, recorder: CommandRecorder) -> None:
    query = {"q": " ".join(string.ascii_lowercase + string.digits)}
    returned, _ = explained(large, recorder, query)
    assert returned == 0
    assert len(recorder.commands) <= MAXIMUM_COUNTED_TERMS + 3  # the membership, the find and the plan


@pytest.mark.parametrize("limit", [1, LIMIT, 100])
@pytest.mark.parametrize("criteria", SEVERAL)
def test_several_criteria_examine_those_that_meet_the_rarest(
    large: Service, recorder: CommandRecorder, criteria: str, limit: int
) -> None:
    returned, execution = explained(large, recorder, {**SEVERAL[criteria], "limit": limit})
    assert returned
    rarest = fewest(large, recorder)
    if execution["totalDocsExamined"] > rarest:  # along the time's index
        assert rarest >= MAXIMUM_COUNTED_CUSTOMERS
        assert any("At[" in name for name in SEVERAL[criteria])


@pytest.mark.parametrize("criteria", NONE)
def test_several_criteria_that_no_customer_meets(large: Service, recorder: CommandRecorder, criteria: str) -> None:
    returned, execution = explained(large, recorder, NONE[criteria])
    assert returned == 0
    assert execution["totalDocsExamined"] <= fewest(large, recorder)


def test_random_pairs_of_names_examine_those_that_meet_the_rarest(large: Service, recorder: CommandRecorder) -> None:
    found = 0
    for _ in range(20):
        pair = [SPREAD.choice(FIRST_NAMES), SPREAD.choice(SURNAMES)]
        returned, execution = explained(large, recorder, {"q": " ".join(pair), "limit": 100})
        found += returned
        assert execution["totalDocsExamined"] <= fewest(large, recorder)
    assert found


@pytest.mark.parametrize("query", [{}, {"q": "box"}, {"createdAt[gte]": "2025-01-01T00:00:00Z"}])
def test_page_900_costs_what_page_1_costs(large: Service, query: dict[str, str]) -> None:
    places = {
        "first": cursor_at(query, 0),
        "deep": cursor_at(query, 900 * LIMIT),
        "last": cursor_at(query, ACTIVE - LIMIT - 2),
    }
    costs: dict[str, list[float]] = {name: [] for name in places}
    for _ in range(TRIALS):
        for name, place in [*places.items()] * ROUNDS:
            began = time.perf_counter()
            assert len(numbers(get_page(large.client, {"limit": LIMIT, **place}))) == LIMIT
            costs[name].append(time.perf_counter() - began)
        page_1, page_900, the_last = (median(each) for each in costs.values())
        if max(page_900, the_last) <= MOST * page_1:
            break
    print(f"page 1: {page_1 * 1000:.2f} ms, page 900: {page_900 / page_1:.2f}x, the last: {the_last / page_1:.2f}x")  # noqa: T201
    assert max(page_900, the_last) <= MOST * page_1


def test_a_total_comes_within_the_deadline(large: Service) -> None:
    for query, expected in (({}, ACTIVE), ({"q": "box"}, ACTIVE), ({"createdAt[gte]": "2025-01-01T00:00:00Z"}, ACTIVE)):
        began = time.perf_counter()
        response = get_page(large.client, {"limit": 1, "include": "total", **query})
        print(f"total of {query}: {time.perf_counter() - began:.3f} s")  # noqa: T201
        assert response.json is not None
        assert response.json["total"] == expected


def test_a_walk_among_a_writers_inserts_and_deletes(large: Service) -> None:
    organization, count = "a busy organization", 10_000
    store(large.database, (living(2 * n + OFFSET, organization, taxId=f"B{n}") for n in range(count)), organization)
    doomed = set(range(0, count, 7))
    done = threading.Event()

    def write() -> None:
        customers = large.database.customers
        for n in SPREAD.sample(range(count), count):
            if done.is_set():
                return
            key = {"organizationId": organization, "_id": ObjectId(f"{2 * n + OFFSET:024x}")}
            if n in doomed:
                customers.update_one(key, {"$set": {"deletedAt": START}, "$unset": {"search": "", "unique": ""}})
            else:
                customers.insert_one(living(2 * n + 1 + OFFSET, organization, taxId=f"C{n}"))

    writer = threading.Thread(target=write)
    writer.start()
    walked: list[int] = []
    query: dict[str, Any] = {"limit": 100}
    while query["limit"]:
        response = get_page(large.client, query, organization)
        walked += numbers(response)
        assert response.json is not None
        query = {"limit": 100 if response.json["nextCursor"] else 0, "cursor": response.json["nextCursor"]}
    written = large.database.customers.count_documents({"organizationId": organization}) - count
    done.set()
    writer.join()
    assert written
    assert walked == sorted(set(walked))
    assert {2 * n + OFFSET for n in set(range(count)) - doomed} <= set(walked)
