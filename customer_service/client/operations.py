"""The operations of the client, written once: both clients run these coroutines, each over its own connection."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

from customer_service.client.calls import Call, CallSender, conditions, instant, query_of, segment, sendable
from customer_service.client.customer_cache import CustomerCache
from customer_service.client.errors import CustomerNotFound, UnexpectedAnswer
from customer_service.client.following import WAIT_SECONDS, follow
from customer_service.client.models import (
    Batch,
    batch_of,
    change_page_of,
    codes_of,
    customer_of,
    erasure_of,
    invoice_uses_of,
    member_of,
    members_of,
    page_of,
    retention_of,
    tax_info_of,
    tax_systems_of,
    version_page_of,
    zip_code_of,
)
from customer_service.client.upsert_results import upsert_results_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
    from datetime import date, datetime

    from customer_service.client.calls import Answer
    from customer_service.client.models import (
        ChangePage,
        Code,
        Customer,
        CustomerInput,
        CustomerPatch,
        Erasure,
        Filters,
        InvoiceUse,
        Member,
        Page,
        Retention,
        SatValidationInput,
        TaxInfo,
        TaxSystem,
        Version,
        ZipCode,
    )
    from customer_service.client.upsert_results import UpsertResult
    from customer_service.roles import Role

T = TypeVar("T")
TIMEOUT_SECONDS = 15.0
"""Longer than the 10 seconds after which a retry can complete a creation that a crash of the service interrupted."""

BATCH_LENGTH = 100
PAGE_LENGTH = 100
JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"


class Operations:
    """Everything that a client does with the customers and members of one organization."""

    def __init__(self, sender: CallSender, organization_id: str) -> None:
        """Send the calls of this organization."""
        self._sender = sender
        self._organization_id = organization_id
        self._organization = f"/organizations/{segment(organization_id)}"
        self._customers = f"{self._organization}/customers"
        self._cache = CustomerCache()

    async def get(self, customer_id: str, *, as_of: datetime | None = None) -> Customer:
        """Return the customer of this id, from the cache if the service answers that it is current.

        With `as_of` return it as it was at that time, which has an offset from UTC.
        """
        path = self._customer(customer_id)
        if as_of is None:
            return await self._get("get", path, customer_id)
        call = Call("get", "GET", path, repeatable=True, query=query_of({"asOf": as_of}))
        return self._customer_in(await self._sender.send(call), customer_id)

    async def get_by_external_id(self, external_id: str) -> Customer:
        """Return the customer of the caller's own id, as `get` does."""
        return await self._get("get_by_external_id", self._external(external_id))

    async def search(self, filters: Filters | None = None) -> AsyncGenerator[Customer, None]:
        """Yield each customer that the filters select, all of them without filters, in the service's order."""
        async for page in self.pages(filters):
            for customer in page.data:
                yield customer

    async def pages(
        self, filters: Filters | None = None, *, limit: int = PAGE_LENGTH, total: bool = False
    ) -> AsyncGenerator[Page, None]:
        """Yield the pages of a list, of 1 to 100 customers each; with `total` each has the length of the whole list."""
        constant: dict[str, str | int] = {"limit": limit, **({"include": "total"} if total else {})}
        query = {**constant, **query_of(filters or {})}
        while True:
            call = Call("pages", "GET", self._customers, repeatable=True, query=query)
            page = _read(page_of, await self._sender.send(call))
            yield page
            if page.nextCursor is None:
                return
            query = {**constant, "cursor": page.nextCursor}

    async def versions(self, customer_id: str) -> AsyncGenerator[Version, None]:
        """Yield each version of the customer, the newest first; those of a deleted customer need the role editor."""
        path, query = f"{self._customer(customer_id)}/versions", dict[str, str | int](limit=PAGE_LENGTH)
        while True:
            call = Call("versions", "GET", path, repeatable=True, query=query)
            page = _read(version_page_of, await self._sender.send(call))
            for version in page.data:
                yield version
            if page.nextCursor is None:
                return
            query = {**query, "cursor": page.nextCursor}

    async def get_version(self, customer_id: str, version: int) -> Customer:
        """Return the customer as a version of it was; the version of a deletion is not found."""
        return await self._get("get_version", f"{self._customer(customer_id)}/versions/{version}", customer_id)

    def follow(self, cursor: str | None = None) -> AsyncGenerator[ChangePage, None]:
        """Yield the changes of the customers, page by page and without end, an empty page every 20 seconds.

        Without a cursor it begins with the customers that exist. Store a page's `cursor` once its changes are applied,
        and continue from it after a restart. It tries again, without a deadline, while the service cannot be reached or
        is too busy. Raises CursorExpired if the cursor is too old, and each error that another attempt cannot mend.
        """
        return follow(self._changes, self._sender.connection.sleep, cursor)

    async def batch_get(self, customer_ids: Iterable[str]) -> Batch:
        """Return any number of customers by their ids, in that order and each once."""
        ids = list({each.lower(): each for each in customer_ids}.values())
        call = Call("batch_get", "POST", f"{self._customers}/batch-get", repeatable=True)
        batches = [_read(batch_of, await self._send(call, {"ids": batch})) for _, batch in _batches(ids)]
        return Batch(
            tuple(customer for batch in batches for customer in batch.data),
            tuple(customer_id for batch in batches for customer_id in batch.notFound),
            tuple(customer_id for batch in batches for customer_id in batch.unreadable),
        )

    async def batch_upsert(self, customers: Iterable[CustomerInput]) -> tuple[UpsertResult, ...]:
        """Create or replace any number of customers by their externalId; return a result for each, in that order.

        A customer that is refused keeps none of the others back. A request has 100 of them, which must fit into 1 MB.
        If an error is raised, those of earlier requests are stored: sending all again changes nothing twice. Give each
        externalId once: the second in one request is refused, and one in a later request replaces the first.
        """
        results: list[UpsertResult] = []
        call = Call("batch_upsert", "POST", f"{self._customers}/batch-upsert", repeatable=True)
        for start, batch in _batches(list(customers)):
            answer = await self._send(call, {"customers": batch})
            results += _read(partial(upsert_results_of, start=start, count=len(batch)), answer)
        return tuple(results)

    async def create(self, customer: CustomerInput, *, idempotency_key: str | None = None) -> Customer:
        """Create a customer, once, however often the request is sent.

        A program that may itself be started again passes a key of its own: with the same key and customer it gets the
        same answer for 72 hours. Raises ValueError for a key that no request can have.
        """
        key = uuid4().hex if idempotency_key is None else sendable("the idempotency key", idempotency_key)
        headers = {"Idempotency-Key": key}
        call = Call("create", "POST", self._customers, repeatable=True, headers=headers)
        return self._written(await self._send(call, customer))

    async def update(self, customer_id: str, patch: CustomerPatch, *, if_match: str | None = "") -> Customer:
        """Change the fields of the patch, unless the customer's ETag is no longer `if_match`.

        Without `if_match` the request is sent once: after a lost answer it may have been applied or not.
        """
        headers = {**conditions(if_match), "Content-Type": MERGE_PATCH}
        path, repeatable = self._customer(customer_id), bool(if_match)
        answer = await self._send(Call("update", "PATCH", path, repeatable, headers=headers), patch)
        return self._written(answer, customer_id)

    async def put_by_external_id(
        self, external_id: str, customer: CustomerInput, *, if_match: str | None = ""
    ) -> Customer:
        """Create the customer of the caller's own id, or replace it whole."""
        path, headers = self._external(external_id), conditions(if_match)
        call = Call("put_by_external_id", "PUT", path, repeatable=True, headers=headers)
        return self._written(await self._send(call, customer))

    async def delete(self, customer_id: str, *, if_match: str | None = "") -> str | None:
        """Delete the customer; return its ETag for a `restore`, or None if the answer with it was lost."""
        headers = conditions(if_match)
        path = self._customer(customer_id)
        call = Call("delete", "DELETE", path, repeatable=True, headers=headers, removes=True)
        deleted = await self._delete(call)
        self._cache.remove(customer_id)
        return deleted.get("ETag")

    async def restore(self, customer_id: str, *, if_match: str | None = "") -> Customer:
        """Restore a deleted customer.

        Without `if_match`, or with None, which `delete` returns if its answer was lost, the request is sent once, as
        for `update`.
        """
        path, repeatable = f"{self._customer(customer_id)}/restore", bool(if_match)
        call = Call("restore", "POST", path, repeatable=repeatable, headers=conditions(if_match or ""))
        return self._written(await self._sender.send(call), customer_id)

    async def validate_tax_info(self, customer: str | CustomerInput) -> TaxInfo:
        """Return the errors and warnings of a customer: of a stored one by its id, or of one that you pass."""
        if isinstance(customer, str):
            path = f"{self._customer(customer)}/tax-info-validation"
            call = Call("validate_tax_info", "GET", path, repeatable=True)
            return _read(tax_info_of, await self._sender.send(call))
        call = Call("validate_tax_info", "POST", f"{self._customers}/tax-info-validation", repeatable=True)
        return _read(tax_info_of, await self._send(call, customer))

    async def put_sat_validation(
        self, customer_id: str, validation: SatValidationInput, *, if_match: str | None = ""
    ) -> Customer:
        """Store the SAT's answer about the customer, which is removed when a value changes that it is about."""
        path, headers = f"{self._customer(customer_id)}/sat-validation", conditions(if_match)
        body = {**validation, "checkedAt": instant(validation["checkedAt"])}
        call = Call("put_sat_validation", "PUT", path, repeatable=True, headers=headers)
        return self._written(await self._send(call, body), customer_id)

    async def delete_sat_validation(self, customer_id: str, *, if_match: str | None = "") -> None:
        """Remove the SAT's answer about the customer, if there is one."""
        path, headers = f"{self._customer(customer_id)}/sat-validation", conditions(if_match)
        await self._delete(Call("delete_sat_validation", "DELETE", path, repeatable=True, headers=headers))

    async def get_retention(self, customer_id: str) -> Retention:
        """Return the retention of the customer, for admins; it may be deleted or blocked."""
        path = f"{self._customer(customer_id)}/retention"
        return _read(retention_of, await self._sender.send(Call("get_retention", "GET", path, repeatable=True)))

    async def put_retention(
        self,
        customer_id: str,
        *,
        last_invoiced_on: date | None = None,
        hold: bool | None = None,
        reason: str | None = None,
    ) -> Retention:
        """Store the date of the last invoice (the latest date stays), or hold the customer for a reason.

        A hold, and `hold=False` that ends it, are for admins.
        """
        day = None if last_invoiced_on is None else f"{last_invoiced_on:%Y-%m-%d}"  # a datetime is a date too
        given = {"lastInvoicedOn": day, "hold": hold, "reason": reason}
        call = Call("put_retention", "PUT", f"{self._customer(customer_id)}/retention", repeatable=True)
        body = {name: value for name, value in given.items() if value is not None}
        return _read(retention_of, await self._send(call, body))

    async def get_erasure(self, customer_id: str) -> Erasure:
        """Return the state of the customer's erasure, for admins."""
        path = f"{self._customer(customer_id)}/erasure"
        return _read(erasure_of, await self._sender.send(Call("get_erasure", "GET", path, repeatable=True)))

    async def erase(self, customer_id: str) -> Erasure:
        """Erase the customer for ever, or block it while it must be retained; for admins."""
        path = self._customer(customer_id)
        erased = await self._sender.send(Call("erase", "POST", f"{path}/erasure", repeatable=True))
        self._cache.remove(customer_id)
        return _read(erasure_of, erased)

    async def list_members(self) -> tuple[Member, ...]:
        """Return the members in the order of their user ids."""
        call = Call("list_members", "GET", f"{self._organization}/members", repeatable=True)
        return _read(members_of, await self._sender.send(call))

    async def put_member(self, user_id: str, role: Role) -> Member:
        """Make a user a member, or change a member's role."""
        call = Call("put_member", "PUT", self._member(user_id), repeatable=True)
        return _read(member_of, await self._send(call, {"role": role}))

    async def delete_member(self, user_id: str) -> None:
        """End a membership."""
        await self._delete(Call("delete_member", "DELETE", self._member(user_id), repeatable=True, removes=True))

    async def list_tax_systems(self) -> tuple[TaxSystem, ...]:
        """Return the regimes that a customer may have."""
        return await self._catalog("list_tax_systems", tax_systems_of, "tax-systems")

    async def list_invoice_uses(
        self, tax_system: str | None = None, tax_id: str | None = None
    ) -> tuple[InvoiceUse, ...]:
        """Return the uses that an invoice may have, for a receiver of this regime and of this RFC if given."""
        given = {"taxSystem": tax_system, "taxId": tax_id}
        query = {name: value for name, value in given.items() if value is not None}
        return await self._catalog("list_invoice_uses", invoice_uses_of, "invoice-uses", query)

    async def list_countries(self) -> tuple[Code, ...]:
        """Return the countries."""
        return await self._catalog("list_countries", codes_of, "countries")

    async def list_states(self) -> tuple[Code, ...]:
        """Return Mexico's states."""
        return await self._catalog("list_states", codes_of, "states")

    async def get_zip_code(self, zip_code: str) -> ZipCode:
        """Return the place of a Mexican zip code."""
        return await self._catalog("get_zip_code", zip_code_of, f"zip-codes/{segment(zip_code)}")

    async def _catalog(
        self, operation: str, reader: Callable[[Any], T], name: str, query: Mapping[str, str] | None = None
    ) -> T:
        call = Call(operation, "GET", f"/catalogs/{name}", repeatable=True, query=query or {})
        return _read(reader, await self._sender.send(call))

    async def _changes(self, cursor: str | None) -> ChangePage:
        query: dict[str, str | int] = {"wait": WAIT_SECONDS, **({} if cursor is None else {"cursor": cursor})}
        path = f"{self._customers}/changes"
        call = Call("follow", "GET", path, repeatable=True, query=query, wait=WAIT_SECONDS)
        return _read(change_page_of, await self._sender.send(call))

    def _customer(self, customer_id: str) -> str:
        return f"{self._customers}/{segment(customer_id)}"

    def _external(self, external_id: str) -> str:
        return f"{self._customers}/by-external-id/{segment(external_id)}"

    def _member(self, user_id: str) -> str:
        return f"{self._organization}/members/{segment(user_id)}"

    async def _get(self, operation: str, path: str, customer_id: str | None = None) -> Customer:
        cached = self._cache.get(path)
        headers = {"If-None-Match": cached.etag} if cached and cached.etag else {}
        try:
            answer = await self._sender.send(Call(operation, "GET", path, repeatable=True, headers=headers))
        except CustomerNotFound:
            if cached:
                self._cache.remove(cached.id)
            raise
        if cached and answer.status == HTTPStatus.NOT_MODIFIED:
            return cached
        customer = self._customer_in(answer, customer_id)
        self._cache.put(path, customer)
        return customer

    async def _delete(self, call: Call) -> Mapping[str, str]:
        answer = await self._sender.send(call)
        if answer.status != HTTPStatus.NO_CONTENT:
            raise UnexpectedAnswer(f"{answer.status}: a deletion is answered with 204")
        return answer.headers

    def _written(self, answer: Answer, customer_id: str | None = None) -> Customer:
        customer = self._customer_in(answer, customer_id)
        self._cache.put(self._customer(customer.id), customer)
        return customer

    def _customer_in(self, answer: Answer, customer_id: str | None) -> Customer:
        """Return the customer of the answer; raises UnexpectedAnswer if it is not of this organization and id."""
        customer = _read(lambda body: customer_of(body, answer.headers.get("ETag")), answer)
        is_same = customer_id is None or customer.id == customer_id.lower()
        if customer.organizationId != self._organization_id or not is_same:
            raise UnexpectedAnswer(f"{answer.status}: this is not the customer that was requested")
        return customer

    async def _send(self, call: Call, value: object) -> Answer:
        headers = {"Content-Type": JSON, **call.headers}
        return await self._sender.send(replace(call, headers=headers, body=json.dumps(value).encode()))


def _batches(values: list[T]) -> list[tuple[int, list[T]]]:
    """Return the values in batches that the service takes, each with the place of its first."""
    return [(start, values[start : start + BATCH_LENGTH]) for start in range(0, len(values), BATCH_LENGTH)]


def _read(reader: Callable[[Any], T], answer: Answer) -> T:
    """Return what the reader makes of the body; raises UnexpectedAnswer if the body breaks the contract."""
    try:
        return reader(answer.json())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UnexpectedAnswer(f"{answer.status}: {type(error).__name__}") from None
