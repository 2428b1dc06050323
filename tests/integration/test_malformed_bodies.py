"""Malformed bodies are refused by every operation that reads a body, and never answered 5xx.

A real mongod alone is behind it: none of this gets so far as to be stored, and what did would fail there.
"""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING

import pytest

from customer_service.web import requests
from tests.support import Service, customers_url, new_customer, problem, stored, url

if TYPE_CHECKING:
    from flask.testing import FlaskClient

OPERATIONS = {
    "create": ("POST", customers_url()),
    "update": ("PATCH", url()),
    "put": ("PUT", customers_url("/by-external-id/crm-1")),
    "batch-get": ("POST", customers_url("/batch-get")),
    "batch-upsert": ("POST", customers_url("/batch-upsert")),
    "judge": ("POST", customers_url("/tax-info-validation")),
    "members": ("PUT", customers_url().replace("/customers", "/members/new")),
}
UNREADABLE = {
    "empty": b"",
    "space": b" ",
    "text": b"legalName=x",
    "cut": b'{"legalName": "x"',
    "brackets": b"[" * 100_000,
    "closed-brackets": b"[" * 100_000 + b"]" * 100_000,
    "braces": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "nan": b'{"legalName": NaN}',
    "infinity": b'{"legalName": -Infinity}',
    "surrogate": b'{"legalName": "\\ud800"}',
    "surrogate-key": b'{"\\udfff": 1}',
    "latin-1": '{"legalName": "Peña"}'.encode("latin-1"),
    "utf-16": '{"legalName": "x"}'.encode("utf-16"),
    "encoded-surrogate": b'{"legalName": "\xed\xa0\x80"}',
    "marks": b'\xef\xbb\xbf\xef\xbb\xbf{"legalName": "x"}',
    "nul": b'{"legalName": "x"}\x00',
    "two": b"{}{}",
    "comment": b"{} // x",
}
REFUSED = {
    "integer": b'{"legalName": 9223372036854775808}',
    "large-integer": b'{"legalName": ' + b"9" * 300 + b"}",
    "float": b'{"legalName": 1e308}',
    "nested": b'{"metadata": ' + b'{"a":' * 1000 + b"1" + b"}" * 1001,
    "nested-address": b'{"address": ' + b'{"address":' * 1000 + b"1" + b"}" * 1001,
    "nested-list": b'{"legalName": ' + b"[" * 1000 + b"]" * 1000 + b"}",
    "array": b"[]",
    "null": b"null",
    "string": b'"x"',
    "many-fields": b"{" + b",".join(b'"%d":1' % number for number in range(50_000)) + b"}",
    "long": b'{"legalName": "' + b"x" * 900_000 + b'", "email": "' + b"a@" * 10_000 + b'"}',
}


@pytest.fixture
def kind() -> str:
    """The kind of database that every test runs on."""
    return "mongod"


@pytest.fixture(params=OPERATIONS)
def operation(request: pytest.FixtureRequest) -> tuple[str, str]:
    """The method and the path of an operation that reads a body."""
    return OPERATIONS[request.param]


@pytest.mark.parametrize("body", UNREADABLE.values(), ids=UNREADABLE)
def test_unreadable(service: Service, admin: FlaskClient, operation: tuple[str, str], body: bytes) -> None:
    before = stored(service)
    method, path = operation
    response = admin.open(path, method=method, data=body, content_type="application/json")
    assert (response.status_code, response.content_type) == (400, "application/problem+json")
    assert stored(service) == before


@pytest.mark.parametrize("body", REFUSED.values(), ids=REFUSED)
def test_refused(service: Service, admin: FlaskClient, operation: tuple[str, str], body: bytes) -> None:
    before = stored(service)
    method, path = operation
    response = admin.open(path, method=method, data=body, content_type="application/json")
    if path.endswith("/tax-info-validation"):
        assert response.status_code == 200
        assert response.get_json()["isValid"] is False
    else:
        assert (response.status_code, response.content_type) == (422, "application/problem+json")
    assert stored(service) == before


@pytest.mark.parametrize(
    "media_type", ["text/plain", "text/json", "application/xml", "multipart/form-data", "", "\xff"]
)
def test_another_type(service: Service, admin: FlaskClient, operation: tuple[str, str], media_type: str) -> None:
    before = stored(service)
    method, path = operation
    response = admin.open(path, method=method, data=b"x" * 20_000_000, content_type=media_type)
    assert (response.status_code, response.content_type) == (415, "application/problem+json")
    assert stored(service) == before


def test_20_megabytes(service: Service, admin: FlaskClient, operation: tuple[str, str]) -> None:
    before = stored(service)
    method, path = operation
    response = admin.open(path, method=method, data=b"[" * 20_000_000, content_type="application/json")
    assert (response.status_code, response.content_type) == (413, "application/problem+json")
    assert stored(service) == before


REPEATED = {
    "first": (b'{"taxId": "1", "taxId": "2"}', "taxId"),
    "escaped": (b'{"taxId": "1", "tax\\u0049d": "2"}', "taxId"),
    "alike": (b'{"taxId": "1", "taxId": "1"}', "taxId"),
    "inner": (b'{"address": {"zip": "1", "city": "a:b", "zip": "2"}}', "zip"),
    "in-a-list": (b'{"customers": [{}, {"a": 1, "b": [{"c": 1, "c": 2}]}]}', "c"),
    "empty": (b'{"": 1, "": 2}', ""),
    "quoted": (b'{"\\"": 1, "\\"": 2}', '\\"'),
    "object": (b'{"address": {"zip": "1"}, "address": {}}', "address"),
    "after-numbers": (b'{"a": ' + b"9" * 300 + b', "b": 1e5, "b": 1}', "b"),
    "long": (b'{"' + b"x" * 300 + b'": 1, "' + b"x" * 300 + b'": 2}', "x" * 200),
}


@pytest.mark.parametrize(("body", "name"), REPEATED.values(), ids=REPEATED)
def test_a_repeated_member_is_named(
    service: Service, admin: FlaskClient, operation: tuple[str, str], body: bytes, name: str
) -> None:
    before = stored(service)
    method, path = operation
    response = admin.open(path, method=method, data=body, content_type="application/json")
    detail = problem(response, 400, "bad-request")["detail"]
    assert detail == f'Give each member once: "{name}" is repeated.'
    assert stored(service) == before


@pytest.mark.parametrize("text", ["a:b", "::::", '":"', '{"a": 1, "a": 2}', '\\":'])
def test_colons_in_a_text_repeat_nothing(admin: FlaskClient, text: str) -> None:
    body = new_customer(taxId="ABC101010111", metadata={"a:b": text, "c": text})
    created = admin.post(customers_url(), json=body)
    assert created.status_code == 201
    assert created.get_json()["metadata"] == {"a:b": text, "c": text}


def test_too_deep_to_be_looked_through(admin: FlaskClient) -> None:
    """Beyond what the standard library parses, which sees no member twice there."""
    body = b'{"a:": ' + b"[" * 1000 + b"]" * 1000 + b"}"
    response = admin.post(customers_url(), data=body, content_type="application/json")
    assert problem(response, 400, "bad-request")["detail"] == requests.NOT_JSON


def test_a_byte_order_mark_is_no_part_of_the_body(admin: FlaskClient) -> None:
    data = b"\xef\xbb\xbf" + json.dumps(new_customer(taxId="ABC101010111")).encode()
    assert admin.post(customers_url(), data=data, content_type="application/json").status_code == 201


@pytest.mark.parametrize("encoding", ["latin-1", "windows-1252"])
def test_latin_1_is_recognized(service: Service, admin: FlaskClient, operation: tuple[str, str], encoding: str) -> None:
    before = stored(service)
    method, path = operation
    body = json.dumps({"legalName": "Peña"}, ensure_ascii=False).encode(encoding)
    response = admin.open(path, method=method, data=body, content_type="application/json")
    assert "looks like Latin-1" in problem(response, 400, "bad-request")["detail"]
    assert stored(service) == before


@pytest.mark.parametrize("name", ["cut", "utf-16", "surrogate", "nan"])
def test_what_is_otherwise_broken_is_not_taken_for_latin_1(admin: FlaskClient, name: str) -> None:
    response = admin.post(customers_url(), data=UNREADABLE[name], content_type="application/json")
    assert problem(response, 400, "bad-request")["detail"] == requests.NOT_JSON


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "x", "gzip, identity", "identity, gzip", "aws-chunked"])
def test_a_content_encoding(service: Service, admin: FlaskClient, operation: tuple[str, str], encoding: str) -> None:
    before = stored(service)
    method, path = operation
    headers = {"Content-Encoding": encoding, "Content-Type": "application/json"}
    response = admin.open(path, method=method, data=gzip.compress(b"{}"), headers=headers)
    assert "Content-Encoding" in problem(response, 415, "unsupported-media-type")["detail"]
    assert stored(service) == before


@pytest.mark.parametrize("encoding", ["identity", "Identity", ""])
def test_no_content_encoding(admin: FlaskClient, encoding: str) -> None:
    response = admin.post(
        customers_url(), json=new_customer(taxId="ABC101010111"), headers={"Content-Encoding": encoding}
    )
    assert response.status_code == 201
