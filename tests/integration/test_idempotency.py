"""A retry with the same Idempotency-Key returns the first response, and creates nothing again."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from bson import ObjectId

from customer_service.repository.idempotency import RETENTION_SECONDS, IdempotencyRepository
from tests.support import MEMBER, NEW_CUSTOMER, ORGANIZATION, OTHER_ORGANIZATION, Service, bearer, url

if TYPE_CHECKING:
    from collections.abc import Mapping

    from werkzeug.test import TestResponse

    from customer_service.repository.database import Document

COLLEAGUE = "colleague-of-the-member"
KEY = "4f1c0a4e-try-again"
BODY = json.dumps(NEW_CUSTOMER).encode()
OTHER_BODY = json.dumps(NEW_CUSTOMER | {"phone": None}).encode()


@pytest.fixture(autouse=True)
def editors(service: Service) -> None:
    """Let the member and a colleague write, and the member in the other organization too."""
    service.database.memberships.delete_many({})
    service.database.memberships.insert_many(
        [
            {"userId": MEMBER, "organizationId": ORGANIZATION, "role": "editor"},
            {"userId": COLLEAGUE, "organizationId": ORGANIZATION, "role": "editor"},
            {"userId": MEMBER, "organizationId": OTHER_ORGANIZATION, "role": "editor"},
        ]
    )


def post(
    service: Service,
    body: bytes = BODY,
    key: str | None = KEY,
    *,
    organization: str = ORGANIZATION,
    headers: Mapping[str, str] | None = None,
) -> TestResponse:
    keyed = {} if key is None else {"Idempotency-Key": key}
    path = f"/api/organizations/{organization}/customers"
    return service.client.post(
        path, data=body, content_type="application/json", headers={**(headers or bearer()), **keyed}
    )


def outcome(response: TestResponse) -> tuple[int, str]:
    """Return the status, and the slug of the problem."""
    assert response.json is not None
    return response.status_code, response.json.get("type", "").rpartition(":")[2]


def essentials(response: TestResponse) -> tuple[int, bytes, str, str]:
    """Return the parts of the response that a replay repeats."""
    return response.status_code, response.data, response.headers["ETag"], response.headers["Location"]


def is_replayed(response: TestResponse) -> bool:
    return response.headers.get("Idempotent-Replayed") == "true"


def stored(service: Service) -> list[Document]:
    """Return the customers that the tests made."""
    return list(service.database.customers.find({"taxId": NEW_CUSTOMER["taxId"]}))


def ago(**span: float) -> datetime:
    return datetime.now(UTC) - timedelta(**span)


def leave_claim(service: Service, claimed_at: datetime) -> ObjectId:
    """Store the claim of a request that crashed; return the id that its customer would have."""
    assert post(service).status_code == 201
    service.database.customers.delete_many({"taxId": NEW_CUSTOMER["taxId"]})
    customer_id = ObjectId()
    change: Document = {"$set": {"claimedAt": claimed_at, "customerId": customer_id}}
    service.database.idempotencyKeys.update_one({}, {**change, "$unset": {"body": "", "etag": ""}})
    return customer_id


class TestReplay:
    """The same key and JSON: the first answer."""

    def test_the_first_answer_again(self, service: Service) -> None:
        first, second = post(service), post(service)
        assert not is_replayed(first)
        assert is_replayed(second)
        assert essentials(second) == essentials(first)
        assert first.headers["Location"] == url(customer=first.get_json()["id"])
        assert second.content_type == first.content_type == "application/json"
        assert len(stored(service)) == 1

    def test_after_a_change(self, service: Service) -> None:
        first = post(service)
        patch = service.client.patch(first.headers["Location"], json={"phone": None}, headers=bearer())
        assert patch.status_code == 200
        assert essentials(post(service)) == essentials(first)

    def test_after_a_deletion(self, service: Service) -> None:
        first = post(service)
        assert service.client.delete(first.headers["Location"], headers=bearer()).status_code == 204
        second = post(service)
        assert is_replayed(second)
        assert essentials(second) == essentials(first)
        assert len(stored(service)) == 1

    def test_without_a_key_no_response_is_stored(self, service: Service) -> None:
        assert post(service, key=None).status_code == 201
        assert outcome(post(service, key=None)) == (409, "duplicate-tax-id")
        assert service.database.idempotencyKeys.count_documents({}) == 0

    def test_the_same_json_in_other_bytes(self, service: Service) -> None:
        first = post(service)
        reversed_members = dict(reversed(NEW_CUSTOMER.items()))
        reversed_members["address"] = dict(reversed(NEW_CUSTOMER["address"].items()))  # type: ignore[attr-defined]
        for body in (
            json.dumps(reversed_members).encode(),
            json.dumps(NEW_CUSTOMER, indent=1).encode() + b"\n",
            b"\xef\xbb\xbf" + BODY,
            BODY.replace(b"Sabre", b"S\\u0061bre"),
        ):
            again = post(service, body)
            assert is_replayed(again)
            assert essentials(again) == essentials(first)
        assert len(stored(service)) == 1

    def test_another_body(self, service: Service) -> None:
        post(service)
        for changes in ({"legalName": "Vance Refrigeration"}, {"legalName": "SABRE"}, {"metadata": None}):
            other = json.dumps(NEW_CUSTOMER | changes).encode()
            assert outcome(post(service, other)) == (422, "idempotency-key-reused")
        assert len(stored(service)) == 1
        assert is_replayed(post(service))

    def test_another_caller(self, service: Service) -> None:
        post(service)
        foreign = json.dumps(NEW_CUSTOMER | {"taxId": "VRE010101AB1"}).encode()
        answer = post(service, foreign, headers=bearer(COLLEAGUE))
        assert answer.status_code == 201
        assert not is_replayed(answer)
        assert outcome(post(service, BODY, headers=bearer(COLLEAGUE))) == (422, "idempotency-key-reused")

    def test_another_organization(self, service: Service) -> None:
        first, other = post(service), post(service, organization=OTHER_ORGANIZATION)
        assert (first.status_code, other.status_code) == (201, 201)
        assert not is_replayed(other)
        assert first.get_json()["id"] != other.get_json()["id"]

    def test_a_caller_who_may_not_write_any_more(self, service: Service) -> None:
        post(service)
        service.database.memberships.update_many({}, {"$set": {"role": "viewer"}})
        assert post(service).status_code == 403


class TestSyntax:
    """1 to 255 visible characters."""

    @pytest.mark.parametrize("key", ["!", "~", "a" * 255, '"quoted"', "a,b;c=d"])
    def test_a_valid_key_is_accepted(self, service: Service, key: str) -> None:
        assert not is_replayed(post(service, key=key))
        assert is_replayed(post(service, key=key))

    @pytest.mark.parametrize("key", ["", "a" * 256, " ", "a b", "a\tb", "a\x00b", "a\x7f", "é", "clé"])
    def test_an_invalid_key_is_refused(self, service: Service, key: str) -> None:
        assert outcome(post(service, key=key)) == (400, "bad-request")
        assert stored(service) == []

    def test_the_body_is_validated_first(self, service: Service) -> None:
        assert outcome(post(service, b"{", "a b")) == (400, "bad-request")
        assert outcome(post(service, b"{}", "a b")) == (400, "bad-request")


class TestOnlyCreationsAreReplayed:
    """Any other response leaves the key free."""

    def test_invalid_then_corrected(self, service: Service) -> None:
        assert outcome(post(service, b"{}")) == (422, "validation-error")
        assert post(service).status_code == 201

    def test_duplicate_then_corrected(self, service: Service) -> None:
        duplicate = json.dumps(NEW_CUSTOMER | {"taxId": "ABC010101AB1"}).encode()
        assert post(service, duplicate, key=None).status_code == 201
        assert outcome(post(service, duplicate)) == (409, "duplicate-tax-id")
        assert service.database.idempotencyKeys.count_documents({}) == 0
        assert not is_replayed(post(service))

    def test_duplicate_then_repeated(self, service: Service) -> None:
        in_the_way = post(service, key=None).headers["Location"]
        refused = post(service)
        assert outcome(refused) == (409, "duplicate-tax-id")
        assert refused.get_json()["existing"] == in_the_way
        assert service.client.delete(in_the_way, headers=bearer()).status_code == 204
        repeated = post(service)
        assert repeated.status_code == 201
        assert not is_replayed(repeated)
        assert is_replayed(post(service))


class TestClaims:
    """The claims of first requests that crashed."""

    @pytest.mark.parametrize("seconds", [0, 5, 9])
    def test_running(self, service: Service, seconds: int) -> None:
        leave_claim(service, ago(seconds=seconds))
        answer = post(service)
        assert outcome(answer) == (409, "request-in-progress")
        assert answer.headers["Retry-After"] == "1"
        assert stored(service) == []

    def test_of_a_server_whose_clock_is_ahead(self, service: Service) -> None:
        leave_claim(service, ago(seconds=-9))
        assert outcome(post(service)) == (409, "request-in-progress")
        service.database.idempotencyKeys.update_one({}, {"$set": {"claimedAt": ago(seconds=-3600)}})
        assert post(service).status_code == 201
        assert is_replayed(post(service))

    def test_running_with_another_body(self, service: Service) -> None:
        leave_claim(service, ago(seconds=1))
        assert outcome(post(service, OTHER_BODY)) == (422, "idempotency-key-reused")

    def test_abandoned_before_the_customer_was_stored(self, service: Service) -> None:
        customer_id = leave_claim(service, ago(seconds=10.1))
        answer = post(service)
        assert answer.status_code == 201
        assert not is_replayed(answer)
        assert [document["_id"] for document in stored(service)] == [customer_id]
        again = post(service)
        assert is_replayed(again)
        assert essentials(again) == essentials(answer)

    def test_abandoned_after_the_customer_was_stored(self, service: Service) -> None:
        first = post(service)
        unheard: dict[str, Any] = {"$set": {"claimedAt": ago(seconds=11)}, "$unset": {"body": "", "etag": ""}}
        service.database.idempotencyKeys.update_one({}, unheard)
        answer, again = post(service), post(service)
        assert is_replayed(answer)
        assert essentials(answer) == essentials(again) == essentials(first)
        assert len(stored(service)) == 1

    def test_abandoned_and_overtaken(self, service: Service) -> None:
        leave_claim(service, ago(seconds=11))
        in_the_way = post(service, key=None)
        assert in_the_way.status_code == 201
        refused = post(service)
        assert outcome(refused) == (409, "duplicate-tax-id")
        assert refused.get_json()["existing"] == in_the_way.headers["Location"]
        assert service.client.delete(in_the_way.headers["Location"], headers=bearer()).status_code == 204
        repeated, again = post(service), post(service)
        assert not is_replayed(repeated)
        assert essentials(again) == essentials(repeated)

    def test_a_taken_over_claim_has_a_new_age(self, service: Service) -> None:
        leave_claim(service, ago(seconds=11))
        assert post(service).status_code == 201
        claim = service.database.idempotencyKeys.find_one()
        assert claim is not None
        assert datetime.now(UTC).replace(tzinfo=None) - claim["claimedAt"] < timedelta(seconds=5)

    def test_expires_after_three_days(self, service: Service) -> None:
        first = post(service)
        assert service.client.delete(first.headers["Location"], headers=bearer()).status_code == 204
        keys = service.database.idempotencyKeys
        keys.update_one({}, {"$set": {"claimedAt": ago(hours=71.9)}})
        assert is_replayed(post(service))
        keys.update_one({}, {"$set": {"claimedAt": ago(hours=72, seconds=1)}})
        second = post(service)
        assert second.status_code == 201
        assert not is_replayed(second)
        assert second.get_json()["id"] != first.get_json()["id"]

    def test_an_expired_key_accepts_another_body(self, service: Service) -> None:
        leave_claim(service, ago(hours=72, seconds=1))
        assert post(service, OTHER_BODY).status_code == 201


def test_a_ttl_index_deletes_expired_keys(service: Service) -> None:
    indexes = service.database[IdempotencyRepository.COLLECTION].index_information()
    assert [
        (index["key"], index["expireAfterSeconds"]) for index in indexes.values() if "expireAfterSeconds" in index
    ] == [([("claimedAt", 1)], RETENTION_SECONDS)]


def test_no_key_is_stored_in_clear(service: Service) -> None:
    post(service)
    claim = service.database.idempotencyKeys.find_one({}, {"body": False})
    assert KEY not in str(claim)
    assert MEMBER not in str(claim)
