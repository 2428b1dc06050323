"""Behind a real nginx, paths get the gateway's prefix, and ids, ETags, problems and addresses pass unchanged."""

from __future__ import annotations

import gzip
import http.client
import json
import re
import signal
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from customer_service.client import CustomerClient
from customer_service.repository import backfill_search_fields
from customer_service.server.config import KEEPALIVE_SECONDS
from customer_service.server.limits import QUEUE_SECONDS
from customer_service.settings import MongoSettings
from customer_service.web.limits import MAXIMUM_BODY_BYTES, MAXIMUM_BODY_SECONDS
from customer_service.web.long_polling import MAXIMUM_WAIT_SECONDS
from tests import support
from tests.support import CUSTOMER_ID, EXAMPLE, MISSING_CUSTOMER_ID, ORGANIZATION, bearer, customers_url, url
from tests.support.load import Load
from tests.support.nginx import CONFIGURATION, Nginx
from tests.support.raw_http import send
from tests.support.server import ROOT, Server, send_request

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from pymongo.database import Database

    from customer_service.repository.database import Document
    from tests.support.server import Answer

PREFIX = "/crm"
PATH = PREFIX + url()
CUSTOMERS = PREFIX + customers_url()
ELSEWHERE = "127.0.0.2"
"""An address of this machine that is neither nginx's nor trusted."""

MARKS = {"X-Forwarded-Prefix": "/evil", "X-Forwarded-For": "192.0.2.1", "Forwarded": "for=192.0.2.1"}
TRUSTED = "127.0.0.1"
INSIDE = {"/livez", "/readyz", "/metrics"}
JSON = {"Content-Type": "application/json"}
GUIDE = (ROOT / "docs/how-to/run-behind-a-gateway.md").read_text()


@pytest.fixture(scope="module")
def server(mongodb_uri: str, mongodb_of_session: Database[Document]) -> Iterator[Server]:
    """The service, which believes nginx, over the example and a member who may write."""
    support.empty(mongodb_of_session)
    support.fill(mongodb_of_session)
    backfill_search_fields(mongodb_of_session)
    mongodb_of_session.memberships.update_many({}, {"$set": {"role": "editor"}})
    with Server(mongodb_uri, mongodb_of_session.name, TRUSTED_PROXIES=TRUSTED) as running:
        yield running


@pytest.fixture(scope="module")
def nginx(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    """nginx in front of it, as deploy/nginx says."""
    with Nginx(tmp_path_factory.mktemp("nginx"), [server.port]) as running:
        yield running


def create(nginx: Nginx, number: int, base: str = "", **changes: Any) -> Answer:
    body = support.new_customer(taxId=f"AAA010101{number:03d}", **changes)
    path = PREFIX + customers_url(base=base)
    return nginx.request("POST", path, bearer() | JSON | MARKS, json.dumps(body).encode())


@pytest.mark.parametrize("base", ["", "/api"])
def test_the_read(nginx: Nginx, base: str) -> None:
    path = PREFIX + url(base=base)
    found = nginx.request("GET", path, bearer())
    assert (found.status, json.loads(found.body)) == (200, EXAMPLE)
    etag = found.headers["ETag"]
    for condition in (etag, f"W/{etag}", f'"x", W/{etag}', "*"):
        same = nginx.request("GET", path, bearer() | {"If-None-Match": condition})
        assert (same.status, same.body, same.headers["ETag"]) == (304, b"", etag)
    assert nginx.request("GET", path, bearer() | {"If-None-Match": '"x"'}).status == 200
    head = nginx.request("HEAD", path, bearer())
    assert (head.status, head.body, head.headers["ETag"]) == (200, b"", etag)
    assert head.headers["Content-Length"] == str(len(found.body))


@pytest.mark.parametrize(
    ("path", "status", "slug"),
    [
        (PATH, 401, "authentication-required"),
        (PATH.replace(ORGANIZATION, "another"), 403, "not-a-member"),
        (PATH.replace(CUSTOMER_ID, MISSING_CUSTOMER_ID), 404, "customer-not-found"),
        (f"{CUSTOMERS}?limit=0", 422, "validation-error"),
    ],
)
def test_problems_pass(nginx: Nginx, path: str, status: int, slug: str) -> None:
    answer = nginx.request("GET", path, {} if status == 401 else bearer())
    body = json.loads(answer.body)
    assert (answer.status, answer.headers["Content-Type"]) == (status, "application/problem+json")
    assert (body["type"], body["requestId"]) == (f"urn:problem-type:{slug}", answer.headers["X-Request-ID"])
    assert ("WWW-Authenticate" in answer.headers) == (status == 401)


def test_headers_that_the_service_accepts_pass(nginx: Nginx) -> None:
    many = {f"X-Number-{number}": "x" * 650 for number in range(90)}
    long = {f"X-Number-{number}": "x" * 8000 for number in range(7)}
    for headers in (many, long):
        assert nginx.request("GET", PATH, bearer() | headers).status == 200


def test_the_link_of_a_list_with_long_filters_passes(nginx: Nginx) -> None:
    name, metadata = "A" * 250, {f"k{number}": "x" * 500 for number in range(5)}
    for number in (801, 802):
        assert create(nginx, number, metadata=metadata, legalName=name).status == 201
    filters = "&".join(f"metadata[{key}]={value}" for key, value in metadata.items())
    page = nginx.request("GET", f"{CUSTOMERS}?limit=1&q={name}&{filters}", bearer())
    assert (page.status, len(json.loads(page.body)["data"])) == (200, 1)
    assert len(page.headers["Link"]) > 3_500


UNREADABLE = {
    "another method": (f"TRACE {PATH} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 405),
    "a long line": (f"GET {PATH}?{'a' * 9000} HTTP/1.1\r\nHost: x\r\n\r\n", 414),
    "a transfer coding": (f"POST {PATH} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: x\r\nConnection: close\r\n\r\n", 501),
    "no path": ("OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 400),
    "garbage": ("XX\r\n\r\n", 400),
}


@pytest.mark.parametrize(("request_text", "status"), UNREADABLE.values(), ids=UNREADABLE.keys())
def test_a_request_that_nginx_cannot_read_is_a_problem(nginx: Nginx, request_text: str, status: int) -> None:
    answer = send(nginx, request_text.encode())
    assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json")
    assert answer.problem["status"] == status


@pytest.mark.parametrize(
    "headers",
    [
        {f"X-Number-{number}": "x" * 8000 for number in range(110)},
        {"X-Long": "x" * 9000},
    ],
    ids=["too many fields", "a long field"],
)
def test_headers_that_nginx_refuses_are_a_problem(nginx: Nginx, headers: dict[str, str]) -> None:
    answer = nginx.request("GET", PATH, bearer() | headers)
    body = json.loads(answer.body)
    assert (answer.status, answer.headers["Content-Type"]) == (body["status"], "application/problem+json")
    assert body["status"] == 400


@pytest.mark.parametrize("base", ["", "/api"])
def test_links_and_locations_can_be_followed(nginx: Nginx, base: str) -> None:
    first = 100 if base else 200
    created = [create(nginx, number, base) for number in range(first, first + 3)]
    behind = PREFIX + customers_url(base=base)
    for each in created:
        assert each.status == 201
        assert each.headers["Location"] == f"{behind}/{json.loads(each.body)['id']}"
        assert nginx.request("GET", each.headers["Location"], bearer()).body == each.body
    taken = json.loads(create(nginx, first, base).body)
    assert taken["existing"] == created[0].headers["Location"]
    path, seen = f"{behind}?limit=1", []
    while path:
        page = nginx.request("GET", path, bearer())
        seen += [each["id"] for each in json.loads(page.body)["data"]]
        link = page.headers.get("Link", "")
        assert not link or link.startswith(f"<{behind}?")
        path = link.partition(">")[0].lstrip("<")
    assert len(seen) == len(set(seen))
    assert {json.loads(each.body)["id"] for each in created} < set(seen)


def test_the_client_of_this_project_goes_through(nginx: Nginx) -> None:
    with CustomerClient(f"http://127.0.0.1:{nginx.port}{PREFIX}", support.token(), ORGANIZATION) as client:
        assert client.get(CUSTOMER_ID).legalName == EXAMPLE["legalName"]
        assert CUSTOMER_ID in {each.id for each in client.search({"q": "dunder"})}


@pytest.mark.parametrize("external_id", ["a//b", "a/./b/../c", "a%2Fb", "%25", "100%3F", "a%20b+c", "%C3%B1"])
def test_an_external_id_arrives_as_it_was_written(nginx: Nginx, server: Server, external_id: str) -> None:
    path = f"/by-external-id/{external_id}"
    body = json.dumps(support.new_customer(taxId="XAXX010101000", taxSystem="616", defaultInvoiceUse="S01")).encode()
    put = nginx.request("PUT", CUSTOMERS + path, bearer() | JSON, body)
    assert put.status == 201
    assert server.get(customers_url() + path, bearer()).body == put.body


@pytest.mark.parametrize(
    "path",
    [
        "/metrics",
        "/livez",
        f"{PREFIX}/metrics",
        f"{PREFIX}/readyz",
        f"{PREFIX}/%6Detrics",
        f"{PREFIX}/organizations/../metrics",
        f"{PREFIX}//metrics",
        f"/{PREFIX}/openapi.json",
        f"{PREFIX}x/openapi.json",
        PREFIX,
        "/",
    ],
)
def test_what_is_not_for_the_outside_is_a_problem(nginx: Nginx, path: str) -> None:
    answer = nginx.request("GET", path, {"X-Request-ID": "ours"})
    assert (answer.status, answer.headers["Content-Type"]) == (404, "application/problem+json")
    body = json.loads(answer.body)
    assert (body["status"], body["requestId"]) == (404, "ours")
    assert answer.headers["X-Request-ID"] == "ours"


@pytest.mark.parametrize("base", ["", "/api"])
def test_every_documented_path_for_callers_passes(nginx: Nginx, base: str) -> None:
    documented = json.loads(nginx.request("GET", f"{PREFIX}{base}/openapi.json", {}).body)["paths"]
    assert documented.keys() > INSIDE
    for path in documented.keys() - INSIDE:
        answer = nginx.request("GET", PREFIX + base + re.sub(r"{\w+}", "x", path), {})
        assert answer.status in {401, 405}, path


def test_the_document_names_the_servers_behind_the_prefix(nginx: Nginx) -> None:
    for base in ("", "/api"):
        document = json.loads(nginx.request("GET", f"{PREFIX}{base}/openapi.json", MARKS).body)
        assert document["servers"] == [{"url": "/crm"}, {"url": "/crm/api"}]


class TestConditionalWrites:
    """A write on a state that the caller named."""

    def test_a_stale_etag_is_refused(self, nginx: Nginx) -> None:
        stale = nginx.request("PATCH", PATH, bearer() | JSON | {"If-Match": '"stale"'}, b"{}")
        assert (stale.status, json.loads(stale.body)["type"]) == (412, "urn:problem-type:version-mismatch")

    def test_a_weak_etag_never_matches(self, nginx: Nginx) -> None:
        etag = nginx.request("GET", PATH, bearer()).headers["ETag"]
        assert nginx.request("PATCH", PATH, bearer() | JSON | {"If-Match": f"W/{etag}"}, b"{}").status == 412
        assert nginx.request("PATCH", PATH, bearer() | JSON | {"If-Match": etag}, b"{}").status == 200

    def test_an_nginx_that_compresses_by_itself_would_make_it_weak(self, server: Server, tmp_path: Path) -> None:
        compressing = {"gzip off;": "gzip on; gzip_types application/json; gzip_min_length 1;"}
        with Nginx(tmp_path, [server.port], compressing) as nginx:
            found = nginx.request("GET", PATH, bearer() | {"Accept-Encoding": "gzip"})
            etag = found.headers["ETag"]
            assert etag.startswith("W/")
            assert nginx.request("GET", PATH, bearer() | {"If-None-Match": etag}).status == 304
            assert nginx.request("PATCH", PATH, bearer() | JSON | {"If-Match": etag}, b"{}").status == 412


def test_lists_are_compressed_and_a_customer_is_not(nginx: Nginx) -> None:
    for number in range(300, 304):
        create(nginx, number)
    asked = bearer() | {"Accept-Encoding": "gzip"}
    plain, packed = nginx.request("GET", CUSTOMERS, bearer()), nginx.request("GET", CUSTOMERS, asked)
    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Content-Encoding"] == "gzip"
    assert plain.headers["Vary"] == packed.headers["Vary"] == "Accept-Encoding"
    assert gzip.decompress(packed.body) == plain.body
    assert not {"Content-Encoding", "Vary"} & set(nginx.request("GET", PATH, asked).headers)


def test_a_request_has_one_id_in_both_logs_and_nothing_else_of_it(nginx: Nginx, server: Server) -> None:
    for given in ("look-for-me", 'hostile"}\\', ""):
        answer = nginx.request("GET", f"{PATH}?q=secreto", bearer() | {"X-Request-ID": given})
        known_by = answer.headers["X-Request-ID"]
        assert (known_by == given) == (given == "look-for-me")
        assert re.fullmatch("[0-9a-f]{32}|look-for-me", known_by)
        assert json.loads(nginx.line_of(known_by))["status"] == 200
        assert known_by in server.log()
    assert "secreto" not in nginx.log() + server.log()
    assert CUSTOMER_ID not in nginx.log()


class TestUntrustedClient:
    """The service ignores what the client says of itself."""

    @staticmethod
    def client_of(server: Server, answer: Answer) -> object:
        known_by = json.loads(answer.body)["requestId"]
        (line,) = (json.loads(line) for line in server.log().splitlines() if known_by in line)
        return line["client"]

    def test_its_address_is_that_of_its_connection(self, nginx: Nginx, server: Server) -> None:
        refused = nginx.request("GET", PATH, MARKS, source=ELSEWHERE)
        assert self.client_of(server, refused) == ELSEWHERE

    def test_client_headers_are_ignored_without_a_gateway(self, server: Server) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10, source_address=(ELSEWHERE, 0))
        body = json.dumps(support.new_customer()).encode()
        taken = send_request(connection, "POST", customers_url(), bearer() | MARKS | JSON, body)
        assert json.loads(taken.body)["existing"] == url(base="")
        assert self.client_of(server, send_request(connection, "GET", url(), MARKS)) == ELSEWHERE

    def test_gunicorn_trusts_no_proxy_by_default(self, server: Server) -> None:
        contradictory = {"X-Forwarded-Proto": "https", "X-Forwarded-Ssl": "off"}
        assert server.get(url(), bearer() | contradictory).status == 200


class TestStops:
    """One of two servers leaves, or renews its workers, and no client of nginx notices."""

    ASKED = (
        ("GET", PATH, None),
        ("POST", f"{CUSTOMERS}/batch-get", json.dumps({"ids": [CUSTOMER_ID]}).encode()),
    )

    def test_no_request_is_lost(
        self, mongodb_uri: str, server: Server, mongodb_of_session: Database[Document], tmp_path: Path
    ) -> None:
        with ExitStack() as stack:
            leaving = stack.enter_context(Server(mongodb_uri, mongodb_of_session.name, TRUSTED_PROXIES=TRUSTED))
            nginx = stack.enter_context(Nginx(tmp_path, [leaving.port, server.port]))
            load = stack.enter_context(Load(nginx, self.ASKED))
            leaving.signal(signal.SIGHUP)
            support.wait_until(lambda: leaving.log().count("Booting worker") >= 4, seconds=20, pause=0.05)
            support.wait_until(lambda: leaving.log().count("Worker exiting") >= 2, seconds=20, pause=0.05)
            leaving.signal(signal.SIGTERM)
            assert leaving.wait(90) == 0  # the load takes all of a small machine
            load.wait_for_answers()
            assert load.failures == []

    def test_without_any_server_the_answer_is_a_problem_to_try_again(self, tmp_path: Path) -> None:
        with Nginx(tmp_path, [1]) as nginx:
            answer = nginx.request("GET", PATH, bearer())
        assert (answer.status, answer.headers["Content-Type"]) == (502, "application/problem+json")
        assert answer.headers["Retry-After"] == "1"
        assert json.loads(answer.body)["title"] == "Bad Gateway"


class TestIdleFollowers:
    """The change feed answers late if nothing changes: that is no failure of a server."""

    PATH = f"{CUSTOMERS}/changes"
    FOLLOWERS = 4
    LATE_SECONDS = 3.0

    def test_each_consumer_gets_a_page_in_time_and_no_read_fails(
        self, mongodb_uri: str, server: Server, mongodb_of_session: Database[Document], tmp_path: Path
    ) -> None:
        with ExitStack() as stack:
            second = stack.enter_context(Server(mongodb_uri, mongodb_of_session.name, TRUSTED_PROXIES=TRUSTED))
            nginx = stack.enter_context(Nginx(tmp_path, [server.port, second.port]))
            cursor = self.end(nginx)
            with ThreadPoolExecutor(self.FOLLOWERS) as followers:
                pages = [followers.submit(self.follow, nginx, cursor) for _ in range(self.FOLLOWERS)]
                reads = self.read_until_done(nginx, pages)
        assert reads[200] > 100
        assert set(reads) == {200}
        for status, seconds in (each.result() for each in pages):
            assert status == 200
            assert seconds < MAXIMUM_WAIT_SECONDS + self.LATE_SECONDS

    def end(self, nginx: Nginx) -> str:
        """Return the cursor behind all changes."""
        page = json.loads(nginx.request("GET", self.PATH, bearer()).body)
        while page["hasMore"]:
            page = json.loads(nginx.request("GET", f"{self.PATH}?cursor={page['cursor']}", bearer()).body)
        cursor: str = page["cursor"]
        return cursor

    def follow(self, nginx: Nginx, cursor: str) -> tuple[int, float]:
        """Return the status of a page that waits for a change, and after how many seconds it came."""
        began, connection = time.monotonic(), nginx.connect(timeout=2 * MAXIMUM_WAIT_SECONDS)
        path = f"{self.PATH}?cursor={cursor}&wait={MAXIMUM_WAIT_SECONDS}"
        return send_request(connection, "GET", path, bearer()).status, time.monotonic() - began

    def read_until_done(self, nginx: Nginx, pages: Sequence[Future[tuple[int, float]]]) -> Counter[int]:
        """Read a customer twenty times a second until all pages have come; return how often each status came."""
        statuses = Counter[int]()
        while not all(each.done() for each in pages):
            statuses[nginx.request("GET", PATH, bearer()).status] += 1
            time.sleep(0.05)
        return statuses


def test_the_configurations_times_fit_the_services() -> None:
    site = CONFIGURATION.read_text()
    assert int(re.findall(r"keepalive_timeout (\d+)s;", site)[0]) < KEEPALIVE_SECONDS
    answer, page_of_changes = map(int, re.findall(r"proxy_read_timeout (\d+)s;", site))
    longest = QUEUE_SECONDS + MongoSettings("").timeout_ms / 1000
    assert answer > longest
    assert page_of_changes > MAXIMUM_WAIT_SECONDS + longest
    assert f"**{page_of_changes} seconds**" in GUIDE
    for name in ("client_header_timeout", "client_body_timeout"):
        assert int(re.findall(rf"{name} (\d+)s;", site)[0]) <= MAXIMUM_BODY_SECONDS
    assert int(re.findall(r"client_max_body_size (\d+)m;", site)[0]) * 1_000_000 > MAXIMUM_BODY_BYTES
