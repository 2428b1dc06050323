"""GET of a customer: each caller gets the response that the specification states, word for word."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from bson import ObjectId

from tests.support import (
    CUSTOMER_ID,
    EXAMPLE,
    MISSING_CUSTOMER_ID,
    ORGANIZATION,
    OTHER_CUSTOMER_ID,
    OTHER_ORGANIZATION,
    STRANGER,
    Service,
    bearer,
    url,
)

if TYPE_CHECKING:
    from werkzeug.test import TestResponse

BASES = ("", "/api")
CALLERS = {
    "no-token": {},
    "bad-token": {"Authorization": "Bearer not.a.token"},
    "non-member": bearer(STRANGER),
    "member": bearer(),
}
CUSTOMERS = {
    "own": CUSTOMER_ID,
    "foreign": OTHER_CUSTOMER_ID,
    "missing": MISSING_CUSTOMER_ID,
    "malformed": "not-an-object-id",
}
ORGANIZATIONS = {"own": ORGANIZATION, "foreign": OTHER_ORGANIZATION, "unknown": "no-such-organization"}
DETAILS = {
    401: "Authentication required.",
    403: "User is not a member of this organization.",
    404: "Customer not found.",
}
TITLES = {401: "Unauthorized", 403: "Forbidden", 404: "Not Found"}


def expected_status(caller: str, organization: str, customer: str) -> int:
    if caller in {"no-token", "bad-token"}:
        return 401
    if caller == "non-member" or organization != "own":
        return 403
    return 200 if customer == "own" else 404


class TestOrder:
    """401 comes before 403, and 403 before 404."""

    @pytest.mark.parametrize("base", BASES)
    @pytest.mark.parametrize(
        ("caller", "organization", "customer"), list(itertools.product(CALLERS, ORGANIZATIONS, CUSTOMERS))
    )
    def test_each_caller_gets_its_status(
        self, service: Service, base: str, caller: str, organization: str, customer: str
    ) -> None:
        path = url(ORGANIZATIONS[organization], CUSTOMERS[customer], base)
        response = service.client.get(path, headers=CALLERS[caller])
        status = expected_status(caller, organization, customer)
        assert response.status_code == status
        if status != 200:
            assert response.content_type == "application/problem+json"
            assert response.json is not None
            assert response.json["status"] == status
            assert response.json["title"] == TITLES[status]
            assert response.json["detail"] == DETAILS[status]

    def test_a_401_has_a_challenge(self, service: Service) -> None:
        challenges = {
            caller: service.client.get(url(), headers=CALLERS[caller]).headers.get("WWW-Authenticate")
            for caller in CALLERS
        }
        assert challenges == {
            "no-token": "Bearer",
            "bad-token": 'Bearer error="invalid_token"',
            "non-member": None,
            "member": None,
        }

    def test_a_stranger_learns_nothing(self, service: Service) -> None:
        answers = {
            self._without_ids(service.client.get(url(organization, customer), headers=bearer(STRANGER)))
            for organization, customer in itertools.product(ORGANIZATIONS.values(), CUSTOMERS.values())
        }
        assert len(answers) == 1

    @staticmethod
    def _without_ids(response: TestResponse) -> tuple[Any, ...]:
        assert response.json is not None
        body = {name: value for name, value in response.json.items() if name != "requestId"}
        volatile = {"X-Request-ID", "traceparent"}
        headers = [item for item in response.headers.items() if item[0] not in volatile]
        return response.status, tuple(body.items()), tuple(headers)

    @pytest.mark.parametrize("role", ["viewer", "editor", "admin"])
    def test_every_role_reads(self, service: Service, role: str) -> None:
        service.database.memberships.update_one({"organizationId": ORGANIZATION}, {"$set": {"role": role}})
        assert service.client.get(url(), headers=bearer()).status_code == 200

    @pytest.mark.parametrize("role", ["owner", "", None, 1, ["admin"], {"$gt": ""}])
    def test_an_unknown_role_is_no_membership(self, service: Service, role: object) -> None:
        service.database.memberships.update_one({"organizationId": ORGANIZATION}, {"$set": {"role": role}})
        assert service.client.get(url(), headers=bearer()).status_code == 403

    def test_a_membership_ends_at_once(self, service: Service) -> None:
        assert service.client.get(url(), headers=bearer()).status_code == 200
        service.database.memberships.delete_many({})
        assert service.client.get(url(), headers=bearer()).status_code == 403


class TestBody:
    """Exactly the keys and types of the page."""

    @pytest.mark.parametrize("base", BASES)
    def test_the_example(self, service: Service, base: str) -> None:
        response = service.client.get(url(base=base), headers=bearer())
        assert response.content_type == "application/json"
        assert response.headers["Cache-Control"] == "private, no-cache"
        assert response.json == EXAMPLE

    def test_every_key_is_present_if_the_document_lacks_optional_fields(self, service: Service) -> None:
        unset = {"phone": "", "version": "", "address.interior": "", "address.street": ""}
        service.database.customers.update_one({"_id": ObjectId(CUSTOMER_ID)}, {"$unset": unset})
        response = service.client.get(url(), headers=bearer())
        address = EXAMPLE["address"] | {"street": None}  # type: ignore[operator]
        assert response.json == EXAMPLE | {"phone": None, "address": address}

    def test_fields_of_other_programs_stay_inside(self, service: Service) -> None:
        change = {"internalNote": "x", "passwordHash": "y", "address.geo": [1, 2]}
        service.database.customers.update_one({"_id": ObjectId(CUSTOMER_ID)}, {"$set": change})
        assert service.client.get(url(), headers=bearer()).json == EXAMPLE

    def test_text_is_returned_as_it_is_stored(self, service: Service) -> None:
        name = "Peña & Ñandú <b>\"'\\ \u2028 🦙"
        service.database.customers.update_one({"_id": ObjectId(CUSTOMER_ID)}, {"$set": {"legalName": name}})
        response = service.client.get(url(), headers=bearer())
        assert response.json == EXAMPLE | {"legalName": name}

    @pytest.mark.parametrize(
        ("moment", "text"),
        [
            (datetime(2023, 11, 7, 5, 31, 56, tzinfo=UTC), "2023-11-07T05:31:56Z"),
            (datetime(2023, 11, 7, 5, 31, 56, 120_000, tzinfo=UTC), "2023-11-07T05:31:56.120Z"),
            (datetime(1, 1, 1, tzinfo=UTC), "0001-01-01T00:00:00Z"),
        ],
    )
    def test_times(self, service: Service, moment: datetime, text: str) -> None:
        service.database.customers.update_one({"_id": ObjectId(CUSTOMER_ID)}, {"$set": {"createdAt": moment}})
        response = service.client.get(url(), headers=bearer())
        assert response.json == EXAMPLE | {"createdAt": text}

    def test_an_upper_case_id_is_the_same_customer(self, service: Service) -> None:
        assert service.client.get(url(customer=CUSTOMER_ID.upper()), headers=bearer()).json == EXAMPLE


class TestConditional:
    """Validators and what they save (RFC 9110, section 13)."""

    def etag(self, service: Service) -> str:
        return service.client.get(url(), headers=bearer()).headers["ETag"]

    def test_the_etag_is_strong_and_stays(self, service: Service) -> None:
        etag = self.etag(service)
        assert etag.startswith('"')
        assert etag.endswith('"')
        assert self.etag(service) == etag

    @pytest.mark.parametrize(
        "change",
        [{"legalName": "Another"}, {"version": 2}, {"address.interior": "4"}, {"updatedAt": datetime(2026, 1, 1)}],  # noqa: DTZ001 - as BSON has it
        ids=lambda change: next(iter(change)),
    )
    def test_the_etag_changes_with_every_write(self, service: Service, change: dict[str, Any]) -> None:
        before = self.etag(service)
        service.database.customers.update_one({"_id": ObjectId(CUSTOMER_ID)}, {"$set": change})
        assert self.etag(service) != before

    @pytest.mark.parametrize("form", ["{}", "W/{}", '"a", {}', '"a",W/{} , "b"', "*", '"a", W/"b",\t{}'])
    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    def test_a_matching_if_none_match_is_304(self, service: Service, form: str, method: str) -> None:
        etag = self.etag(service)
        headers = bearer() | {"If-None-Match": form.format(etag)}
        response = service.client.open(url(), method=method, headers=headers)
        assert response.status_code == 304
        assert response.data == b""
        assert response.headers["ETag"] == etag
        assert response.headers["Cache-Control"] == "private, no-cache"
        assert "Content-Type" not in response.headers

    @pytest.mark.parametrize("value", ["", '"other"', 'W/"other"', '"', ",,,", "W/", '"' * 4000, "a," * 2000])
    def test_another_if_none_match_is_200(self, service: Service, value: str) -> None:
        response = service.client.get(url(), headers=bearer() | {"If-None-Match": value})
        assert response.status_code == 200
        assert response.json == EXAMPLE

    def test_a_condition_opens_nothing(self, service: Service) -> None:
        headers = {"If-None-Match": "*"}
        assert service.client.get(url(), headers=headers).status_code == 401
        assert service.client.get(url(), headers=bearer(STRANGER) | headers).status_code == 403
        assert service.client.get(url(customer=MISSING_CUSTOMER_ID), headers=bearer() | headers).status_code == 404

    def test_head_has_the_headers_of_get(self, service: Service) -> None:
        got = service.client.get(url(), headers=bearer())
        head = service.client.head(url(), headers=bearer())
        assert head.status_code == 200
        assert head.data == b""
        for name in ("ETag", "Cache-Control", "Content-Type", "Content-Length"):
            assert head.headers[name] == got.headers[name]


class TestMethodsAndPaths:
    """An unknown path is a problem document too."""

    @pytest.mark.parametrize("method", ["POST", "PUT", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "FOO"])
    @pytest.mark.parametrize("path", [url(), "/livez", "/openapi.json"])
    def test_method_not_allowed(self, service: Service, method: str, path: str) -> None:
        response = service.client.open(path, method=method, headers=bearer())
        assert response.status_code == 405
        assert "GET" in response.headers["Allow"]
        assert response.content_type == "application/problem+json"

    @pytest.mark.parametrize(
        "path",
        [
            *("/api/api", "/api/api/livez", "/customers", "/organizations", "/static/x", "/favicon.ico"),
            *(url() + "/", url() + "/more", url().replace("/customers", "//customers"), url(organization="")),
            *(url(customer=""), "/API/livez", "/%00", "/livez%0d%0aX: y"),
        ],
    )
    def test_unknown_path(self, service: Service, path: str) -> None:
        response = service.client.get(path, headers=bearer())
        assert response.status_code == 404
        assert response.content_type == "application/problem+json"
        assert response.json is not None
        assert response.json["type"] == "urn:problem-type:not-found"


class TestHostileIds:
    """An id of any form is data."""

    @pytest.mark.parametrize(
        "customer",
        [
            *("..%2fx", "%2e%2e", "%00", "590ce6c56d04f840aa8438af%00", "$ne", "%7B%22$ne%22:null%7D", "null", "0"),
            *(CUSTOMER_ID[:-1], CUSTOMER_ID + "0", "g" * 24, "%F0%9F%A6%99" * 6, "%ED%A0%80", "%FF%FE", " ", "%0A"),
            *(CUSTOMER_ID + "%0A", "%D9%A0" * 24, "a" * 10_000, "a" * 12, "true", "[$ne]", "customers;drop"),
        ],
    )
    def test_customer_id(self, service: Service, customer: str) -> None:
        response = service.client.get(url(customer=customer), headers=bearer())
        assert response.status_code == 404
        assert response.content_type == "application/problem+json"

    @pytest.mark.parametrize("customer", ["changes%0A", "batch-get%0A"])
    def test_the_name_of_an_operation_and_a_line_feed(self, service: Service, customer: str) -> None:
        assert service.client.get(url(customer=customer)).status_code == 401
        response = service.client.get(url(customer=customer), headers=bearer())
        assert response.json is not None
        assert response.json["type"] == "urn:problem-type:customer-not-found"

    @pytest.mark.parametrize(
        "organization", ["%00", "$ne", "%7B%22$gt%22:%22%22%7D", ".", "a" * 10_000, "%ED%A0%80", "%F0%9F%A6%99", " "]
    )
    def test_organization_id(self, service: Service, organization: str) -> None:
        response = service.client.get(url(organization), headers=bearer())
        assert response.status_code == 403

    def test_a_parameter_in_the_query_is_ignored(self, service: Service) -> None:
        response = service.client.get(url() + "?organizationId=x&_id[$ne]=&%00=%FF", headers=bearer())
        assert response.json == EXAMPLE


class TestOddDocuments:
    """Another program wrote it: it is served in the contract's types, or refused without its data."""

    @pytest.mark.parametrize(
        "field",
        [name for name in EXAMPLE if name not in {"id", "organizationId", "phone"}],
    )
    @pytest.mark.parametrize("value", [None, 7, 1.5, True, [], ["secret"], {}, {"secret": 1}, b"secret", ObjectId()])
    def test_a_field_of_another_type(self, service: Service, field: str, value: object) -> None:
        service.database.customers.update_one({"_id": ObjectId(CUSTOMER_ID)}, {"$set": {field: value}})
        response = service.client.get(url(), headers=bearer())
        if field == "address" and isinstance(value, dict):
            assert response.status_code == 200
            assert response.json is not None
            assert response.json["address"] == dict.fromkeys(EXAMPLE["address"])
        else:
            self.assert_refused(response)

    @pytest.mark.parametrize("field", [name for name in EXAMPLE if name not in {"id", "organizationId", "phone"}])
    def test_a_missing_field(self, service: Service, field: str) -> None:
        service.database.customers.update_one({"_id": ObjectId(CUSTOMER_ID)}, {"$unset": {field: ""}})
        self.assert_refused(service.client.get(url(), headers=bearer()))

    @pytest.mark.parametrize("change", [{"phone": {"secret": "x"}}, {"phone": 6474010101}, {"address.zip": 86500}])
    def test_an_optional_field_of_another_type(self, service: Service, change: dict[str, Any]) -> None:
        service.database.customers.update_one({"_id": ObjectId(CUSTOMER_ID)}, {"$set": change})
        self.assert_refused(service.client.get(url(), headers=bearer()))

    @pytest.mark.parametrize("version", ["two", None, {"a": 1}, 2**62, 1.5])
    def test_an_odd_version_is_served(self, service: Service, version: object) -> None:
        service.database.customers.update_one({"_id": ObjectId(CUSTOMER_ID)}, {"$set": {"version": version}})
        assert service.client.get(url(), headers=bearer()).json == EXAMPLE

    @staticmethod
    def assert_refused(response: TestResponse) -> None:
        assert response.status_code == 500
        assert response.content_type == "application/problem+json"
        assert response.json is not None
        assert response.json["type"] == "urn:problem-type:malformed-document"
        for secret in ("secret", "Dunder", "DUM901231AB3", "Traceback", "6474010101"):
            assert secret not in response.text
