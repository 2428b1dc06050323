"""batch-get returns customers in the order of the ids, each once, and names the ids that it did not find."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from bson import ObjectId

from tests.support import (
    CUSTOMER_ID,
    EXAMPLE,
    MISSING_CUSTOMER_ID,
    OTHER_CUSTOMER_ID,
    Service,
    bearer,
    customers_url,
    findings,
    new_customer,
)

if TYPE_CHECKING:
    from flask.testing import FlaskClient
    from werkzeug.test import TestResponse

BATCH_GET = customers_url("/batch-get")


def batch_get(service: Service, ids: object) -> TestResponse:
    return service.client.post(BATCH_GET, json={"ids": ids}, headers=bearer())


class TestFound:
    """A viewer gets them all, under both base paths."""

    @pytest.mark.parametrize("base", ["", "/api"])
    def test_the_order_is_the_callers(self, service: Service, editor: FlaskClient, base: str) -> None:
        created = [
            editor.post(customers_url(), json=new_customer(taxId=f"ABC10101011{digit}")).get_json()
            for digit in range(3)
        ]
        expected = [created[1], EXAMPLE, created[0], created[2]]
        ids = [each["id"] for each in expected]
        response = service.client.post(customers_url("/batch-get", base=base), json={"ids": ids}, headers=bearer())
        assert response.status_code == 200
        assert response.content_type == "application/json"
        assert response.headers["Cache-Control"] == "private, no-cache"
        assert response.get_json() == {"data": expected, "notFound": []}
        assert batch_get(service, ids[::-1]).get_json()["data"] == expected[::-1]

    def test_repeated_ids_and_capitals(self, service: Service) -> None:
        ids = [CUSTOMER_ID.upper(), CUSTOMER_ID, MISSING_CUSTOMER_ID.upper(), MISSING_CUSTOMER_ID, CUSTOMER_ID]
        answer = batch_get(service, ids).get_json()
        assert answer == {"data": [EXAMPLE], "notFound": [MISSING_CUSTOMER_ID.upper()]}

    def test_unknown_ids_are_named(self, service: Service) -> None:
        odd = [
            "",
            "x",
            "$ne",
            "\x00",
            "🦙",
            CUSTOMER_ID[:-1],
            CUSTOMER_ID + "\n",
            "g" * 24,
            "\u0660" * 24,
            "x" * 10_000,
        ]
        ids = [*odd, OTHER_CUSTOMER_ID, CUSTOMER_ID, MISSING_CUSTOMER_ID, "x"]
        answer = batch_get(service, ids).get_json()
        assert answer == {"data": [EXAMPLE], "notFound": [*odd, OTHER_CUSTOMER_ID, MISSING_CUSTOMER_ID]}

    def test_a_deleted_customer_is_not_found(self, service: Service, editor: FlaskClient) -> None:
        editor.delete(customers_url("/" + CUSTOMER_ID))
        assert batch_get(service, [CUSTOMER_ID]).get_json() == {"data": [], "notFound": [CUSTOMER_ID]}

    def test_an_empty_list_of_ids_returns_nothing(self, service: Service) -> None:
        assert batch_get(service, []).get_json() == {"data": [], "notFound": []}

    def test_a_hundred_ids_are_accepted(self, service: Service) -> None:
        ids = [str(ObjectId()) for _ in range(99)]
        assert batch_get(service, [*ids, CUSTOMER_ID]).get_json() == {"data": [EXAMPLE], "notFound": ids}


def test_an_id_that_is_no_string_is_a_finding(service: Service) -> None:
    ids = [CUSTOMER_ID, 1, {"$gt": ""}, None, [CUSTOMER_ID], 2**63]
    assert findings(batch_get(service, ids)) == [
        *(("/ids/1", "invalid-type"), ("/ids/2", "invalid-type"), ("/ids/3", "required")),
        *(("/ids/4", "invalid-type"), ("/ids/5", "invalid-type")),
    ]
