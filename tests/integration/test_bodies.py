"""What no client of good will sends: refused by every operation that reads a body, and never a 5xx.

A real mongod alone is behind it: none of this gets so far as to be stored, and what did would fail there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support import Service, customers_url, new_customer, stored, url

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
    "mark": b'\xef\xbb\xbf{"legalName": "x"}',
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
    "repeated-key": b'{"legalName": "x", "legalName": {"$gt": ""}}',
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


def test_of_a_repeated_key_the_last_counts(admin: FlaskClient) -> None:
    body = b'{"legalName": {"$gt": ""}, ' + admin.application.json.dumps(new_customer()).encode()[1:]
    response = admin.post(customers_url(), data=body, content_type="application/json")
    assert response.status_code == 201
    assert response.get_json()["legalName"] == "Dunder Mifflin"
