"""The files of the API's reference page, and what its headers keep out."""

from __future__ import annotations

import gzip
import re
from typing import TYPE_CHECKING

import mongomock
import pytest

from customer_service import reference
from tests.support import problem, serve

if TYPE_CHECKING:
    from flask.testing import FlaskClient


@pytest.fixture(scope="module")
def client() -> FlaskClient:
    return serve(mongomock.MongoClient().customer_service).client


@pytest.mark.parametrize("base", ["", "/api"])
def test_the_page_asks_for_nothing_that_is_not_beside_it(client: FlaskClient, base: str) -> None:
    page = client.get(f"{base}/docs")
    assert (page.status_code, page.mimetype) == (200, "text/html")
    named = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert set(named) == {"openapi.json", *(f"docs/{name}" for name in reference.ASSETS)}
    for path in named:
        assert client.get(f"{base}/{path}").status_code == 200
    assert "<script>" not in page.text
    assert "style=" not in page.text


def test_nothing_else_runs_in_it_or_is_asked_by_it(client: FlaskClient) -> None:
    policy = client.get("/docs").headers["Content-Security-Policy"]
    sources = {each.split()[0]: each.split()[1:] for each in policy.split("; ")}
    assert sources["default-src"] == ["'none'"]
    assert sources["script-src"] == sources["style-src"] == sources["connect-src"] == ["'self'"]
    assert sources["frame-ancestors"] == ["'none'"]


@pytest.mark.parametrize("name", reference.ASSETS)
def test_a_file_is_kept_by_the_browser(client: FlaskClient, name: str) -> None:
    plain, packed = client.get(f"/docs/{name}"), client.get(f"/docs/{name}", headers={"Accept-Encoding": "gzip"})
    assert gzip.decompress(packed.data) == plain.data
    assert packed.headers["Content-Encoding"] == "gzip"
    for answer in (plain, packed):
        assert answer.headers["Vary"] == "Accept-Encoding"
        assert answer.headers["Cache-Control"] == "public, max-age=3600"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.mimetype == reference.ASSETS[name][1]
        same = client.get(f"/docs/{name}", headers={"If-None-Match": answer.headers["ETag"]})
        assert (same.status_code, same.data) == (304, b"")


@pytest.mark.parametrize(
    "path",
    [
        "/docs/",
        "/docs/swagger-ui.js",
        "/docs/__init__.py",
        "/docs/..%2fpage.html",
        "/%64ocs",
        "/%64ocs/swagger-ui-bundle.js",
        "/api/%64ocs/swagger-ui-bundle.js",
        "/%61pi/docs/swagger-ui-bundle.js",
        "/%6Fpenapi.json",
        "http://localhost/docs/swagger-ui-bundle.js",
    ],
)
def test_what_is_spelled_otherwise_is_nothing(client: FlaskClient, path: str) -> None:
    """A worker tells by the first bytes of a request that its answer is large."""
    raw = {"RAW_URI": path}
    problem(client.get(path.removeprefix("http://localhost"), environ_overrides=raw), 404, "not-found")
