"""Malformed requests, and those beyond the limits of line, headers, body and depth, are refused and never echoed."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING

import pytest

from tests.support import bearer, customers_url, new_customer, url
from tests.support.raw_http import RawAnswer, send

if TYPE_CHECKING:
    from tests.support.server import Server

SECRET_WORD = "hunter2-of-the-request"
END = "\r\n\r\n"
MEMBER = f"Authorization: {bearer()['Authorization']}"
POST = f"POST {customers_url('/batch-get')} HTTP/1.1\r\nHost: x\r\n{MEMBER}\r\nContent-Type: application/json\r\n"
GET = f"GET {url()}?access_token={SECRET_WORD} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"

UNREADABLE = {
    "garbage": f"{SECRET_WORD}{END}",
    "a line of one word": f"GET/{SECRET_WORD}{END}",
    "a method of symbols": f"G{{}}T /{SECRET_WORD} HTTP/1.1{END}",
    "a method in small letters": f"get /{SECRET_WORD} HTTP/1.1{END}",
    "a version to come": f"GET /{SECRET_WORD} HTTP/9.9{END}",
    "another protocol": f"GET /{SECRET_WORD} FTP/1.1{END}",
    "HTTP/2 by prior knowledge": f"PRI * HTTP/2.0{END}SM{END}",
    "a header without a colon": f"{GET}Authorization Bearer {SECRET_WORD}{END}",
    "a space in a header's name": f"{GET}Authori zation: Bearer {SECRET_WORD}{END}",
    "a space before the colon": f"{GET}Authorization : Bearer {SECRET_WORD}{END}",
    "a header without a name": f"{GET}: Bearer {SECRET_WORD}{END}",
    "a folded header": f"{GET}Authorization: Bearer\r\n {SECRET_WORD}{END}",
    "a NUL in a header": f"{GET}Authorization: Bearer {SECRET_WORD}\0{END}",
    "a bare CR in a header": f"{GET}Authorization: Bearer {SECRET_WORD}\rX: y{END}",
    "two lengths": f"{POST}Content-Length: 2\r\nContent-Length: 3{END}{SECRET_WORD}",
    "a negative length": f"{POST}Content-Length: -1{END}{SECRET_WORD}",
    "a length with a sign": f"{POST}Content-Length: +2{END}{SECRET_WORD}",
    "a length with an underscore": f"{POST}Content-Length: 1_0{END}{SECRET_WORD}",
    "a length and chunks": f"{POST}Content-Length: 2\r\nTransfer-Encoding: chunked{END}2\r\n{{}}\r\n0{END}",
    "chunks of an old protocol": f"{POST.replace('HTTP/1.1', 'HTTP/1.0')}Transfer-Encoding: chunked{END}0{END}",
    "chunked twice": f"{POST}Transfer-Encoding: chunked, chunked{END}0{END}",
    "a chunk of no size": f"{POST}Transfer-Encoding: chunked{END}{SECRET_WORD}\r\n",
    "a chunk of negative size": f"{POST}Transfer-Encoding: chunked{END}-2\r\n{{}}\r\n0{END}",
    "a chunk that ends elsewhere": f"{POST}Transfer-Encoding: chunked{END}2\r\n{SECRET_WORD}\r\n0{END}",
}
OTHER_REFUSALS = {
    "a long line": (f"GET {url()}?access_token={SECRET_WORD}{'a' * 8190} HTTP/1.1{END}", 414, "uri-too-long"),
    "a long header": (
        f"{GET}Authorization: Bearer {SECRET_WORD}{'a' * 8190}{END}",
        431,
        "request-header-fields-too-large",
    ),
    "101 headers": (
        f"{GET}X-Token: {SECRET_WORD}\r\n" + "X: y\r\n" * 98 + "\r\n",
        431,
        "request-header-fields-too-large",
    ),
    "a long head": (
        f"{GET}X-Token: {SECRET_WORD}\r\n" + f"X: {'y' * 1000}\r\n" * 90 + "\r\n",
        431,
        "request-header-fields-too-large",
    ),
    "an expectation": (f"{GET}Expect: {SECRET_WORD}{END}", 417, "expectation-failed"),
    "a transfer coding": (f"{POST}Transfer-Encoding: {SECRET_WORD}{END}", 501, "not-implemented"),
}


def assert_refused(server: Server, answer: RawAnswer, status: int, slug: str) -> None:
    assert (answer.status, answer.problem["type"]) == (status, f"urn:problem-type:{slug}")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert SECRET_WORD not in answer.body.decode()
    log = server.log()
    assert SECRET_WORD not in log
    (line,) = (json.loads(line) for line in log.splitlines() if answer.problem["requestId"] in line)
    assert (line["event"], line["status"]) == ("request", status)
    assert line["error"]


@pytest.mark.parametrize("text", UNREADABLE.values(), ids=UNREADABLE)
def test_an_unreadable_request_is_refused(server: Server, text: str) -> None:
    assert_refused(server, send(server, text.encode()), 400, "bad-request")


@pytest.mark.parametrize(("text", "status", "slug"), OTHER_REFUSALS.values(), ids=OTHER_REFUSALS)
def test_a_request_beyond_a_limit_is_refused(server: Server, text: str, status: int, slug: str) -> None:
    assert_refused(server, send(server, text.encode()), status, slug)


@pytest.mark.parametrize(
    "text", [SECRET_WORD, GET, f"{POST}Content-Length: 99{END}{SECRET_WORD}"], ids=["line", "head", "body"]
)
def test_a_request_that_breaks_off_is_not_echoed(server: Server, text: str) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(text.encode())
        connection.shutdown(socket.SHUT_WR)
        assert SECRET_WORD.encode() not in connection.recv(65_536)
    assert SECRET_WORD not in server.log()


@pytest.mark.parametrize(
    "header",
    [
        "X: y\r\n" * 96,
        f"X: {'y' * 8000}\r\n",
        "X-Forwarded-For: 1.2.3.4\r\n",
        "Script_Name: /api\r\n",
        "Path_Info: /x\r\n",
    ],
    ids=["99 headers", "8,000 bytes", "another address", "another prefix", "another path"],
)
def test_a_request_within_the_limits_is_answered(server: Server, header: str) -> None:
    answer = send(server, f"{GET.replace(SECRET_WORD, '')}{MEMBER}\r\n{header}\r\n".encode())
    assert answer.status == 200


class TestBodies:
    """The limits of a body: 1,000,000 bytes and 1,024 levels."""

    @staticmethod
    def post(server: Server, body: bytes) -> RawAnswer:
        return send(server, f"{POST}Connection: close\r\nContent-Length: {len(body)}{END}".encode(), body)

    def test_a_million_bytes_are_read(self, server: Server) -> None:
        assert self.post(server, b'{"ids": []}'.ljust(1_000_000)).status == 200

    def test_a_body_of_one_byte_more_is_refused(self, server: Server) -> None:
        answer = self.post(server, b'{"ids": []}'.ljust(1_000_001))
        assert (answer.status, answer.problem["type"]) == (413, "urn:problem-type:request-entity-too-large")

    def test_a_chunked_body_of_one_byte_more_is_refused(self, server: Server) -> None:
        valid, space = b"b\r\n" + b'{"ids": []}' + b"\r\n", b"fff0\r\n" + b" " * 0xFFF0 + b"\r\n"
        answer = send(server, f"{POST}Transfer-Encoding: chunked{END}".encode(), valid, space * 16, b"0\r\n\r\n")
        assert (answer.status, answer.problem["type"]) == (413, "urn:problem-type:request-entity-too-large")

    @pytest.mark.parametrize(("levels", "status"), [(1_024, 422), (1_025, 400), (100_000, 400)])
    def test_json_is_read_to_a_depth(self, server: Server, levels: int, status: int) -> None:
        assert self.post(server, b"[" * levels + b"]" * levels).problem["status"] == status


class TestHeaders:
    """The headers of every response, from the service or from gunicorn."""

    @pytest.mark.parametrize(
        "path", ["/livez", "/readyz", "/openapi.json", "/nowhere", "/api/livez", url(), customers_url()]
    )
    def test_every_response_has_the_security_headers(self, server: Server, path: str) -> None:
        for headers in ({}, bearer(), bearer("a stranger")):
            answer = server.get(path, headers)
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Cache-Control"] in {"no-store", "private, no-cache"}
            assert answer.headers["Server"] == "gunicorn"
            assert not [name for name in answer.headers if name.startswith(("X-Powered", "Access-Control"))]

    def test_a_customer_is_kept_by_no_shared_cache(self, server: Server) -> None:
        assert server.get(url(), bearer()).headers["Cache-Control"] == "private, no-cache"

    def test_nothing_is_sent_twice(self, server: Server) -> None:
        connection = server.connect()
        connection.request("GET", url(), headers=bearer())
        response = connection.getresponse()
        names = [name.lower() for name, _ in response.getheaders()]
        assert len(names) == len(set(names))
        connection.close()

    def test_the_service_goes_on(self, server: Server) -> None:
        answer = server.request("POST", customers_url(), bearer(), json.dumps(new_customer()).encode())
        assert answer.status == 403
