"""The read of a customer through gunicorn: real sockets, tokens and mongod, with two workers."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING

import pytest

from tests.support import CUSTOMER_ID, EXAMPLE, OTHER_ORGANIZATION, SECRET, bearer, customers_url, url
from tests.support.server import Server, TracedServer, gunicorn_with

if TYPE_CHECKING:
    from pathlib import Path

    from pymongo.database import Database

    from customer_service.repository.database import Document

JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def server_class() -> type[Server]:
    """What only a gunicorn worker runs is traced here."""
    return TracedServer


def test_the_documented_statuses_on_both_base_paths(server: Server) -> None:
    for base in ("", "/api"):
        found = server.get(url(base=base), bearer())
        assert (found.status, json.loads(found.body)) == (200, EXAMPLE)
        assert server.get(url(base=base)).status == 401
        assert server.get(url(OTHER_ORGANIZATION, base=base), bearer()).status == 403
        assert server.get(url(customer="x", base=base), bearer()).status == 404


def test_a_connection_serves_many_requests(server: Server) -> None:
    connection = server.connect()
    for _ in range(50):
        connection.request("GET", url(), headers=bearer())
        response = connection.getresponse()
        assert (response.status, json.loads(response.read())) == (200, EXAMPLE)
        assert connection.sock is not None
    connection.close()


def test_head_and_not_modified_have_no_body(server: Server) -> None:
    connection = server.connect()
    connection.request("HEAD", url(), headers=bearer())
    head = connection.getresponse()
    assert (head.status, head.read()) == (200, b"")
    connection.request("GET", url(), headers=bearer() | {"If-None-Match": head.headers["ETag"]})
    unchanged = connection.getresponse()
    assert (unchanged.status, unchanged.read()) == (304, b"")
    connection.request("GET", url(), headers=bearer())
    assert json.loads(connection.getresponse().read()) == EXAMPLE
    connection.close()


def test_a_body_that_is_read_leaves_the_connection_open(server: Server) -> None:
    connection = server.connect()
    for _ in range(2):
        body = json.dumps({"ids": [CUSTOMER_ID]})
        connection.request("POST", customers_url("/batch-get"), body, bearer() | JSON)
        response = connection.getresponse()
        assert (response.status, json.loads(response.read())["data"]) == (200, [EXAMPLE])
        assert connection.sock is not None
    connection.close()


def test_a_body_that_is_not_read_closes_the_connection(server: Server) -> None:
    answer = server.request("GET", url(), bearer(), b"x")
    assert (answer.status, json.loads(answer.body)) == (200, EXAMPLE)
    assert answer.headers["Connection"] == "close"


def test_a_body_of_broken_chunks_is_a_400(server: Server) -> None:
    chunked = bearer() | JSON | {"Transfer-Encoding": "chunked"}
    answer = server.request("POST", customers_url("/batch-get"), chunked, b"no size\r\n{}\r\n0\r\n\r\n")
    assert (answer.status, json.loads(answer.body)["type"]) == (400, "urn:problem-type:bad-request")


@pytest.mark.timed
def test_the_probes_answer_200(server: Server) -> None:
    assert server.get("/livez").status == 200
    ready = server.get("/readyz")
    assert ready.status == 200
    assert json.loads(ready.body)["checks"] == {
        "server": "ok",
        "mongodb": "ok",
        "rights": "ok",
        "indexes": "ok",
        "signingKeys": "ok",
    }


@pytest.mark.parametrize(
    ("request_line", "headers", "statuses"),
    [
        (f"GET {url(customer='a' * 10_000)} HTTP/1.1", "", {"414"}),
        (f"GET {url()} HTTP/1.1", "Authorization: Bearer " + "a" * 1_000_000, {"400", "431"}),
        (f"GET {url()} HTTP/1.1", "X-Filler: a\r\n" * 2000, {"400", "431"}),
        ("GET //evil.example/livez HTTP/1.1", "", {"404"}),
        (f"GET {url(customer='%00')} HTTP/1.1", bearer()["Authorization"].join(["Authorization: ", ""]), {"404"}),
        (f"GET {url()} HTTP/1.1", "Authorization: Bearer a\x00b", {"400", "401"}),
        (f"GET {url()} HTTP/1.1", "Authorization: Bearer é", {"400", "401"}),
        (f"GET {url()} HTTP/9.9", "", {"400", "505"}),
        ("GARBAGE", "", {"400"}),
    ],
    ids=[
        "long-id",
        "long-token",
        "many-headers",
        "two-slashes",
        "nul-id",
        "nul-token",
        "latin-1",
        "version",
        "garbage",
    ],
)
def test_hostile_bytes_are_refused(server: Server, request_line: str, headers: str, statuses: set[str]) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        head = f"{request_line}\r\nHost: x\r\nConnection: close\r\n{headers.rstrip()}\r\n\r\n".encode("latin-1")
        try:
            connection.sendall(head)
            answer = connection.recv(65_536).decode("latin-1")
        except ConnectionError:  # it stopped reading a request that it refused
            return
    assert answer.split(" ")[1] in statuses


def test_gevent_patches_before_anything_keeps_what_it_patches(server: Server) -> None:
    assert "MonkeyPatchWarning" not in server.log()


FREEZE_COUNT = """
import gc

def post_worker_init(worker):
    print("frozen:", gc.get_freeze_count(), flush=True)
"""


def test_a_worker_never_examines_what_the_master_imported(
    mongodb_uri: str, mongodb_of_session: Database[Document], tmp_path: Path
) -> None:
    command = gunicorn_with(FREEZE_COUNT, tmp_path)
    with Server(mongodb_uri, mongodb_of_session.name, command=command) as server:
        counts = [int(line.split()[1]) for line in server.log().splitlines() if line.startswith("frozen:")]
    assert min(counts) > 10_000


def test_the_log_is_json_and_keeps_secrets(server: Server) -> None:
    token = bearer()
    server.get(url(), token | {"X-Request-ID": "look-for-me"})
    log = server.log()
    lines = [json.loads(line) for line in log.splitlines()]
    assert [line["status"] for line in lines if line.get("requestId") == "look-for-me"] == [200]
    for secret in (token["Authorization"].split(".")[2], SECRET, EXAMPLE["email"], EXAMPLE["taxId"], "Dunder"):
        assert str(secret) not in log
