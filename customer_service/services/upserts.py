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
from customer_service.schemas.inputs import MESSAGES
from customer_service.services import validation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from customer_service.repository import CustomerBatchRepository, CustomerRepository
    from customer_service.repository.database import Document

T = TypeVar("T")
Status = Literal["created", "changed", "unchanged"]
NOT_ONE_CUSTOMER = "Give an externalId: many customers may have this taxId."


class Keyed(NamedTuple):
    """A customer to store, and the key that says in whose place: its name, and its value."""

    name: str
    value: str
    customer: dict[str, Any]


class Upserted(NamedTuple):
    """What was done, and the customer as it is stored."""

    status: Status
    document: Document


Outcome: TypeAlias = Upserted | CustomerServiceError


def keyed(
    body: object,
    names: Sequence[str] = ("externalId",),
    errors_of: Callable[[object], list[Finding]] = validation.errors_of,
) -> Keyed:
    """Return the customer to store under the first of these keys that it has; raises InvalidRequest."""
    errors = errors_of(body)
    keys = rules.unique_keys(body) if isinstance(body, dict) else {}
    name = next((name for name in names if name in keys), None)
    if name is None and not {"", *(f"/{each}" for each in names)} & {each.path for each in errors}:
        message = NOT_ONE_CUSTOMER if "taxId" in names else MESSAGES["required"]
        errors = [*errors, Finding("/externalId", "required", message)]
    if errors or name is None or not isinstance(body, dict):
        raise InvalidRequest(errors)
    return Keyed(name, keys[name], validation.to_store(body))


def put(customers: CustomerRepository, new: Keyed, document: Document | None) -> Upserted:
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
    return Upserted("unchanged" if stored is document else "changed", stored)


def replace(customers: CustomerRepository, document: Document, customer: dict[str, Any]) -> Document:
    """Store the customer in the document's place, if it says anything new; raises as the repository's `update`."""
    if customer == validation.canonical(validation.told(document)):
        return document
    return customers.update(document, customer)


def put_many(customers: CustomerBatchRepository, given: Sequence[T], judge: Callable[[T], Keyed]) -> list[Outcome]:
    """Store each customer as `put` does, on its newest state; return what became of each, or why it was refused.

    The keys of those that `judge` lets pass differ. One turn looks all of them up and one adds the new ones.
    """
    outcomes: dict[int, Outcome] = {}
    judged: dict[int, Keyed] = {}
    for place, each in enumerate(given):
        time.sleep(0)  # a gevent worker answers other requests between two customers
        try:
            judged[place] = judge(each)
        except InvalidRequest as error:
            outcomes[place] = error
    found = _find(customers, judged.values())
    absent = [place for place, each in judged.items() if each[:2] not in found]
    for place, document in zip(absent, customers.add_many([judged[place].customer for place in absent]), strict=True):
        if document is not None:
            outcomes[place] = Upserted("created", document)
    for place, new in judged.items():
        if place not in outcomes:
            outcomes[place] = _settle(customers, new, found.get(new[:2]))
    return [outcomes[place] for place in range(len(given))]


def _find(customers: CustomerBatchRepository, wanted: Iterable[Keyed]) -> dict[tuple[str, str], Document]:
    values: dict[str, list[str]] = {name: [] for name in DUPLICATE_ERRORS}
    for each in wanted:
        values[each.name].append(each.value)
    return {
        (name, value): document
        for name, those in values.items()
        for value, document in customers.find_by_keys(name, those).items()
    }


def _add(customers: CustomerRepository, new: Keyed) -> Upserted:
    try:
        document, _ = customers.add(new.customer)
    except DUPLICATE_ERRORS[new.name]:  # somebody was faster: it is a change by now
        raise VersionMismatch from None
    return Upserted("created", document)


def _settle(customers: CustomerBatchRepository, new: Keyed, document: Document | None) -> Outcome:
    """Put the customer on the newest state, however often somebody else is faster."""
    while True:
        try:
            return put(customers, new, document)
        except VersionMismatch:
            document = customers.find_by_keys(new.name, [new.value]).get(new.value)
        except (Duplicate, MalformedDocument) as error:
            return error
