"""The client itself: a method for each thing that the service does with an organization's customers and members."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Self, TypeVar
from uuid import uuid4

import httpx

from customer_service.client.calls import Call, Caller, conditions, query_of, segment
from customer_service.client.errors import UnexpectedAnswer
from customer_service.client.following import WAIT_SECONDS, follow
from customer_service.client.models import (
    Batch,
    batch_of,
    change_page_of,
    codes_of,
    customer_of,
    invoice_uses_of,
    member_of,
    page_of,
    tax_info_of,
    tax_systems_of,
    zip_code_of,
)
from customer_service.client.remembered import Remembered

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from customer_service.client.calls import Answer, Token
    from customer_service.client.models import (
        ChangePage,
        Code,
        Customer,
        CustomerInput,
        CustomerPatch,
        Filters,
        InvoiceUse,
        Member,
        Page,
        SatValidationInput,
        TaxInfo,
        TaxSystem,
        ZipCode,
    )
    from customer_service.roles import Role

T = TypeVar("T")
TIMEOUT_SECONDS = 15.0
"""Beyond the 10 seconds after which a creation that the service did not survive can be taken up again."""

REMEMBERED_CUSTOMERS = 1000
BATCH_LENGTH = 100
PAGE_LENGTH = 100
JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"


class CustomerClient:
    """The customers and members of one organization, over HTTP; threads may share it.

    Every method raises ProblemError where the service refuses, Unreachable where it does not answer in time, and
    UnexpectedAnswer where something else answers; each tries again until then where that is safe.
    """

    def __init__(
        self,
        base_url: str,
        token: Token,
        organization_id: str,
        *,
        timeout: float = TIMEOUT_SECONDS,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """Take the service's address, a token or what gives a fresh one, and the seconds that a call may take."""
        self._caller = Caller(base_url, transport or httpx.HTTPTransport(), token, timeout)
        self._organization = f"/organizations/{segment(organization_id)}"
        self._remembered = Remembered(REMEMBERED_CUSTOMERS)

    def __enter__(self) -> Self:
        """Return the client, which is closed afterwards."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the client."""
        self.close()

    def close(self) -> None:
        """Close its connections."""
        self._caller.close()

    def get(self, customer_id: str) -> Customer:
        """Return the customer of this id, from memory where the service says that it still is so."""
        return self._get(self._customer(customer_id))

    def get_by_external_id(self, external_id: str) -> Customer:
        """Return the customer of the caller's own id, as `get` does."""
        return self._get(self._external(external_id))

    def search(self, filters: Filters | None = None) -> Iterator[Customer]:
        """Yield each customer that fits, all of them without filters, in the service's order."""
        for page in self.pages(filters):
            yield from page.data

    def pages(self, filters: Filters | None = None, *, limit: int = PAGE_LENGTH, total: bool = False) -> Iterator[Page]:
        """Yield the pages of a list, of 1 to 100 customers each, with the length of the whole where `total`."""
        counted: dict[str, str | int] = {"limit": limit, **({"include": "total"} if total else {})}
        query = {**counted, **query_of(filters or {})}
        while True:
            answer = self._caller.send(Call("GET", f"{self._organization}/customers", repeatable=True, query=query))
            page = _read(page_of, answer)
            yield page
            if page.nextCursor is None:
                return
            query = {**counted, "cursor": page.nextCursor}

    def follow(self, cursor: str | None = None) -> Iterator[ChangePage]:
        """Yield what becomes of the customers, page by page and without end, an empty one every 20 seconds.

        Without a cursor it begins with the customers that there are. Keep a page's `cursor` once its changes are
        applied: it is where to go on after a restart. What may pass is waited for; raises CursorExpired where too
        much time has passed, and whatever else asking again does not mend.
        """
        return follow(self._changes, cursor)

    def batch_get(self, customer_ids: Iterable[str]) -> Batch:
        """Return any number of customers by their ids, in that order and each once."""
        ids = list({each.lower(): each for each in customer_ids}.values())
        path = f"{self._organization}/customers/batch-get"
        batches = [
            _read(batch_of, self._send("POST", path, {"ids": ids[start : start + BATCH_LENGTH]}, repeatable=True))
            for start in range(0, len(ids), BATCH_LENGTH)
        ]
        return Batch(
            tuple(customer for batch in batches for customer in batch.data),
            tuple(customer_id for batch in batches for customer_id in batch.notFound),
            tuple(customer_id for batch in batches for customer_id in batch.unreadable),
        )

    def create(self, customer: CustomerInput, *, idempotency_key: str | None = None) -> Customer:
        """Create a customer, once however often it has to be sent.

        A program that may itself be started again gives a key of its own: with the same key and customer it gets the
        same answer for 24 hours.
        """
        headers = {"Idempotency-Key": idempotency_key or uuid4().hex}
        path = f"{self._organization}/customers"
        return self._written(self._send("POST", path, customer, headers, repeatable=True))

    def update(self, customer_id: str, patch: CustomerPatch, *, if_match: str | None = None) -> Customer:
        """Change what the patch names, and nothing where the customer's ETag is not `if_match` any more.

        Without `if_match` it is sent once: after a lost answer nobody knows whether it was followed.
        """
        headers = {**conditions(if_match), "Content-Type": MERGE_PATCH}
        path = self._customer(customer_id)
        return self._written(self._send("PATCH", path, patch, headers, repeatable=if_match is not None))

    def put_by_external_id(self, external_id: str, customer: CustomerInput, *, if_match: str | None = None) -> Customer:
        """Create the customer of the caller's own id, or replace it whole."""
        path = self._external(external_id)
        return self._written(self._send("PUT", path, customer, conditions(if_match), repeatable=True))

    def delete(self, customer_id: str, *, if_match: str | None = None) -> str | None:
        """Delete the customer; return its ETag for a `restore`, or None where the service did not tell it."""
        path = self._customer(customer_id)
        return self._delete(Call("DELETE", path, repeatable=True, headers=conditions(if_match))).get("ETag")

    def restore(self, customer_id: str, *, if_match: str | None = None) -> Customer:
        """Take a deleted customer back; it is sent again as `update` is."""
        call = Call(
            "POST",
            f"{self._customer(customer_id)}/restore",
            repeatable=if_match is not None,
            headers=conditions(if_match),
        )
        return self._written(self._caller.send(call))

    def validate_tax_info(self, customer: str | CustomerInput) -> TaxInfo:
        """Return what the tax authority would say to a customer, stored under this id or not stored at all."""
        if isinstance(customer, str):
            path = f"{self._customer(customer)}/tax-info-validation"
            return _read(tax_info_of, self._caller.send(Call("GET", path, repeatable=True)))
        path = f"{self._organization}/customers/tax-info-validation"
        return _read(tax_info_of, self._send("POST", path, customer, repeatable=True))

    def put_sat_validation(
        self, customer_id: str, validation: SatValidationInput, *, if_match: str | None = None
    ) -> Customer:
        """Store the SAT's answer about the customer, until a value changes that it is about."""
        path = f"{self._customer(customer_id)}/sat-validation"
        body = {**validation, **query_of({"checkedAt": validation["checkedAt"]})}
        return self._written(self._send("PUT", path, body, conditions(if_match), repeatable=True))

    def delete_sat_validation(self, customer_id: str, *, if_match: str | None = None) -> None:
        """Remove the SAT's answer about the customer, if there is one."""
        path = f"{self._customer(customer_id)}/sat-validation"
        self._delete(Call("DELETE", path, repeatable=True, headers=conditions(if_match)))

    def list_members(self) -> tuple[Member, ...]:
        """Return the members in the order of their user ids."""
        answer = self._caller.send(Call("GET", f"{self._organization}/members", repeatable=True))
        return _read(lambda told: tuple(member_of(each) for each in told["data"]), answer)

    def put_member(self, user_id: str, role: Role) -> Member:
        """Make a user a member, or change a member's role."""
        return _read(member_of, self._send("PUT", self._member(user_id), {"role": role}, repeatable=True))

    def delete_member(self, user_id: str) -> None:
        """End a membership."""
        self._delete(Call("DELETE", self._member(user_id), repeatable=True))

    def list_tax_systems(self) -> tuple[TaxSystem, ...]:
        """Return the regimes that a customer may have."""
        return self._catalog(tax_systems_of, "tax-systems")

    def list_invoice_uses(self, tax_system: str | None = None, tax_id: str | None = None) -> tuple[InvoiceUse, ...]:
        """Return the uses that an invoice may have, for a receiver of this regime and of this RFC if given."""
        given = {"taxSystem": tax_system, "taxId": tax_id}
        query = {name: value for name, value in given.items() if value is not None}
        return self._catalog(invoice_uses_of, "invoice-uses", query)

    def list_countries(self) -> tuple[Code, ...]:
        """Return the countries."""
        return self._catalog(codes_of, "countries")

    def list_states(self) -> tuple[Code, ...]:
        """Return Mexico's states."""
        return self._catalog(codes_of, "states")

    def get_zip_code(self, zip_code: str) -> ZipCode:
        """Return the place of a Mexican zip code."""
        return self._catalog(zip_code_of, f"zip-codes/{segment(zip_code)}")

    def _catalog(self, reader: Callable[[Any], T], name: str, query: Mapping[str, str] | None = None) -> T:
        call = Call("GET", f"/catalogs/{name}", repeatable=True, query=query or {})
        return _read(reader, self._caller.send(call))

    def _changes(self, cursor: str | None) -> ChangePage:
        path = f"{self._organization}/customers/changes"
        query: dict[str, str | int] = {"wait": WAIT_SECONDS, **({} if cursor is None else {"cursor": cursor})}
        return _read(
            change_page_of, self._caller.send(Call("GET", path, repeatable=True, query=query, wait=WAIT_SECONDS))
        )

    def _customer(self, customer_id: str) -> str:
        return f"{self._organization}/customers/{segment(customer_id)}"

    def _external(self, external_id: str) -> str:
        return f"{self._organization}/customers/by-external-id/{segment(external_id)}"

    def _member(self, user_id: str) -> str:
        return f"{self._organization}/members/{segment(user_id)}"

    def _get(self, path: str) -> Customer:
        known = self._remembered.get(path)
        headers = {"If-None-Match": known.etag} if known and known.etag else {}
        answer = self._caller.send(Call("GET", path, repeatable=True, headers=headers))
        if known and answer.status == HTTPStatus.NOT_MODIFIED:
            return known
        customer = _customer_in(answer)
        self._remembered.put(path, customer)
        return customer

    def _delete(self, call: Call) -> Mapping[str, str]:
        answer = self._caller.send(call)
        if answer.status != HTTPStatus.NO_CONTENT:
            raise UnexpectedAnswer(f"{answer.status}: a deletion has nothing to tell")
        return answer.headers

    def _written(self, answer: Answer) -> Customer:
        customer = _customer_in(answer)
        self._remembered.put(self._customer(customer.id), customer)
        return customer

    def _send(
        self, method: str, path: str, value: object, headers: Mapping[str, str] | None = None, *, repeatable: bool
    ) -> Answer:
        headers = {"Content-Type": JSON, **(headers or {})}
        return self._caller.send(Call(method, path, repeatable, headers=headers, body=json.dumps(value).encode()))


def _customer_in(answer: Answer) -> Customer:
    return _read(lambda told: customer_of(told, answer.headers.get("ETag")), answer)


def _read(reader: Callable[[Any], T], answer: Answer) -> T:
    """Return what the answer says; raises UnexpectedAnswer where it is not what the contract promises."""
    try:
        return reader(answer.json())
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnexpectedAnswer(f"{answer.status}: {type(error).__name__}") from None
