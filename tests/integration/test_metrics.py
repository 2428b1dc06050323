"""/metrics counts what the service did, and names no caller, organization or customer."""

from __future__ import annotations

import time
import uuid
from threading import Thread
from typing import TYPE_CHECKING

import mongomock
import pymongo
import pytest

from customer_service.app import create_app
from customer_service.repository.driver_internals import Connections, connections
from customer_service.settings import CacheSettings, Settings
from tests.support import (
    CUSTOMER_ID,
    EXAMPLE,
    MEMBER,
    MISSING_CUSTOMER_ID,
    ORGANIZATION,
    OTHER_ORGANIZATION,
    STRANGER,
    Service,
    bearer,
    customers_url,
    fill,
    samples,
    serve,
    settings,
    url,
    wait_until,
)
from tests.support.issuer import JwksServer
from tests.support.tokens import issue, jwk

if TYPE_CHECKING:
    from flask.testing import FlaskClient
    from pymongo.database import Database

    from customer_service.repository.database import Document

CUSTOMER_ROUTE = "/organizations/{organizationId}/customers/{customerId}"


def read_metrics(client: FlaskClient) -> dict[str, float]:
    """Return the samples of /metrics."""
    return samples(client.get("/metrics").text)


@pytest.fixture
def own() -> Service:
    """A service whose metrics no other test has changed, and which remembers."""
    plain = settings()
    remembering = Settings(plain.mongodb, plain.jwt, plain.server, CacheSettings())
    return serve(mongomock.MongoClient().customer_service, remembering)


def test_metrics_need_no_token(service: Service) -> None:
    answer = service.client.get("/metrics")
    assert answer.status_code == 200
    assert answer.content_type == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-store"
    assert service.client.head("/metrics").data == b""


def test_requests_are_counted_by_route(own: Service) -> None:
    for customer in (CUSTOMER_ID, CUSTOMER_ID, MISSING_CUSTOMER_ID):
        own.client.get(url(customer=customer), headers=bearer())
    numbers = read_metrics(own.client)
    name = "customer_service_request_duration_seconds_count"
    assert numbers[f'{name}{{method="GET",route="{CUSTOMER_ROUTE}",status="200"}}'] == 2
    assert numbers[f'{name}{{method="GET",route="{CUSTOMER_ROUTE}",status="404"}}'] == 1
    assert numbers["customer_service_requests_in_flight"] == 1  # the one that asks
    assert numbers['customer_service_cache_hits_total{cache="memberships"}'] == 2
    assert numbers['customer_service_cache_misses_total{cache="memberships"}'] == 1
    assert 'customer_service_cache_hits_total{cache="customers"}' not in numbers


def test_two_applications_of_a_process_count_apart(own: Service) -> None:
    other = serve(mongomock.MongoClient().customer_service)
    other.client.get("/livez")
    assert not any('route="/livez"' in name for name in read_metrics(own.client))


def test_no_label_names_a_caller_or_a_customer(own: Service) -> None:
    secrets = ["an-external-id", "made-up", CUSTOMER_ID, ORGANIZATION, OTHER_ORGANIZATION, MEMBER, STRANGER]
    for caller in (MEMBER, STRANGER):
        for path in (url(), url(OTHER_ORGANIZATION), url(customer="made-up"), customers_url("?q=made-up"), "/made-up"):
            for method in ("GET", "HEAD", "DELETE", "MADE-UP", "POST"):
                own.client.open(path, method=method, json={"made-up": 1}, headers=bearer(caller))
    own.client.get(customers_url("/by-external-id/an-external-id"), headers=bearer())
    text = own.client.get("/metrics").text
    for secret in (*secrets, str(EXAMPLE["taxId"]), str(EXAMPLE["email"]), "MADE-UP"):
        assert secret not in text


def test_the_change_stream_is_reported_if_customers_are_cached(mongodb: Database[Document]) -> None:
    plain = settings("mongodb://of-the-test")
    fill(mongodb)
    app = create_app(Settings(plain.mongodb, plain.jwt, plain.server, CacheSettings()), mongodb)
    client, worker_caches = app.test_client(), app.extensions["worker_caches"]
    wait_until(lambda: worker_caches.valid_from)
    assert read_metrics(client)["customer_service_changes_followed"] == 1
    assert read_metrics(client)["customer_service_changes_lag_seconds"] == worker_caches.lag_seconds == 0
    worker_caches.close()
    wait_until(lambda: not worker_caches.valid_from)
    assert read_metrics(client)["customer_service_changes_followed"] == 0


def test_the_change_stream_is_not_reported_without_a_cache(service: Service) -> None:
    assert not any(name.startswith("customer_service_changes") for name in read_metrics(service.client))


def test_connections_are_those_of_the_driver(mongodb_uri: str) -> None:
    made: pymongo.MongoClient[Document] = pymongo.MongoClient(mongodb_uri)
    with made as client:
        database = client[f"customer_service_test_{uuid.uuid4().hex}"]
        assert connections(database) == Connections(0, 0)
        database.command("ping")
        assert connections(database) == Connections(1, 0)
        database.things.replace_one({"_id": 1}, {}, upsert=True)
        slow = Thread(target=database.things.find_one, args=({"$where": "sleep(1000) || true"},))
        slow.start()
        wait_until(lambda: connections(database) == Connections(1, 1))
        slow.join()
        assert connections(database) == Connections(1, 0)
        client.drop_database(database)


def test_the_age_of_a_jwk_set_is_reported(own: Service) -> None:
    publisher = JwksServer(jwk("P-256", kid="one"))
    app = create_app(settings(jwks_url=publisher.url), own.database)
    client = app.test_client()
    token = {"Authorization": f"Bearer {issue('ES256', 'P-256', headers={'kid': 'one'})}"}
    assert client.get(url(), headers=token).status_code == 200
    began = time.monotonic()
    numbers = read_metrics(client)
    assert 0 <= numbers["customer_service_jwks_age_seconds"] < time.monotonic() - began + 10
    assert numbers["customer_service_jwks_fetch_failures_total"] == 0
    publisher.close()
