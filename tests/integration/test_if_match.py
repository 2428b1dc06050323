"""If-Match with another ETag is 412 on each write and each read of a customer (RFC 9110, section 13.1.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from customer_service.errors import VersionMismatch
from customer_service.repository import ErasureRepository
from customer_service.repository.memberships import OrganizationScope
from customer_service.services.erasure import erase
from tests.support import (
    CUSTOMER_ID,
    INVOICED_ON,
    MEMBER,
    MISSING_CUSTOMER_ID,
    ORGANIZATION,
    WRITER,
    Service,
    customers_url,
    new_customer,
    problem,
    stored,
    url,
)

if TYPE_CHECKING:
    from flask.testing import FlaskClient
    from werkzeug.test import TestResponse

    from customer_service.repository.database import Document

MEMBERS = customers_url().removesuffix("/customers") + "/members"
INVOICED = {"lastInvoicedOn": INVOICED_ON.isoformat()}
CHECKED = {"status": "matched", "checkedAt": "2025-01-26T10:00:00Z", "source": "pac"}
OF_A_CUSTOMER: dict[str, dict[str, Any]] = {
    f"GET {url()}": {},
    f"HEAD {url()}": {},
    f"GET {url()}/versions/1": {},
    f"PATCH {url()}": {"json": {"phone": None}},
    f"PUT {url()}/sat-validation": {"json": CHECKED},
    f"PUT {url()}/retention": {"json": INVOICED},
    f"POST {url()}/restore": {},
    f"DELETE {url()}": {},
    f"POST {url()}/erasure": {},
}
"""The requests to routes that judge If-Match by the customer's ETag."""

WITHOUT_ETAG: dict[str, dict[str, Any]] = {
    f"POST {customers_url()}": {"json": new_customer(taxId="VRE010101AB1")},
    f"POST {customers_url('/batch-get')}": {"json": {"ids": []}},
    f"POST {customers_url('/batch-upsert')}": {"json": {"customers": [new_customer(externalId="a")]}},
    f"PUT {MEMBERS}/{MEMBER}": {"json": {"role": "editor"}},
    f"DELETE {MEMBERS}/{MEMBER}": {},
}
"""The writes to routes whose resource has no ETag."""


CHANGES = {"remove": f"PATCH {url()}", "erase": f"PUT {url()}/retention"}
"""The request that changes what each step of an erasure compares."""


def send(client: FlaskClient, request: str, condition: str, **options: Any) -> TestResponse:
    method, path = request.split()
    return client.open(path, method=method, headers={"If-Match": condition}, **options)


def everything(service: Service) -> list[Document]:
    return [*stored(service), *service.database.memberships.find()]


@pytest.mark.parametrize("request_line", [*OF_A_CUSTOMER, *WITHOUT_ETAG])
def test_another_etag_is_412(service: Service, admin: FlaskClient, request_line: str) -> None:
    options = (OF_A_CUSTOMER | WITHOUT_ETAG)[request_line]
    before = everything(service)
    for condition in ('"another"', 'W/"another"', "", "x" * 9000):
        answer = send(admin, request_line, condition, **options)
        assert answer.status_code == 412
        if not request_line.startswith("HEAD"):
            problem(answer, 412, "version-mismatch")
    assert everything(service) == before


@pytest.mark.parametrize("request_line", OF_A_CUSTOMER)
@pytest.mark.parametrize("condition", ["*", "{etag}", '"another", {etag}'])
def test_the_customers_etag_is_accepted(admin: FlaskClient, request_line: str, condition: str) -> None:
    condition = condition.format(etag=admin.get(url()).headers["ETag"])
    assert send(admin, request_line, condition, **OF_A_CUSTOMER[request_line]).status_code in {200, 204}


@pytest.mark.parametrize("request_line", WITHOUT_ETAG)
def test_a_star_is_accepted_where_there_is_no_etag(admin: FlaskClient, request_line: str) -> None:
    assert send(admin, request_line, "*", **WITHOUT_ETAG[request_line]).status_code in {200, 201, 204}


def test_a_missing_customer_is_404_first(admin: FlaskClient) -> None:
    for suffix in ("", "/erasure", "/retention"):
        path = url(customer=MISSING_CUSTOMER_ID) + suffix
        method = "POST" if suffix == "/erasure" else "GET"
        answer = admin.open(path, method=method, headers={"If-Match": "*"})
        problem(answer, 404, "customer-not-found")


@pytest.mark.parametrize("retention", [None, INVOICED])
def test_a_blocked_or_erased_customer_has_no_etag(admin: FlaskClient, retention: dict[str, str] | None) -> None:
    etag = admin.get(url()).headers["ETag"]
    if retention:
        admin.put(f"{url()}/retention", json=retention)
    assert send(admin, f"POST {url()}/erasure", etag).status_code == 200
    problem(send(admin, f"POST {url()}/erasure", etag), 412, "version-mismatch")
    assert admin.post(f"{url()}/erasure").status_code == 200


@pytest.mark.parametrize(("step", "count"), [("remove", 2), ("erase", 1)])
def test_an_erasure_judges_it_again_only_before_its_first_write(
    service: Service, admin: FlaskClient, monkeypatch: pytest.MonkeyPatch, step: str, count: int
) -> None:
    """Another caller makes its change immediately before the step."""
    real, change = getattr(ErasureRepository, step), CHANGES[step]

    def raced(customers: ErasureRepository, document: Document) -> Document:
        monkeypatch.setattr(ErasureRepository, step, real)
        assert send(admin, change, "*", **OF_A_CUSTOMER[change]).status_code == 200
        written: Document = real(customers, document)
        return written

    monkeypatch.setattr(ErasureRepository, step, raced)
    judged: list[Document] = []
    erase(ErasureRepository(service.database, OrganizationScope(ORGANIZATION), WRITER), CUSTOMER_ID, judged.append)
    assert len(judged) == count
    assert admin.get(f"{url()}/erasure").get_json()["state"] in {"erased", "blocked"}


def test_an_erasure_that_another_write_forestalls_is_412(service: Service, admin: FlaskClient) -> None:
    def refuse_second(document: Document) -> None:
        if document["version"] > 1:
            raise VersionMismatch
        admin.patch(url(), json={"phone": None})

    customers = ErasureRepository(service.database, OrganizationScope(ORGANIZATION), WRITER)
    with pytest.raises(VersionMismatch):
        erase(customers, CUSTOMER_ID, refuse_second)
    assert admin.get(url()).status_code == 200


def test_joined_fields_are_not_parsed(admin: FlaskClient) -> None:
    """A hundred fields of 8,190 bytes would take 0.2 s, and some routes need no token."""
    for path in (url(), "/catalogs/states"):
        etag = admin.get(path).headers["ETag"]
        for header, length, status in (
            *(("If-None-Match", 8190, 304), ("If-None-Match", 8191, 200)),
            *(("If-Match", 8190, 200), ("If-Match", 8191, 412)),
        ):
            assert admin.get(path, headers={header: etag.rjust(length, ",")}).status_code == status
