"""What the service tells, and what it is sent, under the contract's own names: one name from here to its documents."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, TypedDict, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from customer_service.roles import Role

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Address:
    """The fiscal address of a customer; None where a part is not set."""

    street: str | None = None
    exterior: str | None = None
    interior: str | None = None
    neighborhood: str | None = None
    city: str | None = None
    municipality: str | None = None
    zip: str | None = None
    state: str | None = None
    country: str | None = None


@dataclass(frozen=True, slots=True)
class Customer:
    """A customer as the service tells it; `etag` is for `if_match`, and None in lists and batches, which tell none."""

    id: str
    organizationId: str
    legalName: str
    taxId: str
    taxSystem: str
    email: str
    phone: str | None
    defaultInvoiceUse: str
    address: Address
    createdAt: datetime
    updatedAt: datetime
    externalId: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict, hash=False)
    etag: str | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a list; `unreadable` are the ids of those that the service cannot tell, `total` counts the whole list.

    `nextCursor` is None on the last page, `total` where it was not asked for.
    """

    data: tuple[Customer, ...]
    unreadable: tuple[str, ...]
    nextCursor: str | None
    total: int | None


@dataclass(frozen=True, slots=True)
class Batch:
    """The customers asked for by their ids, in that order, the ids of none, and of those that cannot be told."""

    data: tuple[Customer, ...]
    notFound: tuple[str, ...]
    unreadable: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """What became of a customer: `created`, `changed`, `deleted`, or `unreadable` where the service cannot tell it.

    `customer` is the customer as it is now, None where it is deleted or unreadable.
    """

    type: Literal["created", "changed", "deleted", "unreadable"]
    id: str
    customer: Customer | None


@dataclass(frozen=True, slots=True)
class ChangePage:
    """Some changes in their order; `cursor` is where to go on behind them, and `hasMore` whether more are there."""

    data: tuple[Change, ...]
    cursor: str
    hasMore: bool


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with one value: its JSON Pointer, a stable code, and what to do next."""

    path: str
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class TaxInfo:
    """Whether the tax authority's rules allow a customer, and what it will probably refuse all the same."""

    isValid: bool
    errors: tuple[Finding, ...]
    warnings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Member:
    """A member of the organization: what its tokens call it, and what it may do."""

    userId: str
    role: Role


class AddressInput(TypedDict, total=False):
    """An address to send; `zip` is required in Mexico, `country` is MEX where absent, and null clears a part."""

    street: str | None
    exterior: str | None
    interior: str | None
    neighborhood: str | None
    city: str | None
    municipality: str | None
    zip: str | None
    state: str | None
    country: str | None


class _Optional(TypedDict, total=False):
    phone: str | None
    externalId: str | None
    metadata: Mapping[str, str] | None


class CustomerInput(_Optional):
    """A whole customer to send."""

    legalName: str
    taxId: str
    taxSystem: str
    email: str
    defaultInvoiceUse: str
    address: AddressInput


class CustomerPatch(TypedDict, total=False):
    """What to change of a customer (RFC 7396): what is absent stays, None clears what may be empty."""

    legalName: str
    taxId: str
    taxSystem: str
    email: str
    phone: str | None
    defaultInvoiceUse: str
    address: AddressInput
    externalId: str | None
    metadata: Mapping[str, str | None] | None


Filters = TypedDict(
    "Filters",
    {
        "q": str,
        "taxId": str,
        "email": str,
        "externalId": str,
        "metadata": "Mapping[str, str]",
        "createdAt[gt]": datetime,
        "createdAt[gte]": datetime,
        "createdAt[lt]": datetime,
        "createdAt[lte]": datetime,
        "updatedAt[gt]": datetime,
        "updatedAt[gte]": datetime,
        "updatedAt[lt]": datetime,
        "updatedAt[lte]": datetime,
    },
    total=False,
)
"""What a list may be narrowed to: a time has its offset from UTC, `metadata` at most five entries."""


def customer_of(told: Mapping[str, Any], etag: str | None = None) -> Customer:
    """Return the customer; raises KeyError, TypeError or ValueError for what is none."""
    known = {name: told[name] for name in Customer.__dataclass_fields__ if name in told}
    return Customer(
        **{
            **known,
            "address": _known(Address, told["address"]),
            "createdAt": datetime.fromisoformat(told["createdAt"]),
            "updatedAt": datetime.fromisoformat(told["updatedAt"]),
            "etag": etag,
        }
    )


def page_of(told: Mapping[str, Any]) -> Page:
    """Return the page; raises as `customer_of`."""
    return Page(customers_of(told), tuple(told.get("unreadable", ())), told["nextCursor"], told.get("total"))


def batch_of(told: Mapping[str, Any]) -> Batch:
    """Return the batch; raises as `customer_of`."""
    return Batch(customers_of(told), tuple(told["notFound"]), tuple(told.get("unreadable", ())))


def change_page_of(told: Mapping[str, Any]) -> ChangePage:
    """Return the page; raises as `customer_of`."""
    return ChangePage(tuple(_change_of(each) for each in told["data"]), told["cursor"], told["hasMore"])


def customers_of(told: Mapping[str, Any]) -> tuple[Customer, ...]:
    """Return the customers of a list; raises as `customer_of`."""
    return tuple(customer_of(each) for each in told["data"])


def findings_of(told: list[Mapping[str, Any]]) -> tuple[Finding, ...]:
    """Return what is wrong, value by value; raises TypeError for what is no list of findings."""
    return tuple(_known(Finding, each) for each in told)


def tax_info_of(told: Mapping[str, Any]) -> TaxInfo:
    """Return the judgement; raises as `customer_of`."""
    return TaxInfo(told["isValid"], findings_of(told["errors"]), findings_of(told["warnings"]))


def member_of(told: Mapping[str, Any]) -> Member:
    """Return the member; raises as `customer_of`."""
    return Member(told["userId"], told["role"])


def _change_of(told: Mapping[str, Any]) -> Change:
    customer = told["customer"]
    return Change(told["type"], told["id"], None if customer is None else customer_of(customer))


def _known(kind: Callable[..., T], told: Mapping[str, Any]) -> T:
    """Return the value without what a newer service may tell beside it."""
    fields = kind.__dataclass_fields__  # type: ignore[attr-defined]
    return kind(**{name: value for name, value in told.items() if name in fields})
