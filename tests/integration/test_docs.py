"""The files of the API's reference page, and the sources that its headers allow."""

from __future__ import annotations

import gzip
import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urljoin

import mongomock
import pytest

from customer_service.routes import docs
from customer_service.web.problems import ALL_PROBLEMS
from tests.support import bearer, problem, serve

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
    assert set(named) == {"openapi.json", *(f"docs/{name}" for name in docs.ASSETS)}
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


@pytest.mark.parametrize("name", docs.ASSETS)
def test_a_file_is_kept_by_the_browser(client: FlaskClient, name: str) -> None:
    plain, packed = client.get(f"/docs/{name}"), client.get(f"/docs/{name}", headers={"Accept-Encoding": "gzip"})
    assert gzip.decompress(packed.data) == plain.data
    assert packed.headers["Content-Encoding"] == "gzip"
    for answer in (plain, packed):
        assert answer.headers["Vary"] == "Accept-Encoding"
        assert answer.headers["Cache-Control"] == "public, max-age=3600"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.mimetype == docs.ASSETS[name][1]
        same = client.get(f"/docs/{name}", headers={"If-None-Match": answer.headers["ETag"]})
        assert (same.status_code, same.data) == (304, b"")


ENDLESS_YEAR = "Mon, 01 Jan 99999999999999999999 00:00:00 GMT"


@pytest.mark.parametrize("moment", ["Mon, 01 Jan 2024 00:00:00 +9999999999999999999", "x", ENDLESS_YEAR])
@pytest.mark.parametrize("path", ["/docs/page.css", "/openapi.json", "/catalogs/states"])
def test_a_modification_date_is_ignored(client: FlaskClient, path: str, moment: str) -> None:
    given = bearer() | {"If-Modified-Since": moment}
    assert client.get(path, headers=given).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/docs/",
        "/docs/swagger-ui.js",
        "/docs/__init__.py",
        "/docs/..%2fpage.html",
    ],
)
def test_what_is_spelled_otherwise_is_nothing(client: FlaskClient, path: str) -> None:
    problem(client.get(path), 404, "not-found")


@pytest.mark.parametrize("base", ["", "/api"])
def test_the_root_leads_to_both(client: FlaskClient, base: str) -> None:
    for path in dict.fromkeys((f"{base}/", base or "/")):
        answer = client.get(path)
        assert answer.status_code == 200
        assert answer.get_json() == {"docs": f"{base}/docs", "openapi": f"{base}/openapi.json"}
        assert answer.headers["Link"] == (
            f'<{base}/docs>; rel="service-doc", <{base}/openapi.json>; rel="service-desc"'
        )
        assert client.head(path).status_code == 200
        for link in answer.get_json().values():
            assert client.get(link).status_code == 200


SLUGS = sorted({problem.slug for problem in ALL_PROBLEMS})


@pytest.mark.parametrize("base", ["", "/api"])
def test_each_problem_type_has_an_anchor(client: FlaskClient, base: str) -> None:
    document = client.get(f"{base}/openapi.json").get_json()
    described = document["components"]["schemas"]["Failure"]["properties"]["type"]
    for description in (document["info"]["description"], described["description"]):
        (linked,) = re.findall(r"\[[^]]+\]\(([^)]+)\)", description)
        assert urljoin(f"http://localhost{base}/openapi.json", linked) == f"http://localhost{base}/docs/errors"
    page = client.get(f"{base}/docs/errors")
    assert (page.status_code, page.mimetype) == (200, "text/html")
    assert page.headers["Content-Security-Policy"] == client.get("/docs").headers["Content-Security-Policy"]
    anchors = re.findall(r'<h2 id="([^"]+)">', page.text)
    assert anchors == SLUGS
    assert client.get(f"{base}/docs/page.css").status_code == 200
    assert 'href="page.css"' in page.text
    assert "Use a method that <code>Allow</code> names." in page.text


def test_each_problem_type_is_on_the_page_of_the_repository() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "errors.md").read_text()
    rows = re.findall(r'^\| <a id="([a-z-]+)"></a>`\1` \| (\d{3}) \| \S', page, re.MULTILINE)
    assert rows == sorted({(problem.slug, str(problem.status.value)) for problem in ALL_PROBLEMS})
    assert len(re.findall("<a id=", page)) == len(rows)


@pytest.mark.parametrize("path", ["/organizations/x/customers/", "/organizations/x/members/", "/livez/", "/nothing/"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_a_slash_at_the_end_is_named(client: FlaskClient, path: str, method: str) -> None:
    detail = problem(client.open(path, method=method), 404, "not-found")["detail"]
    assert detail == "There is nothing at this path. Leave out the slash at the end of the path."


def test_without_a_slash_at_the_end_none_is_named(client: FlaskClient) -> None:
    assert problem(client.get("/nothing"), 404, "not-found")["detail"] == "There is nothing at this path."
