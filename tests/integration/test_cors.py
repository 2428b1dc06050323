"""Every response names the origins that may read it; without the setting no response has a CORS header."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from customer_service.app import create_app
from customer_service.settings import GatewaySettings, ServerSettings
from customer_service.web.openapi import PARAMETER
from tests import support
from tests.support import Service, bearer, customers_url, problem, url
from tests.support.openapi import operations_of

if TYPE_CHECKING:
    from werkzeug.test import TestResponse

PAGE = "https://app.example"
OTHERS = [
    "",
    "null",
    "https://app.example.evil.example",
    "https://evil-app.example",
    "https://app.example:444",
    "http://app.example",
    "https://APP.example",
    "https://app.example/",
    f"{PAGE}, {PAGE}",
    "*",
]
ASKS = {"Origin": PAGE, "Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization"}


@pytest.fixture
def kind() -> str:
    """The kind of database that every test runs on: none changes the results."""
    return "mongomock"


@pytest.fixture
def shared(service: Service) -> Service:
    """The service, which a page of one origin and of another may ask."""
    gateway = GatewaySettings(cors_allowed_origins=("http://localhost:5173", PAGE))
    server = ServerSettings(rate_limit_per_minute=1000)
    app = create_app(replace(support.settings(), gateway=gateway, server=server), service.database)
    return Service(app, service.database, app.test_client())


def cors_headers(answer: TestResponse) -> set[str]:
    return {name for name, _ in answer.headers if name.startswith("Access-Control")}


def test_a_page_may_read_what_it_asked(shared: Service) -> None:
    answer = shared.client.get(url(), headers=bearer() | {"Origin": PAGE})
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == PAGE
    assert answer.headers["Vary"] == "Origin"
    exposed = set(answer.headers["Access-Control-Expose-Headers"].split(", "))
    assert exposed >= {"ETag", "Location", "Link", "Retry-After", "RateLimit", "RateLimit-Policy", "X-Request-ID"}
    assert exposed >= {"Allow", "Content-Location", "WWW-Authenticate"}
    assert cors_headers(answer) == {"Access-Control-Allow-Origin", "Access-Control-Expose-Headers"}


def test_a_list_varies_by_both(shared: Service) -> None:
    answer = shared.client.get(customers_url(), headers=bearer() | {"Origin": PAGE})
    assert answer.headers["Vary"] == "Accept-Encoding, Origin"


def test_a_form_may_read_a_catalogue(shared: Service) -> None:
    answer = shared.client.get("/api/catalogs/states", headers=bearer() | {"Origin": PAGE})
    assert (answer.headers["Access-Control-Allow-Origin"], answer.headers["Vary"]) == (PAGE, "Accept-Encoding, Origin")
    preflight = shared.client.options("/api/catalogs/states", headers=ASKS)
    assert (preflight.status_code, preflight.headers["Access-Control-Allow-Methods"]) == (204, "GET, HEAD")


@pytest.mark.parametrize("origin", OTHERS)
def test_another_origin_gets_no_cors_headers(shared: Service, origin: str) -> None:
    for headers in ({"Origin": origin}, ASKS | {"Origin": origin}):
        for method, status in (("GET", 200), ("OPTIONS", 405)):
            answer = shared.client.open(url(), method=method, headers=bearer() | headers)
            assert (answer.status_code, cors_headers(answer), answer.headers["Vary"]) == (status, set(), "Origin")


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        (url(), {}, 401),
        (url("another"), bearer(), 403),
        (url(customer="x"), bearer(), 404),
        ("/nowhere", bearer(), 404),
        (customers_url("?limit=0"), bearer(), 422),
    ],
)
def test_it_may_read_errors_too(shared: Service, path: str, headers: dict[str, str], status: int) -> None:
    answer = shared.client.get(path, headers=headers | {"Origin": PAGE})
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (status, PAGE)


def test_unexpected_errors_have_cors_headers_too(shared: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared.app.extensions["memberships"], "find", lambda *_: dict[str, str]()["x"])
    answer = shared.client.get(url(), headers=bearer() | {"Origin": PAGE})
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (500, PAGE)


class TestPreflight:
    """What a browser asks before it sends a token, or a method or header of ours."""

    def test_each_route_says_its_methods(self, shared: Service) -> None:
        allowed: dict[str, set[str]] = {}
        for rule in shared.app.url_map.iter_rules():
            path = PARAMETER.sub("x", rule.rule)
            allowed.setdefault(path, set()).update(rule.methods or set())
        for path, methods in allowed.items():
            answer = shared.client.options(path, headers=ASKS)
            assert (answer.status_code, answer.data) == (204, b""), path
            assert set(answer.headers["Access-Control-Allow-Methods"].split(", ")) == methods
            assert answer.headers["Access-Control-Allow-Origin"] == PAGE
            assert answer.headers["Vary"] == "Origin"

    def test_every_header_of_the_contract_may_be_sent(self, shared: Service) -> None:
        document = shared.client.get("/openapi.json").get_json()
        contract = {
            parameter["name"].lower()
            for operation in operations_of(document).values()
            for parameter in operation["parameters"]
            if parameter["in"] == "header"
        }
        answer = shared.client.options(url(), headers=ASKS)
        sent = set(answer.headers["Access-Control-Allow-Headers"].lower().split(", "))
        assert contract | {"authorization", "content-type"} | {"traceparent", "tracestate", "baggage"} <= sent

    def test_credentials_are_not_allowed(self, shared: Service) -> None:
        assert "Access-Control-Allow-Credentials" not in shared.client.options(url(), headers=ASKS).headers

    def test_a_preflight_of_an_unknown_path_is_404(self, shared: Service) -> None:
        problem(shared.client.options("/nowhere", headers=ASKS), 404, "not-found")

    def test_an_options_without_a_preflight_header_is_405(self, shared: Service) -> None:
        problem(shared.client.options(url(), headers={"Origin": PAGE}), 405, "method-not-allowed")
        problem(shared.client.options(url()), 405, "method-not-allowed")


def test_without_the_setting_there_are_no_cors_headers(service: Service) -> None:
    for method, status in (("GET", 200), ("OPTIONS", 405)):
        answer = service.client.open(url(), method=method, headers=bearer() | ASKS)
        assert (answer.status_code, cors_headers(answer)) == (status, set())
        assert "Vary" not in answer.headers
