"""The response to a request that is wrong in very many places has at most 65,536 bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import mongomock
import orjson
import pytest

from customer_service.errors.findings import MAXIMUM_FINDINGS, MAXIMUM_FINDINGS_BYTES, Finding, serialize_findings
from tests.support import Service, caller, customers_url, findings, new_customer, serve, stored, url

if TYPE_CHECKING:
    from flask.testing import FlaskClient

MAXIMUM_BODY = 65_536
LONG = "\\u0001" * 600 + '\\"' * 600 + "😀" * 600
"""A name that is longer in JSON than in characters."""


def wrong_fields(count: int, name: str = "") -> bytes:
    """Return so many members that no object has, as they stand between braces."""
    return b",".join(f'"{name}{number}":1'.encode() for number in range(count))


WHOLE = orjson.dumps(new_customer())
TOO_WRONG = {
    "ids": ("POST", customers_url("/batch-get"), b'{"ids":[' + b"1," * 490_000 + b"1]}"),
    "ids-fields": ("POST", customers_url("/batch-get"), b'{"ids":[],' + wrong_fields(70_000) + b"}"),
    "batch": ("POST", customers_url("/batch-upsert"), b'{"customers":[' + b"1," * 490_000 + b"1]}"),
    "batch-items": (
        "POST",
        customers_url("/batch-upsert"),
        b'{"customers":[' + b",".join([b"{" + wrong_fields(80, LONG) + b"}"] + [b"{}"] * 99) + b"]}",
    ),
    "batch-each": (
        "POST",
        customers_url("/batch-upsert"),
        b'{"customers":[' + b",".join([b"{" + wrong_fields(900) + b"}"] * 100) + b"]}",
    ),
    "customer": ("POST", customers_url(), b"{" + wrong_fields(80_000) + b"}"),
    "names": ("POST", customers_url(), b"{" + wrong_fields(90, LONG) + b"}"),
    "address": ("POST", customers_url(), WHOLE[:-2] + b"," + wrong_fields(80_000) + b"}}"),
    "metadata": ("PATCH", url(), b'{"metadata":{' + wrong_fields(50, LONG) + b"}}"),
    "patch": ("PATCH", url(), b'{"address":{' + wrong_fields(80_000) + b"}}"),
    "put": ("PUT", customers_url("/by-external-id/crm-1"), b"{" + wrong_fields(80_000) + b"}"),
    "judge": ("POST", customers_url("/tax-info-validation"), b"{" + wrong_fields(80_000) + b"}"),
    "members": ("PUT", customers_url().replace("/customers", "/members/new"), b"{" + wrong_fields(80_000) + b"}"),
    "query": ("GET", customers_url() + "?" + "&".join(f"{number}=" for number in range(1500)), b""),
}


@pytest.fixture
def service() -> Service:
    return serve(mongomock.MongoClient().customer_service)


@pytest.fixture
def admin(service: Service) -> FlaskClient:
    return caller(service, "admin")


@pytest.mark.parametrize(("method", "path", "body"), TOO_WRONG.values(), ids=TOO_WRONG)
def test_no_answer_is_longer(service: Service, admin: FlaskClient, method: str, path: str, body: bytes) -> None:
    assert len(body) < 1_000_000
    before = stored(service)
    response = admin.open(path, method=method, data=body, content_type="application/json")
    assert response.status_code in {200, 422}
    assert b'"more-findings"' in response.data or b'"too-many"' in response.data
    assert len(response.data) <= MAXIMUM_BODY
    assert stored(service) == before


class TestLength:
    """A list that is too long is one finding, with any elements."""

    @pytest.mark.parametrize(("path", "name"), [("/batch-get", "ids"), ("/batch-upsert", "customers")])
    def test_before_the_elements(self, admin: FlaskClient, path: str, name: str) -> None:
        for element in (1, None, "x"):
            response = admin.post(customers_url(path), json={name: [element] * 101})
            assert findings(response) == [(f"/{name}", "too-many")]

    def test_the_elements_of_a_short_one(self, admin: FlaskClient) -> None:
        response = admin.post(customers_url("/batch-get"), json={"ids": ["x", 1, None]})
        assert findings(response) == [("/ids/1", "invalid-type"), ("/ids/2", "required")]

    @pytest.mark.parametrize("value", [1, "x" * 200, {"0": 1}])
    def test_a_body_that_is_no_list_has_one_finding(self, admin: FlaskClient, value: object) -> None:
        assert findings(admin.post(customers_url("/batch-get"), json={"ids": value})) == [("/ids", "invalid-type")]


class TestTheRestIsCounted:
    @pytest.mark.parametrize("count", [1, 99, 100])
    def test_up_to_a_hundred_are_all_there(self, admin: FlaskClient, count: int) -> None:
        body = new_customer() | {str(number): 1 for number in range(count)}
        found = findings(admin.post(customers_url(), json=body))
        assert set(found) == {(f"/{number}", "unknown-field") for number in range(count)}
        assert len(found) == count

    @pytest.mark.parametrize("count", [101, 5_000])
    def test_findings_after_99_are_counted(self, admin: FlaskClient, count: int) -> None:
        body = new_customer() | {str(number): 1 for number in range(count)}
        response = admin.post(customers_url(), json=body)
        *first, last = response.get_json()["errors"]
        assert len({each["path"] for each in first}) == 99
        assert (last["path"], last["code"]) == ("", "more-findings")
        assert last["message"].startswith(f"{count - 99:,} more ")

    def test_a_tax_info_validation_is_bounded(self, admin: FlaskClient) -> None:
        body = new_customer() | {str(number): 1 for number in range(200)}
        judgement = admin.post(customers_url("/tax-info-validation"), json=body).get_json()
        assert judgement["isValid"] is False
        assert len(judgement["errors"]) == MAXIMUM_FINDINGS
        assert judgement["errors"][-1]["message"].startswith("101 more ")

    def test_the_findings_of_a_batch_are_bounded_together(self, admin: FlaskClient) -> None:
        """One that is refused alone has all its findings, many share what there is."""
        wrong = {str(number): 1 for number in range(90)}
        alone = admin.post(customers_url("/batch-upsert"), json={"customers": [wrong]}).get_json()["results"]
        assert len(alone[0]["problem"]["errors"]) == 90 + 6 + 1
        together = admin.post(customers_url("/batch-upsert"), json={"customers": [wrong] * 100}).get_json()["results"]
        for each in together:
            *first, last = each["problem"]["errors"]
            assert first
            assert last["message"].startswith(f"{97 - len(first)} more ")


def serialized(found: list[Finding], maximum: int = MAXIMUM_FINDINGS_BYTES) -> list[dict[str, Any]]:
    answer = serialize_findings(found, maximum)
    assert len(orjson.dumps(answer)) <= maximum
    return list(answer)


def test_a_long_path_is_cut() -> None:
    longest = "/" + "x" * 199
    paths = [each["path"] for each in serialized([Finding(path, "a", "b") for path in (longest, longest + "y")])]
    assert paths == [longest, longest[:199] + "…"]


@pytest.mark.parametrize("text", ["\x01", '"', "😀", "x"])
def test_their_bytes_count_and_not_their_number(text: str) -> None:
    found = [Finding("/" + text * 500, "unknown-field", text * 500) for _ in range(100)]
    *first, last = serialized(found)
    assert last["code"] == "more-findings"
    assert last["message"].startswith(f"{100 - len(first)} more ")
    assert len(first) >= 10


def test_findings_that_do_not_fit_are_counted() -> None:
    found = [Finding("/x", "a", "b" * 500)] * 3
    assert [each["message"].split(" ")[0] for each in serialized(found, 200)] == ["3"]


def test_a_suggestion_is_there_only_if_there_is_one() -> None:
    bare, suggesting = serialized([Finding("/x", "a", "b"), Finding("/x", "a", "b", "c")])
    assert bare == {"path": "/x", "code": "a", "message": "b"}
    assert suggesting == bare | {"suggestion": "c"}
