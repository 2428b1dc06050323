"""Behind a gateway every path in a response has its prefix; a hostile prefix is in none."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

import pytest

from customer_service.app import create_app
from customer_service.settings import GatewaySettings
from tests import support
from tests.support import CUSTOMER_ID, Service, caller, customers_url, new_customer, url

if TYPE_CHECKING:
    from flask.testing import FlaskClient

PROXY = {"REMOTE_ADDR": "10.0.0.5"}
PREFIXED = {"X-Forwarded-Prefix": "/crm"}
BASES = ["", "/api"]


@pytest.fixture
def kind() -> str:
    """The kind of database that every test runs on: none changes the results."""
    return "mongomock"


@pytest.fixture
def relayed(service: Service) -> FlaskClient:
    """A client of an editor, by way of a trusted proxy."""
    caller(service, "editor")
    settings = replace(support.settings(), gateway=GatewaySettings(trusted_proxies=(ip_network("10.0.0.5"),)))
    app = create_app(settings, service.database)
    client = support.client_of(Service(app, service.database, app.test_client()), "editor-of-one")
    client.environ_base |= PROXY
    return client


def paths(client: FlaskClient, base: str, prefix: str) -> list[str]:
    """Return every path of the service that its responses contain."""
    headers = {"X-Forwarded-Prefix": prefix}
    body: dict[str, Any] = new_customer(taxId="AAA010101AA1", externalId="crm/1")
    own = customers_url(base=base)
    created = client.post(own, json=body, headers=headers)
    put = client.put(
        f"{own}/by-external-id/2", json=body | {"taxId": "AAA010101AA2", "externalId": "2"}, headers=headers
    )
    taken = client.post(own, json=body, headers=headers)
    batch = client.post(f"{own}/batch-upsert", json={"customers": [body | {"externalId": "3"}]}, headers=headers)
    page = client.get(f"{own}?limit=1", headers=headers)
    return [
        created.headers["Location"],
        put.headers["Location"],
        taken.get_json()["existing"],
        batch.get_json()["results"][0]["problem"]["existing"],
        page.headers["Link"].removeprefix("<"),
        *(each["url"] for each in client.get(f"{base}/openapi.json", headers=headers).get_json()["servers"]),
    ]


@pytest.mark.parametrize("base", BASES)
def test_each_path_is_behind_the_prefix(relayed: FlaskClient, base: str) -> None:
    *customer_paths, root, api = paths(relayed, base, "/crm/v1/")
    assert all(path.startswith(f"/crm/v1{customers_url(base=base)}") for path in customer_paths)
    assert (root, api) == ("/crm/v1", "/crm/v1/api")


@pytest.mark.parametrize(
    "prefix", ["//evil.example", "https://evil.example", "/a, /b", "/a>; rel=x", "/../x", "/" * 300]
)
@pytest.mark.parametrize("base", BASES)
def test_a_hostile_prefix_is_in_none(relayed: FlaskClient, base: str, prefix: str) -> None:
    *customer_paths, root, api = paths(relayed, base, prefix)
    assert all(path.startswith(customers_url(base=base)) for path in customer_paths)
    assert (root, api) == ("/", "/api")


def test_headers_of_an_untrusted_client_are_ignored(service: Service, relayed: FlaskClient) -> None:
    for client in (relayed, caller(service, "editor", "another")):
        elsewhere = {"REMOTE_ADDR": "10.0.0.6"}
        body = new_customer(taxId=f"AAA01010100{int(client is relayed)}")
        created = client.post(customers_url(), json=body, headers=PREFIXED, environ_overrides=elsewhere)
        assert created.headers["Location"].startswith(customers_url())


def test_a_prefix_alone_names_nothing(relayed: FlaskClient) -> None:
    """The proxy takes it off: what it sends on with it is another path."""
    answer = relayed.get(f"/crm{url()}", headers=PREFIXED)
    assert support.problem(answer, 404, "not-found")
    assert relayed.get(url(), headers=PREFIXED).get_json()["id"] == CUSTOMER_ID
