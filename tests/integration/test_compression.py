"""Large responses are compressed for clients that accept it; a single customer never is."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import pytest

from customer_service.web.compression import MINIMUM_BYTES
from tests.support import CUSTOMER_ID, Service, bearer, customers_url, new_customer, url

if TYPE_CHECKING:
    from flask.testing import FlaskClient
    from werkzeug.test import TestResponse


@pytest.fixture
def kind() -> str:
    """The kind of database that every test runs on: none changes the results."""
    return "mongomock"


@pytest.fixture
def list_of_five(service: Service, editor: FlaskClient) -> FlaskClient:
    """A client of an organization that has enough customers for a list to be large."""
    for number in range(5):
        assert editor.post(customers_url(), json=new_customer(taxId=f"AAA01010100{number}")).status_code == 201
    return editor


def get(client: FlaskClient, path: str, accepted: str) -> TestResponse:
    return client.get(path, headers={"Accept-Encoding": accepted})


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("gzip", "gzip"),
        ("GZIP", "gzip"),
        ("gzip, deflate, br, zstd", "gzip"),
        ("br;q=1, gzip;q=0.5", "gzip"),
        ("*", "gzip"),
        ("identity;q=0.5, *;q=0.7", "gzip"),
        ("gzip;q=0.001", "gzip"),
        ("gzip;q=0.5, identity;q=0.5", "gzip"),
        ("gzip;q=0.5, identity", None),
        ("gzip;q=0", None),
        ("*;q=0", None),
        ("gzip;q=0, *", None),
        ("gzip;q=0.0", None),
        ("gzip;q=x", None),
        ("xgzip", None),
        ("br", None),
        ("identity", None),
        ("", None),
        (",;q=,;;" * 500, None),
        ("gzip" + ",a;b=c" * 150, "gzip"),
        ("gzip" + ",a;b=c" * 170, None),  # longer than any client's, and slow to parse
    ],
)
def test_clients_that_accept_gzip_get_it(list_of_five: FlaskClient, accepted: str, coding: str | None) -> None:
    plain = list_of_five.get(customers_url())
    answer = get(list_of_five, customers_url(), accepted)
    assert answer.headers.get("Content-Encoding") == coding
    assert answer.headers["Vary"] == "Accept-Encoding"
    assert answer.headers["Content-Length"] == str(len(answer.data))
    assert (gzip.decompress(answer.data) if coding else answer.data) == plain.data
    assert coding is None or len(answer.data) * 2 < len(plain.data)


def test_batches_are_compressed_too(list_of_five: FlaskClient) -> None:
    ids = [each["id"] for each in list_of_five.get(customers_url()).get_json()["data"]]
    body = {"ids": ids}
    answer = list_of_five.post(customers_url("/batch-get"), json=body, headers={"Accept-Encoding": "gzip"})
    assert answer.headers["Content-Encoding"] == "gzip"
    upserts = {"customers": [new_customer(taxId="XAXX010101000", externalId=str(n)) for n in range(30)]}
    answer = list_of_five.post(customers_url("/batch-upsert"), json=upserts, headers={"Accept-Encoding": "gzip"})
    assert answer.headers["Content-Encoding"] == "gzip"


def test_what_fits_one_packet_is_left_as_it_is(list_of_five: FlaskClient) -> None:
    answer = get(list_of_five, customers_url("?limit=1"), "gzip")
    assert len(answer.data) < MINIMUM_BYTES
    assert "Content-Encoding" not in answer.headers
    assert answer.headers["Vary"] == "Accept-Encoding"


def test_head_says_what_get_would(list_of_five: FlaskClient) -> None:
    asked = {"Accept-Encoding": "gzip"}
    head, found = list_of_five.head(customers_url(), headers=asked), get(list_of_five, customers_url(), "gzip")
    assert head.data == b""
    for name in ("Content-Encoding", "Content-Length", "Vary"):
        assert head.headers[name] == found.headers[name]


def test_a_single_customer_is_never_compressed(service: Service, editor: FlaskClient) -> None:
    """However large it is: its ETag is that of its one representation."""
    metadata = {f"key{n}": "v" * 500 for n in range(50)}
    assert editor.patch(url(), json={"metadata": metadata}).status_code == 200
    for path in (url(), customers_url("/batch-get")):
        ask = editor.get if path == url() else editor.post
        body = None if path == url() else {"ids": [CUSTOMER_ID]}
        answer = ask(path, json=body, headers=bearer() | {"Accept-Encoding": "gzip"})
        assert ("Content-Encoding" in answer.headers) == ("Vary" in answer.headers) == (path != url())
