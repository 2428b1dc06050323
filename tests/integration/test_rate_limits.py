"""Rate limits are counted once for all workers, stated in every response, and cost nothing if they are not set."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from customer_service.errors import DatabaseUnavailable
from customer_service.repository import RateLimitRepository, rate_limits
from customer_service.settings import ServerSettings
from tests import support
from tests.support import MEMBER, ORGANIZATION, OTHER_ORGANIZATION, Service, bearer, client_of, problem, serve, url

if TYPE_CHECKING:
    from flask.testing import FlaskClient
    from pymongo.database import Database
    from werkzeug.test import TestResponse

    from customer_service.repository.database import Document

ALLOWED = 3
MINUTE = 40_000_000 * 60.0  # in 2046: what is over is removed


class Clock:
    """A clock that a test sets; it begins twenty seconds and a half into a minute."""

    now = MINUTE + 20.5

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def limited(database: Database[Document], clock: Clock) -> Service:
    """The service with three requests a minute for each caller."""
    settings = replace(support.settings(), server=ServerSettings(rate_limit_per_minute=ALLOWED))
    service = serve(database, settings)
    service.app.extensions["rate_limits"] = RateLimitRepository(database, ALLOWED, clock)
    return service


@pytest.fixture
def member(limited: Service) -> FlaskClient:
    return client_of(limited, MEMBER)


def rate_limit_headers(response: TestResponse) -> tuple[str | None, str | None]:
    return response.headers.get("RateLimit-Policy"), response.headers.get("RateLimit")


POLICY = f'"caller";q={ALLOWED};w=60'


def test_every_answer_says_what_is_left(member: FlaskClient) -> None:
    for left in (2, 1, 0):
        response = member.get(url())
        assert response.status_code == 200
        assert rate_limit_headers(response) == (POLICY, f'"caller";r={left};t=40')
        assert "Retry-After" not in response.headers


def test_a_request_over_the_limit_gets_retry_after(member: FlaskClient, clock: Clock) -> None:
    for _ in range(ALLOWED):
        member.get(url())
    for now, seconds in ((20.5, 40), (59.0, 1), (59.9, 1)):
        clock.now = MINUTE + now
        refused = member.get(url())
        problem(refused, 429, "rate-limited")
        assert refused.headers["Retry-After"] == str(seconds)
        assert rate_limit_headers(refused) == (POLICY, f'"caller";r=0;t={seconds}')
    clock.now = MINUTE + 60
    assert rate_limit_headers(member.get(url())) == (POLICY, '"caller";r=2;t=60')


def test_each_caller_has_a_rate_limit_of_its_own(limited: Service, member: FlaskClient) -> None:
    for _ in range(ALLOWED + 1):
        member.get(url())
    support.caller(limited, "editor")
    assert client_of(limited, "editor-of-one").get(url()).status_code == 200


def test_a_stranger_is_counted_too_and_learns_nothing(limited: Service) -> None:
    stranger = client_of(limited, "a stranger")
    statuses = [stranger.get(url(organization)).status_code for organization in (ORGANIZATION, OTHER_ORGANIZATION) * 2]
    assert statuses == [403, 403, 403, 429]


def test_a_catalogue_is_counted_with_everything_else(limited: Service) -> None:
    stranger = client_of(limited, "a stranger")
    for left in (2, 1, 0):
        assert rate_limit_headers(stranger.get("/catalogs/states")) == (POLICY, f'"caller";r={left};t=40')
    problem(stranger.get("/catalogs/zip-codes/x"), 429, "rate-limited")
    problem(stranger.get(url()), 429, "rate-limited")


def test_nothing_is_counted_without_a_valid_token(limited: Service) -> None:
    for headers in ({}, {"Authorization": "Bearer x"}, bearer(exp=1)):
        for _ in range(ALLOWED + 1):
            response = limited.client.get(url(), headers=headers)
            assert response.status_code == 401
            assert rate_limit_headers(response) == (None, None)
    assert limited.client.get("/livez").status_code == 200
    assert limited.database.requestCounts.count_documents({}) == 0


def test_a_refused_write_changes_nothing(limited: Service) -> None:
    editor = support.caller(limited, "editor")
    for _ in range(ALLOWED):
        editor.get(url())
    before = support.stored(limited)
    assert editor.delete(url()).status_code == 429
    assert support.stored(limited) == before


def test_a_counter_names_no_caller_and_expires(limited: Service, member: FlaskClient) -> None:
    member.get(url())
    (counter,) = limited.database.requestCounts.find()
    assert re.fullmatch(r"[0-9a-f]{32}:\d+", counter["_id"])
    assert MEMBER not in repr(counter)
    index = limited.database.requestCounts.index_information()["until_1"]
    assert index["expireAfterSeconds"] == rate_limits.EXPIRY_SECONDS


def test_without_the_setting_nothing_is_counted(service: Service) -> None:
    response = service.client.get(url(), headers=bearer())
    assert rate_limit_headers(response) == (None, None)
    assert service.database.requestCounts.count_documents({}) == 0


def test_without_a_database_the_answer_is_that_of_the_read(
    limited: Service, member: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: str) -> None:
        raise DatabaseUnavailable

    monkeypatch.setattr(limited.app.extensions["rate_limits"], "consume", fail)
    problem(member.get(url()), 503, "database-unavailable")


def test_requests_at_once_are_all_counted(mongodb: Database[Document]) -> None:
    first, second = (RateLimitRepository(mongodb, 100, Clock()) for _ in range(2))
    with ThreadPoolExecutor(16) as pool:
        spent = list(pool.map(lambda number: (first, second)[number % 2].consume("one"), range(200)))
    assert sorted(each.counted for each in spent) == list(range(1, 201))
    assert sum(each.exceeded for each in spent) == 100
