"""Upserts: create or replace the customer that has a unique key, or leave it unchanged."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias, TypeVar

from customer_service.errors import (
    CustomerServiceError,
    DocumentRefused,
    Duplicate,
    DuplicateTaxId,
    InvalidRequest,
    MalformedDocument,
    VersionMismatch,
)
from customer_service.errors.findings import Finding
from customer_service.fiscal import rules
from customer_service.repository.customers import DUPLICATE_ERRORS
from customer_service.services import validation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from customer_service.repository import CustomerBatchRepository, CustomerRepository
    from customer_service.repository.database import Document

T = TypeVar("T")
Status = Literal["created", "changed", "unchanged"]
NO_EXTERNAL_ID = Finding.of_shape("/externalId", "required")
AMBIGUOUS_TAX_ID = Finding("/externalId", "required", "Give an externalId: many customers may have this taxId.")


class Upsert(NamedTuple):
    """A customer to store, and the name and value of the unique key of the customer that it replaces."""

    name: str
    value: str
    customer: dict[str, Any]


class UpsertResult(NamedTuple):
    """The result of an upsert: its status, and the stored document."""

    status: Status
    document: Document


Outcome: TypeAlias = UpsertResult | CustomerServiceError
UpsertBatch: TypeAlias = "Callable[[Sequence[Upsert | InvalidRequest]], list[Outcome]]"
"""A function that upserts the valid customers of a batch, such as `upsert_many` of a repository."""


def to_upsert(
    body: object,
    names: Sequence[str] = ("externalId",),
    errors_of: Callable[[object], list[Finding]] = validation.errors_of,
) -> Upsert:
    """Return the upsert of a customer by the first of these keys that it has; raises InvalidRequest."""
    errors = errors_of(body)
    keys = rules.unique_keys(body) if isinstance(body, dict) else {}
    name = next((each for each in names if each in keys), None)
    has_error = any(error.path in {"", *(f"/{each}" for each in names)} for error in errors)
    if name is None and not has_error:
        errors = [*errors, AMBIGUOUS_TAX_ID if "taxId" in names else NO_EXTERNAL_ID]
    if errors or name is None or not isinstance(body, dict):
        raise InvalidRequest(errors)
    return Upsert(name, keys[name], validation.to_stored(body))


def refusing_repeated() -> Callable[[object], Upsert]:
    """Return `to_upsert` for the customers of one batch, which also refuses an external id of an earlier one.

    A customer that is invalid counts as an earlier one too.
    """
    seen: set[str] = set()

    def validate(body: object) -> Upsert:
        time.sleep(0)  # a gevent worker answers other requests between two customers
        key = rules.unique_keys(body).get("externalId") if isinstance(body, dict) else None
        if key in seen:
            raise InvalidRequest([Finding.of_shape("/externalId", "repeated")])
        if key is not None:
            seen.add(key)
        return to_upsert(body)

    return validate


def upsert(customers: CustomerRepository, new: Upsert, document: Document | None) -> UpsertResult:
    """Replace the active customer `document`, which has the same key, or create a customer if it is None.

    It writes nothing if the stored customer is equal. Raises VersionMismatch if another write was first, the errors of
    the repository's `add` and `update`, and MalformedDocument.
    """
    if document is None:
        return _add(customers, new)
    customer = _difference(new, document)
    if customer is None:
        return UpsertResult("unchanged", document)
    return UpsertResult("changed", customers.update(document, customer))


def replace(customers: CustomerRepository, document: Document, customer: dict[str, Any]) -> Document:
    """Replace the document's customer if it differs; raises as the repository's `update`."""
    return document if _is_stored(document, customer) else customers.update(document, customer)


def _difference(new: Upsert, document: Document) -> dict[str, Any] | None:
    """Return the customer that must replace the document's, or None if it is equal.

    Raises DuplicateTaxId and MalformedDocument.
    """
    # another program may have changed the country, and so the key
    if new.name == "taxId" and rules.unique_keys(document).get("taxId") != new.value:
        raise DuplicateTaxId(document["organizationId"], str(document["_id"]))
    customer = new.customer
    if "externalId" not in customer and document.get("externalId"):  # the tax id was the key: keep the external id
        customer = {**customer, "externalId": document["externalId"]}
    return None if _is_stored(document, customer) else customer


def _is_stored(document: Document, customer: dict[str, Any]) -> bool:
    """Return whether the document has this customer already; raises MalformedDocument."""
    return customer == validation.canonical(validation.to_input(document))


def validate_many(given: Sequence[T], validate: Callable[[T], Upsert]) -> list[Upsert | InvalidRequest]:
    """Return each customer's upsert, or the error that refuses it."""
    return [_upsert_or_error(each, validate) for each in given]


def upsert_many(customers: CustomerBatchRepository, validated: Sequence[Upsert | InvalidRequest]) -> list[Outcome]:
    """Do each upsert on the newest state; return each one's result, or the error that refused it.

    No two upserts may have the same key. One query for each kind of key finds the stored customers, one write adds the
    new ones, and one changes those that differ.
    """
    upserts = [each for each in validated if isinstance(each, Upsert)]
    found = _find_each_once(customers, upserts)
    done = _add_many(customers, [each for each in upserts if _key(each) not in found])
    with suppress(DocumentRefused):  # each is then written singly, and gets its own error
        done |= _change_many(customers, [(each, found[_key(each)]) for each in upserts if _key(each) in found])
    return [
        each
        if isinstance(each, CustomerServiceError)
        else done.get(_key(each)) or _upsert_until_current(customers, each, found.get(_key(each)))
        for each in validated
    ]


def preview_many(customers: CustomerBatchRepository, validated: Sequence[Upsert | InvalidRequest]) -> list[Outcome]:
    """Return what `upsert_many` would do with each customer if it were alone in the batch; store nothing.

    The document of a customer that it would create is empty.
    """
    upserts = [each for each in validated if isinstance(each, Upsert)]
    keys = {key for each in upserts for key in (_key(each), *rules.unique_keys(each.customer).items())}
    found = _find(customers, keys)
    return [each if isinstance(each, CustomerServiceError) else _preview(each, found) for each in validated]


def _preview(new: Upsert, found: Mapping[tuple[str, str], Document]) -> Outcome:
    document = found.get(_key(new), {})
    try:
        if document and _difference(new, document) is None:
            return UpsertResult("unchanged", document)
    except (DuplicateTaxId, MalformedDocument) as error:
        return error
    for name, value in rules.unique_keys(new.customer).items():
        other = found.get((name, value), document)
        if other.get("_id") != document.get("_id"):
            return DUPLICATE_ERRORS[name](other["organizationId"], str(other["_id"]))
    return UpsertResult("changed" if document else "created", document)


def _upsert_or_error(item: T, validate: Callable[[T], Upsert]) -> Upsert | InvalidRequest:
    try:
        return validate(item)
    except InvalidRequest as error:
        return error.with_traceback(None)  # the traceback would keep the item in memory


def _key(new: Upsert) -> tuple[str, str]:
    return new.name, new.value


def _add_many(customers: CustomerBatchRepository, new: Sequence[Upsert]) -> dict[tuple[str, str], UpsertResult]:
    """Add the customers in one write; return the result of each that was added, by its key."""
    documents = customers.add_many([each.customer for each in new])
    added = zip(new, documents, strict=True)
    return {_key(each): UpsertResult("created", document) for each, document in added if document is not None}


def _change_many(
    customers: CustomerBatchRepository, pairs: Iterable[tuple[Upsert, Document]]
) -> dict[tuple[str, str], UpsertResult]:
    """Replace the stored customers that differ, in one write; return the result of each that is stored, by its key."""
    done: dict[tuple[str, str], UpsertResult] = {}
    changes: list[tuple[Upsert, Document, dict[str, Any]]] = []
    for new, document in pairs:
        with suppress(DuplicateTaxId, MalformedDocument):  # `upsert` returns this error
            customer = _difference(new, document)
            if customer is None:
                done[_key(new)] = UpsertResult("unchanged", document)
            else:
                changes.append((new, document, customer))
    stored = customers.update_many([(document, customer) for _, document, customer in changes])
    for (new, _, _), written in zip(changes, stored, strict=True):
        if written is not None:
            done[_key(new)] = UpsertResult("changed", written)
    return done


def _find(customers: CustomerBatchRepository, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Document]:
    """Return the stored customers that have one of these unique keys, by the key."""
    values: dict[str, list[str]] = {name: [] for name in DUPLICATE_ERRORS}
    for name, value in keys:
        values[name].append(value)
    return {
        (name, value): document
        for name, those in values.items()
        for value, document in customers.find_by_keys(name, those).items()
    }


def _find_each_once(customers: CustomerBatchRepository, upserts: Sequence[Upsert]) -> dict[tuple[str, str], Document]:
    """Return the stored customers of the upserts by the key, each by the first key that an upsert has of it.

    The first of them may take the other key from the customer. Another upsert with that key must not be compared with
    what was stored before: it is tried as a new customer, and then on the newest state.
    """
    found = _find(customers, map(_key, upserts))
    first: dict[Any, tuple[str, str]] = {}
    for key in map(_key, upserts):
        if key in found:
            first.setdefault(found[key]["_id"], key)
    return {key: found[key] for key in first.values()}


def _add(customers: CustomerRepository, new: Upsert) -> UpsertResult:
    try:
        document, _ = customers.add(new.customer)
    except DUPLICATE_ERRORS[new.name]:  # another request created it: retry as a change
        raise VersionMismatch from None
    return UpsertResult("created", document)


def _upsert_until_current(customers: CustomerBatchRepository, new: Upsert, document: Document | None) -> Outcome:
    """Upsert the customer, and retry on the newest document each time another write was first."""
    while True:
        try:
            return upsert(customers, new, document)
        except VersionMismatch:
            document = customers.find_by_keys(new.name, [new.value]).get(new.value)
        except (DocumentRefused, Duplicate, MalformedDocument) as error:
            return error
