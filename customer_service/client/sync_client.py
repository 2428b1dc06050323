"""The client for programs that block, in as many threads as they like."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import httpx2

from customer_service.client.calls import CallSender
from customer_service.client.connections import SyncConnection, iterate, run, tls_context
from customer_service.client.operations import PAGE_LENGTH, TIMEOUT_SECONDS, Operations

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable
    from datetime import date, datetime

    from customer_service.client.calls import Token
    from customer_service.client.models import (
        Batch,
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


class CustomerClient:
    """The customers and members of one organization, over HTTP; threads may share it.

    Every method raises ProblemError if the service refuses, Unreachable if it does not answer in time, and
    UnexpectedAnswer if the answer is not one of the contract. Until then it repeats the request if that is safe. What
    the function that returns the token raises is raised too. Create a client in each process, after the fork.
    """

    def __init__(
        self,
        base_url: str,
        token: Token,
        organization_id: str,
        *,
        timeout: float = TIMEOUT_SECONDS,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        """Take the service's address, a token or a function that returns a fresh one, and the deadline of a call."""
        self._connection = SyncConnection(base_url, transport or httpx2.HTTPTransport(verify=tls_context(base_url)))
        self._operations = Operations(CallSender(self._connection, token, timeout), organization_id)

    def __enter__(self) -> Self:
        """Return the client, which is closed afterwards."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the client."""
        self.close()

    def close(self) -> None:
        """Close its connections."""
        run(self._connection.close())

    def get(self, customer_id: str, *, as_of: datetime | None = None) -> Customer:
        """Return the customer of this id, from the cache if the service answers that it is current.

        With `as_of` return it as it was at that time, which has an offset from UTC.
        """
        return run(self._operations.get(customer_id, as_of=as_of))

    def get_by_external_id(self, external_id: str) -> Customer:
        """Return the customer of the caller's own id, as `get` does."""
        return run(self._operations.get_by_external_id(external_id))

    def search(self, filters: Filters | None = None) -> Generator[Customer, None, None]:
        """Yield each customer that the filters select, all of them without filters, in the service's order."""
        return iterate(self._operations.search(filters))

    def pages(
        self, filters: Filters | None = None, *, limit: int = PAGE_LENGTH, total: bool = False
    ) -> Generator[Page, None, None]:
        """Yield the pages of a list, of 1 to 100 customers each; with `total` each has the length of the whole list."""
        return iterate(self._operations.pages(filters, limit=limit, total=total))

    def versions(self, customer_id: str) -> Generator[Version, None, None]:
        """Yield each version of the customer, the newest first; those of a deleted customer need the role editor."""
        return iterate(self._operations.versions(customer_id))

    def get_version(self, customer_id: str, version: int) -> Customer:
        """Return the customer as a version of it was; the version of a deletion is not found."""
        return run(self._operations.get_version(customer_id, version))

    def follow(self, cursor: str | None = None) -> Generator[ChangePage, None, None]:
        """Yield the changes of the customers, page by page and without end, an empty page every 20 seconds.

        Without a cursor it begins with the customers that exist. Store a page's `cursor` once its changes are applied,
        and continue from it after a restart. It tries again, without a deadline, while the service cannot be reached or
        is too busy. Raises CursorExpired if the cursor is too old, and each error that another attempt cannot mend.
        """
        return iterate(self._operations.follow(cursor))

    def batch_get(self, customer_ids: Iterable[str]) -> Batch:
        """Return any number of customers by their ids, in that order and each once."""
        return run(self._operations.batch_get(customer_ids))

    def batch_upsert(self, customers: Iterable[CustomerInput]) -> tuple[UpsertResult, ...]:
        """Create or replace any number of customers by their externalId; return a result for each, in that order.

        A customer that is refused keeps none of the others back. A request has 100 of them, which must fit into 1 MB.
        If an error is raised, those of earlier requests are stored: sending all again changes nothing twice. Give each
        externalId once: the second in one request is refused, and one in a later request replaces the first.
        """
        return run(self._operations.batch_upsert(customers))

    def create(self, customer: CustomerInput, *, idempotency_key: str | None = None) -> Customer:
        """Create a customer, once, however often the request is sent.

        A program that may itself be started again passes a key of its own: with the same key and customer it gets the
        same answer for 72 hours. Raises ValueError for a key that no request can have.
        """
        return run(self._operations.create(customer, idempotency_key=idempotency_key))

    def update(self, customer_id: str, patch: CustomerPatch, *, if_match: str | None = "") -> Customer:
        """Change the fields of the patch, unless the customer's ETag is no longer `if_match`.

        Without `if_match` the request is sent once: after a lost answer it may have been applied or not.
        """
        return run(self._operations.update(customer_id, patch, if_match=if_match))

    def put_by_external_id(self, external_id: str, customer: CustomerInput, *, if_match: str | None = "") -> Customer:
        """Create the customer of the caller's own id, or replace it whole."""
        return run(self._operations.put_by_external_id(external_id, customer, if_match=if_match))

    def delete(self, customer_id: str, *, if_match: str | None = "") -> str | None:
        """Delete the customer; return its ETag for a `restore`, or None if the answer with it was lost."""
        return run(self._operations.delete(customer_id, if_match=if_match))

    def restore(self, customer_id: str, *, if_match: str | None = "") -> Customer:
        """Restore a deleted customer.

        Without `if_match`, or with None, which `delete` returns if its answer was lost, the request is sent once, as
        for `update`.
        """
        return run(self._operations.restore(customer_id, if_match=if_match))

    def validate_tax_info(self, customer: str | CustomerInput) -> TaxInfo:
        """Return the errors and warnings of a customer: of a stored one by its id, or of one that you pass."""
        return run(self._operations.validate_tax_info(customer))

    def put_sat_validation(
        self, customer_id: str, validation: SatValidationInput, *, if_match: str | None = ""
    ) -> Customer:
        """Store the SAT's answer about the customer, which is removed when a value changes that it is about."""
        return run(self._operations.put_sat_validation(customer_id, validation, if_match=if_match))

    def delete_sat_validation(self, customer_id: str, *, if_match: str | None = "") -> None:
        """Remove the SAT's answer about the customer, if there is one."""
        return run(self._operations.delete_sat_validation(customer_id, if_match=if_match))

    def get_retention(self, customer_id: str) -> Retention:
        """Return the retention of the customer, for admins; it may be deleted or blocked."""
        return run(self._operations.get_retention(customer_id))

    def put_retention(
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
        return run(
            self._operations.put_retention(customer_id, last_invoiced_on=last_invoiced_on, hold=hold, reason=reason)
        )

    def get_erasure(self, customer_id: str) -> Erasure:
        """Return the state of the customer's erasure, for admins."""
        return run(self._operations.get_erasure(customer_id))

    def erase(self, customer_id: str) -> Erasure:
        """Erase the customer for ever, or block it while it must be retained; for admins."""
        return run(self._operations.erase(customer_id))

    def list_members(self) -> tuple[Member, ...]:
        """Return the members in the order of their user ids."""
        return run(self._operations.list_members())

    def put_member(self, user_id: str, role: Role) -> Member:
        """Make a user a member, or change a member's role."""
        return run(self._operations.put_member(user_id, role))

    def delete_member(self, user_id: str) -> None:
        """End a membership."""
        return run(self._operations.delete_member(user_id))

    def list_tax_systems(self) -> tuple[TaxSystem, ...]:
        """Return the regimes that a customer may have."""
        return run(self._operations.list_tax_systems())

    def list_invoice_uses(self, tax_system: str | None = None, tax_id: str | None = None) -> tuple[InvoiceUse, ...]:
        """Return the uses that an invoice may have, for a receiver of this regime and of this RFC if given."""
        return run(self._operations.list_invoice_uses(tax_system, tax_id))

    def list_countries(self) -> tuple[Code, ...]:
        """Return the countries."""
        return run(self._operations.list_countries())

    def list_states(self) -> tuple[Code, ...]:
        """Return Mexico's states."""
        return run(self._operations.list_states())

    def get_zip_code(self, zip_code: str) -> ZipCode:
        """Return the place of a Mexican zip code."""
        return run(self._operations.get_zip_code(zip_code))
