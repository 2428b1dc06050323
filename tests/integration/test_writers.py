"""Each stored customer names who wrote it and by which request, and its time grows with its version."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from customer_service.repository import CustomerRepository, OrganizationScope, backfill_search_fields, customers
from customer_service.repository.database import as_stored
from customer_service.services import validation
from tests.support import CUSTOMER_ID, NEW_CUSTOMER, ORGANIZATION, WRITER, Service, caller, customers_url, url

if TYPE_CHECKING:
    from flask.testing import FlaskClient

    from customer_service.repository.database import Document

AHEAD = as_stored(datetime.now(UTC) + timedelta(hours=1))
"""A time by the clock of another worker, which is wrong."""

LAST = datetime(9999, 12, 31, 23, 59, 59, 999_000)  # noqa: DTZ001 - as BSON has it


@pytest.fixture
def repository(service: Service) -> CustomerRepository:
    backfill_search_fields(service.database)
    return CustomerRepository(service.database, OrganizationScope(ORGANIZATION), WRITER)


def writers(service: Service) -> list[tuple[Any, Any, Any]]:
    """Return the version, the author and the request of each customer that has an author."""
    found = service.database.customers.find({"updatedBy": {"$exists": True}}).sort("_id")
    return [(each["version"], each["updatedBy"], each["requestId"]) for each in found]


def test_a_new_customer_names_its_writer(service: Service, editor: FlaskClient) -> None:
    created = editor.post(customers_url(), json=NEW_CUSTOMER, headers={"X-Request-ID": "first"})
    assert created.status_code == 201
    assert writers(service) == [(1, "editor-of-one", "first")]
    assert not {"updatedBy", "requestId"} & created.get_json().keys()


def test_every_change_names_its_own_writer(service: Service, editor: FlaskClient) -> None:
    path = editor.post(customers_url(), json=NEW_CUSTOMER).headers["Location"]
    other = caller(service, "editor", "another")
    validated = {"status": "matched", "checkedAt": "2025-01-01T00:00:00Z", "source": "my-pac"}
    for number, (method, suffix, body) in enumerate(
        (
            ("PATCH", "", {"phone": None}),
            ("PUT", "/sat-validation", validated),
            ("DELETE", "/sat-validation", None),
            ("DELETE", "", None),
            ("POST", "/restore", None),
        ),
        2,
    ):
        headers = {"X-Request-ID": f"request-{number}"}
        assert other.open(path + suffix, method=method, json=body, headers=headers).status_code in {200, 204}
        assert writers(service) == [(number, "another", f"request-{number}")]


def test_a_write_of_what_is_stored_keeps_the_writer(service: Service, editor: FlaskClient) -> None:
    path = editor.post(customers_url(), json=NEW_CUSTOMER, headers={"X-Request-ID": "first"}).headers["Location"]
    assert caller(service, "admin").patch(path, json={"phone": NEW_CUSTOMER["phone"]}).status_code == 200
    assert writers(service) == [(1, "editor-of-one", "first")]


def test_a_backfill_names_no_writer(service: Service) -> None:
    assert backfill_search_fields(service.database) == (2, 0)
    assert writers(service) == []


@pytest.mark.parametrize("suffix", ["", "/by-external-id/crm-1", "/batch-upsert"])
def test_a_response_does_not_name_the_writer(editor: FlaskClient, suffix: str) -> None:
    body: dict[str, Any] = NEW_CUSTOMER | {"externalId": "crm-1"}
    body = {"customers": [body]} if suffix == "/batch-upsert" else body
    response = editor.open(customers_url(suffix), method="PUT" if "by-" in suffix else "POST", json=body)
    assert response.status_code in {200, 201}
    assert "editor-of-one" not in response.text
    assert "editor-of-one" not in editor.get(customers_url("?q=")).text


class TestTimeOfAChange:
    """It is after that of the change before, by any worker's clock."""

    def test_is_the_present_time(self, repository: CustomerRepository) -> None:
        began = as_stored(datetime.now(UTC))
        assert began <= self.changed(repository)["updatedAt"] <= datetime.now(UTC).replace(tzinfo=None)

    def test_is_a_millisecond_later_if_another_clock_is_ahead(
        self, service: Service, repository: CustomerRepository
    ) -> None:
        self.set_updated_at(service, AHEAD)
        for number in range(1, 4):
            assert self.changed(repository, str(number))["updatedAt"] == AHEAD + timedelta(milliseconds=number)

    def test_differs_from_that_of_the_same_millisecond(
        self, repository: CustomerRepository, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(customers, "now_as_stored", lambda: AHEAD)
        times = [self.changed(repository, str(number))["updatedAt"] for number in range(3)]
        assert times == [AHEAD + timedelta(milliseconds=number) for number in range(3)]

    @pytest.mark.parametrize("updated_at", [None, "yesterday", 5, LAST])
    def test_is_the_present_time_if_another_program_stored_no_time_to_follow(
        self, service: Service, repository: CustomerRepository, updated_at: object
    ) -> None:
        self.set_updated_at(service, updated_at)
        assert repository.remove(repository.get(CUSTOMER_ID))["updatedAt"].year == datetime.now(UTC).year

    def set_updated_at(self, service: Service, updated_at: object) -> None:
        service.database.customers.update_many({}, {"$set": {"updatedAt": updated_at}})

    def changed(self, repository: CustomerRepository, phone: str = "1") -> Document:
        document = repository.get(CUSTOMER_ID)
        return repository.update(document, validation.to_input(document) | {"phone": phone})


def test_a_write_by_a_client_of_times_with_zones(service: Service, editor: FlaskClient) -> None:
    """The connection string may ask for such times."""
    assert customers._now_after(AHEAD.replace(tzinfo=UTC)) == AHEAD + timedelta(milliseconds=1)
    assert editor.patch(url(), json={"phone": None}).status_code == 200
