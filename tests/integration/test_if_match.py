"""If-Match with another ETag is 412 on each write and each read of a customer (RFC 9110, section 13.1.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from customer_service.errors import DatabaseUnavailable
from customer_service.repository import ErasureRepository
from tests.support import (
    CUSTOMER_ID,
    INVOICED_ON,
    MEMBER,
    MISSING_CUSTOMER_ID,
    ORGANIZATION,
    Service,
    customers_url,
    new_customer,
    problem,
    stored,
    url,
)

if TYPE_CHECKING:
    from collections.abc import Callable

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
    f"POST {customers_url('/batch-upsert')}": {"json": {"customers": [new_customer(externalId="a")]}},
    f"PUT {MEMBERS}/{MEMBER}": {"json": {"role": "editor"}},
    f"DELETE {MEMBERS}/{MEMBER}": {},
}
"""The writes to routes whose resource has no ETag."""


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


def test_if_none_match_creates_only(service: Service, admin: FlaskClient) -> None:
    """A member that exists is not changed, and no batch or unread list of ETags replaces a customer."""
    admin.put(customers_url("/by-external-id/a"), json=new_customer(taxId="VRE010101AB1"))
    before, etag = everything(service), admin.get(customers_url("/by-external-id/a")).headers["ETag"]
    replacement = new_customer(taxId="VRE010101AB1", phone=None)
    for condition in ("*", "*,*", '"x", *', ' * , "x"', etag.rjust(9000, ",")):
        answers = [
            admin.put(f"{MEMBERS}/{MEMBER}", json={"role": "editor"}, headers={"If-None-Match": condition}),
            admin.post(
                customers_url("/batch-upsert"),
                json={"customers": [replacement | {"externalId": "a"}]},
                headers={"If-None-Match": condition},
            ),
            admin.put(customers_url("/by-external-id/a"), json=replacement, headers={"If-None-Match": condition}),
        ]
        for answer in answers:
            problem(answer, 412, "version-mismatch")
    assert everything(service) == before
    created = admin.put(f"{MEMBERS}/new", json={"role": "editor"}, headers={"If-None-Match": "*"})
    assert created.status_code == 201


def test_a_star_needs_something(service: Service, admin: FlaskClient) -> None:
    before = everything(service)
    new = admin.put(f"{MEMBERS}/new", json={"role": "editor"}, headers={"If-Match": "*"})
    problem(new, 412, "version-mismatch")
    problem(admin.delete(f"{MEMBERS}/new", headers={"If-Match": "*"}), 404, "member-not-found")
    assert everything(service) == before


def test_it_comes_after_what_cannot_be_read_and_before_what_is_wrong(admin: FlaskClient) -> None:
    condition = {"If-Match": '"another"'}
    problem(admin.post(customers_url(), data="x", headers=condition), 415, "unsupported-media-type")
    json = {"Content-Type": "application/json"}
    problem(admin.post(customers_url("/batch-upsert"), data="{", headers=condition | json), 400, "bad-request")
    problem(admin.delete(f"{MEMBERS}/unknown", headers=condition), 404, "member-not-found")
    wrong = {"lastInvoicedOn": "x"}
    problem(admin.put(f"{url()}/retention", json=wrong, headers=condition), 412, "version-mismatch")


@pytest.mark.parametrize("condition", ['"a,*,b"', "abc*", '"x*', "W/*", '"a"*', '"a", "b*', '"a", *', "*,*"])
def test_a_star_that_is_not_alone_is_none(admin: FlaskClient, condition: str) -> None:
    problem(send(admin, f"DELETE {url()}", condition), 412, "version-mismatch")
    if condition not in {'"a", *', "*,*"}:
        assert admin.get(url(), headers={"If-None-Match": condition}).status_code == 200


def test_a_membership_of_another_program_is_something(service: Service, admin: FlaskClient) -> None:
    """Its role is unknown, so its user is no member; it is stored all the same."""
    service.database.memberships.insert_one({"organizationId": ORGANIZATION, "userId": "x", "role": "owner"})
    before = everything(service)
    only_new = admin.put(f"{MEMBERS}/x", json={"role": "editor"}, headers={"If-None-Match": "*"})
    problem(only_new, 412, "version-mismatch")
    problem(send(admin, f"DELETE {MEMBERS}/x", '"another"'), 412, "version-mismatch")
    assert everything(service) == before
    assert send(admin, f"DELETE {MEMBERS}/x", "*").status_code == 204


def test_a_blocked_customer_has_no_etag_for_its_retention(admin: FlaskClient) -> None:
    etag, request_line = admin.get(url()).headers["ETag"], f"PUT {url()}/retention"
    assert admin.put(f"{url()}/retention", json=INVOICED).status_code == 200
    assert admin.post(f"{url()}/erasure").get_json()["state"] == "blocked"
    problem(send(admin, request_line, etag, json=INVOICED), 412, "version-mismatch")
    assert send(admin, request_line, "*", json=INVOICED).status_code == 200


def test_a_missing_customer_is_404_first(admin: FlaskClient) -> None:
    for request_line, options in OF_A_CUSTOMER.items():
        method, path = request_line.replace(CUSTOMER_ID, MISSING_CUSTOMER_ID).split()
        answer = admin.open(path, method=method, headers={"If-Match": '"another"'}, **options)
        assert answer.status_code == 404


@pytest.mark.parametrize("retention", [None, INVOICED])
def test_an_erasure_can_be_repeated(admin: FlaskClient, retention: dict[str, str] | None) -> None:
    etag = admin.get(url()).headers["ETag"]
    if retention:
        admin.put(f"{url()}/retention", json=retention)
    answer = send(admin, f"POST {url()}/erasure", etag)
    assert answer.status_code == 200
    assert send(admin, f"POST {url()}/erasure", etag).get_json() == answer.get_json()


def test_an_interrupted_erasure_is_completed_by_the_same_request(
    admin: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    etag = admin.get(url()).headers["ETag"]
    with monkeypatch.context() as patch:
        patch.setattr(ErasureRepository, "erase", interrupted)
        problem(send(admin, f"POST {url()}/erasure", etag), 503, "database-unavailable")
    assert send(admin, f"POST {url()}/erasure", etag).get_json() == {"state": "erased"}


def interrupted(*_: object) -> Document:
    raise DatabaseUnavailable


@pytest.mark.parametrize(
    ("step", "change", "status"),
    [
        ("remove", f"PATCH {url()}", 412),
        ("erase", f"PUT {url()}/retention", 200),
        ("change_retention", f"PATCH {url()}", 412),
    ],
)
def test_another_caller_is_faster(
    race: Callable[[str, str], None], admin: FlaskClient, step: str, change: str, status: int
) -> None:
    """It makes its change immediately before the step of the request."""
    etag = admin.get(url()).headers["ETag"]
    race(step, change)
    request_line = f"PUT {url()}/retention" if step == "change_retention" else f"POST {url()}/erasure"
    assert send(admin, request_line, etag, **OF_A_CUSTOMER[request_line]).status_code == status
    assert (admin.get(url()).status_code == 200) == (status == 412)


@pytest.fixture
def race(admin: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """A function that lets a request be made immediately before the next step of this name in the repository."""

    def prepare(step: str, change: str) -> None:
        real = getattr(ErasureRepository, step)

        def raced(*arguments: Any, **options: Any) -> Any:
            monkeypatch.setattr(ErasureRepository, step, real)
            assert send(admin, change, "*", **OF_A_CUSTOMER[change]).status_code == 200
            return real(*arguments, **options)

        monkeypatch.setattr(ErasureRepository, step, raced)

    return prepare


def test_joined_fields_are_not_parsed(admin: FlaskClient) -> None:
    """A hundred fields of 8,190 bytes would take 0.2 s, and some routes need no token."""
    for path in (url(), "/catalogs/states"):
        etag = admin.get(path).headers["ETag"]
        for header, length, status in (
            *(("If-None-Match", 8190, 304), ("If-None-Match", 8191, 200)),
            *(("If-Match", 8190, 200), ("If-Match", 8191, 412)),
        ):
            assert admin.get(path, headers={header: etag.rjust(length, ",")}).status_code == status
