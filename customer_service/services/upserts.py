"""Customers under keys of their own: each is created, changed, or found to say nothing new."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias, TypeVar

from customer_service.errors import (
    CustomerServiceError,
    Duplicate,
    DuplicateTaxId,
    Finding,
    InvalidRequest,
    MalformedDocument,
    VersionMismatch,
)
from customer_service.fiscal import rules
from customer_service.repository.customers import DUPLICATE_ERRORS
from customer_service.schemas.inputs import FINDING_MESSAGES
from customer_service.services import validation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from customer_service.repository import CustomerBatchRepository, CustomerRepository
    from customer_service.repository.database import Document

T = TypeVar("T")
Status = Literal["created", "changed", "unchanged"]
AMBIGUOUS_TAX_ID = "Give an externalId: many customers may have this taxId."


class Upsert(NamedTuple):
    """A customer to store, and the key that says in whose place: its name, and its value."""

    name: str
    value: str
    customer: dict[str, Any]


class UpsertResult(NamedTuple):
    """What was done, and the customer as it is stored."""

    status: Status
    document: Document


Outcome: TypeAlias = UpsertResult | CustomerServiceError


def to_upsert(
    body: object,
    names: Sequence[str] = ("externalId",),
    errors_of: Callable[[object], list[Finding]] = validation.errors_of,
) -> Upsert:
    """Return the customer to store under the first of these keys that it has; raises InvalidRequest."""
    errors = errors_of(body)
    keys = rules.unique_keys(body) if isinstance(body, dict) else {}
    name = next((name for name in names if name in keys), None)
    if name is None and not {"", *(f"/{each}" for each in names)} & {each.path for each in errors}:
        message = AMBIGUOUS_TAX_ID if "taxId" in names else FINDING_MESSAGES["required"]
        errors = [*errors, Finding("/externalId", "required", message)]
    if errors or name is None or not isinstance(body, dict):
        raise InvalidRequest(errors)
    return Upsert(name, keys[name], validation.to_stored(body))


def upsert(customers: CustomerRepository, new: Upsert, document: Document | None) -> UpsertResult:
    """Store a customer in place of the living one that has its key, or as another where there is none.

    Nothing is written where that says the same already. Raises VersionMismatch where somebody was faster, else as
    the repository's `add` and `update` do, and MalformedDocument.
    """
    if document is None:
        return _add(customers, new)
    if new.name == "taxId" and rules.unique_keys(document).get("taxId") != new.value:  # another program moved it abroad
        raise DuplicateTaxId(document["organizationId"], str(document["_id"]))
    customer = new.customer
    if "externalId" not in customer and document.get("externalId"):  # known by its tax id: nothing is said of this one
        customer = {**customer, "externalId": document["externalId"]}
    stored = replace(customers, document, customer)
    return UpsertResult("unchanged" if stored is document else "changed", stored)


def replace(customers: CustomerRepository, document: Document, customer: dict[str, Any]) -> Document:
    """Store the customer in the document's place, if it says anything new; raises as the repository's `update`."""
    if customer == validation.canonical(validation.to_input(document)):
        return document
    return customers.update(document, customer)


def upsert_many(
    customers: CustomerBatchRepository, given: Sequence[T], validate: Callable[[T], Upsert]
) -> list[Outcome]:
    """Store each customer as `upsert` does, on its newest state; return what became of each, or why it was refused.

    The keys of those that `validate` lets pass differ. One turn looks all of them up and one adds the new ones.
    """
    outcomes: dict[int, Outcome] = {}
    upserts: dict[int, Upsert] = {}
    for place, each in enumerate(given):
        time.sleep(0)  # a gevent worker answers other requests between two customers
        try:
            upserts[place] = validate(each)
        except InvalidRequest as error:
            outcomes[place] = error
    found = _find(customers, upserts.values())
    absent = [place for place, each in upserts.items() if each[:2] not in found]
    for place, document in zip(absent, customers.add_many([upserts[place].customer for place in absent]), strict=True):
        if document is not None:
            outcomes[place] = UpsertResult("created", document)
    for place, new in upserts.items():
        if place not in outcomes:
            outcomes[place] = _upsert_until_current(customers, new, found.get(new[:2]))
    return [outcomes[place] for place in range(len(given))]


def _find(customers: CustomerBatchRepository, wanted: Iterable[Upsert]) -> dict[tuple[str, str], Document]:
    values: dict[str, list[str]] = {name: [] for name in DUPLICATE_ERRORS}
    for each in wanted:
        values[each.name].append(each.value)
    return {
        (name, value): document
        for name, those in values.items()
        for value, document in customers.find_by_keys(name, those).items()
    }


def _add(customers: CustomerRepository, new: Upsert) -> UpsertResult:
    try:
        document, _ = customers.add(new.customer)
    except DUPLICATE_ERRORS[new.name]:  # somebody was faster: it is a change by now
        raise VersionMismatch from None
    return UpsertResult("created", document)


def _upsert_until_current(customers: CustomerBatchRepository, new: Upsert, document: Document | None) -> Outcome:
    """Put the customer on the newest state, however often somebody else is faster."""
    while True:
        try:
            return upsert(customers, new, document)
        except VersionMismatch:
            document = customers.find_by_keys(new.name, [new.value]).get(new.value)
        except (Duplicate, MalformedDocument) as error:
            return error
