"""The values that the service sends and takes, under the names of the contract (docs/decisions/0025)."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Literal, TypedDict, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import UnionType

    from customer_service.roles import Role

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Address:
    """The fiscal address of a customer; a part that is not set is None."""

    street: str | None = None
    exterior: str | None = None
    interior: str | None = None
    neighborhood: str | None = None
    city: str | None = None
    municipality: str | None = None
    zip: str | None = None
    state: str | None = None
    country: str | None = None


SatStatus = Literal["matched", "mismatched", "not-found"]
SatFilter = Literal["matched", "mismatched", "not-found", "unchecked"]


@dataclass(frozen=True, slots=True)
class SatValidation:
    """The SAT's answer about a customer: `mismatches` are the JSON Pointers of what differs, if they are known."""

    status: SatStatus
    checkedAt: datetime
    source: str
    mismatches: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Customer:
    """A customer as the service sends it; `etag` is for `if_match`, and None in lists and batches, which have none."""

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
    satValidation: SatValidation | None = None
    etag: str | None = field(default=None, compare=False)

    def to_input(self) -> CustomerInput:
        """Return the values that a caller may send, for `create`, `put_by_external_id` and `batch_upsert`.

        They are all values of the customer: send them with `if_match`, or what others changed meanwhile is overwritten.
        """
        return {
            "legalName": self.legalName,
            "taxId": self.taxId,
            "taxSystem": self.taxSystem,
            "email": self.email,
            "phone": self.phone,
            "defaultInvoiceUse": self.defaultInvoiceUse,
            "address": cast("AddressInput", asdict(self.address)),
            "externalId": self.externalId,
            "metadata": dict(self.metadata),
        }


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a list; `unreadable` are the ids of customers that the service cannot serialize.

    `nextCursor` is None on the last page. `total` is the length of the whole list, None unless requested.
    """

    data: tuple[Customer, ...]
    unreadable: tuple[str, ...]
    nextCursor: str | None
    total: int | None


@dataclass(frozen=True, slots=True)
class Batch:
    """The customers of the given ids, in that order; the ids without one, and those that cannot be serialized."""

    data: tuple[Customer, ...]
    notFound: tuple[str, ...]
    unreadable: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """A change of a customer: `created`, `changed`, `deleted`, or `unreadable` if the service cannot serialize it.

    `customer` is the customer as it is now, None if it is deleted or unreadable.
    """

    type: Literal["created", "changed", "deleted", "unreadable"]
    id: str
    customer: Customer | None


@dataclass(frozen=True, slots=True)
class ChangePage:
    """Some changes in their order; `cursor` continues behind them, and `hasMore` is whether more are there."""

    data: tuple[Change, ...]
    cursor: str
    hasMore: bool


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a customer: who wrote it, by which request, and the JSON Pointers of what a `changed` one changed.

    What another program wrote has no `updatedBy` and no `requestId`, and may have no `updatedAt`.
    """

    version: int
    updatedAt: datetime | None
    updatedBy: str | None
    requestId: str | None
    change: Literal["created", "changed", "deleted", "restored"]
    changed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class VersionPage:
    """A page of a customer's versions, the newest first; `nextCursor` is None on the last page."""

    data: tuple[Version, ...]
    nextCursor: str | None


@dataclass(frozen=True, slots=True)
class Retention:
    """Until when the tax law retains a customer, and whether it is held without a date; what is not set is None."""

    lastInvoicedOn: date | None
    retainUntil: date | None
    hold: bool
    reason: str | None


@dataclass(frozen=True, slots=True)
class Erasure:
    """The state of a customer's erasure.

    If it is blocked: what retains it and until when, None if it is held, and the JSON Pointers of the erased fields.
    """

    state: Literal["none", "blocked", "erased"]
    retainUntil: date | None = None
    basis: str | None = None
    erased: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """A finding about one value: its JSON Pointer, a stable code, what to do next, and what to send instead."""

    path: str
    code: str
    message: str
    suggestion: str | None = None


@dataclass(frozen=True, slots=True)
class TaxInfo:
    """Whether the tax authority's rules allow a customer, and what it will probably refuse all the same."""

    isValid: bool
    errors: tuple[Finding, ...]
    warnings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Code:
    """A code of one of the SAT's catalogues, and its name there."""

    code: str
    name: str


@dataclass(frozen=True, slots=True)
class TaxSystem:
    """A regime, and whether companies and persons may have it."""

    code: str
    name: str
    companies: bool
    persons: bool


@dataclass(frozen=True, slots=True)
class InvoiceUse:
    """A use of invoices, and the regimes that allow it."""

    code: str
    name: str
    taxSystems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ZipCode:
    """The place of a zip code; many have no municipality, and most have no city."""

    zip: str
    state: Code
    municipality: Code | None
    city: Code | None


@dataclass(frozen=True, slots=True)
class Member:
    """A member of the organization: what its tokens call it, and what it may do."""

    userId: str
    role: Role


class AddressInput(TypedDict, total=False):
    """An address to send; null clears a part.

    `zip` is required in Mexico unless the RFC is generic, and `country` is MEX if absent.
    """

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


class _Mismatches(TypedDict, total=False):
    mismatches: Sequence[str]


class SatValidationInput(_Mismatches):
    """What the SAT answered, to send; `mismatches` only if the status is `mismatched`."""

    status: SatStatus
    checkedAt: datetime
    source: str


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
        "q": "str | None",
        "taxId": "str | None",
        "email": "str | None",
        "externalId": "str | None",
        "metadata": "Mapping[str, str] | None",
        "satValidation": "SatFilter | None",
        "createdAt[gt]": "datetime | None",
        "createdAt[gte]": "datetime | None",
        "createdAt[lt]": "datetime | None",
        "createdAt[lte]": "datetime | None",
        "updatedAt[gt]": "datetime | None",
        "updatedAt[gte]": "datetime | None",
        "updatedAt[lt]": "datetime | None",
        "updatedAt[lte]": "datetime | None",
    },
    total=False,
)
"""What a list may be narrowed to: a time has its offset from UTC, `metadata` at most five entries.

A filter that is None counts as absent.
"""


def customer_of(body: Mapping[str, Any], etag: str | None = None) -> Customer:
    """Return the customer; raises KeyError, TypeError or ValueError for what is none."""
    known = {name: body[name] for name in Customer.__dataclass_fields__ if name in body}
    for name in ("id", "organizationId", "legalName", "taxId", "taxSystem", "email", "defaultInvoiceUse"):
        _checked(known[name], str)
    for name in ("phone", "externalId"):
        _checked(known.get(name), str | None)
    return Customer(
        **{
            **known,
            "metadata": _checked(known.get("metadata", {}), dict),
            "address": _known(Address, body["address"]),
            "createdAt": datetime.fromisoformat(body["createdAt"]),
            "updatedAt": datetime.fromisoformat(body["updatedAt"]),
            "satValidation": _sat_validation_of(body["satValidation"]) if "satValidation" in body else None,
            "etag": etag,
        }
    )


def page_of(body: Mapping[str, Any]) -> Page:
    """Return the page; raises as `customer_of`."""
    return Page(customers_of(body), tuple(body.get("unreadable", ())), _next_cursor(body), body.get("total"))


def batch_of(body: Mapping[str, Any]) -> Batch:
    """Return the batch; raises as `customer_of`."""
    return Batch(customers_of(body), tuple(body["notFound"]), tuple(body.get("unreadable", ())))


def change_page_of(body: Mapping[str, Any]) -> ChangePage:
    """Return the page; raises as `customer_of`."""
    cursor, has_more = _checked(body["cursor"], str), _checked(body["hasMore"], bool)
    return ChangePage(tuple(_change_of(each) for each in body["data"]), cursor, has_more)


def version_page_of(body: Mapping[str, Any]) -> VersionPage:
    """Return the page; raises as `customer_of`."""
    return VersionPage(tuple(_version_of(each) for each in body["data"]), _next_cursor(body))


def customers_of(body: Mapping[str, Any]) -> tuple[Customer, ...]:
    """Return the customers of a list; raises as `customer_of`."""
    return tuple(customer_of(each) for each in body["data"])


def findings_of(body: list[Mapping[str, Any]]) -> tuple[Finding, ...]:
    """Return what is wrong, value by value; raises TypeError for what is no list of findings."""
    return tuple(_known(Finding, each) for each in body)


def tax_info_of(body: Mapping[str, Any]) -> TaxInfo:
    """Return the judgement; raises as `customer_of`."""
    return TaxInfo(body["isValid"], findings_of(body["errors"]), findings_of(body["warnings"]))


def codes_of(body: Mapping[str, Any]) -> tuple[Code, ...]:
    """Return the codes of a catalogue; raises as `customer_of`."""
    return tuple(_known(Code, each) for each in body["data"])


def tax_systems_of(body: Mapping[str, Any]) -> tuple[TaxSystem, ...]:
    """Return the regimes; raises as `customer_of`."""
    return tuple(_known(TaxSystem, each) for each in body["data"])


def invoice_uses_of(body: Mapping[str, Any]) -> tuple[InvoiceUse, ...]:
    """Return the uses; raises as `customer_of`."""
    return tuple(InvoiceUse(each["code"], each["name"], tuple(each["taxSystems"])) for each in body["data"])


def zip_code_of(body: Mapping[str, Any]) -> ZipCode:
    """Return the place of a zip code; raises as `customer_of`."""
    state, *others = (body[name] and _known(Code, body[name]) for name in ("state", "municipality", "city"))
    return ZipCode(body["zip"], state, *others)


def members_of(body: Mapping[str, Any]) -> tuple[Member, ...]:
    """Return the members; raises as `customer_of`."""
    return tuple(member_of(each) for each in body["data"])


def member_of(body: Mapping[str, Any]) -> Member:
    """Return the member; raises as `customer_of`."""
    return Member(body["userId"], body["role"])


def retention_of(body: Mapping[str, Any]) -> Retention:
    """Return the retention; raises as `customer_of`."""
    days = {name: _day_of(body[name]) for name in ("lastInvoicedOn", "retainUntil")}
    return _known(Retention, {**body, **days})


def erasure_of(body: Mapping[str, Any]) -> Erasure:
    """Return the state of the erasure; raises as `customer_of`."""
    return _known(
        Erasure, {**body, "retainUntil": _day_of(body.get("retainUntil")), "erased": tuple(body.get("erased", ()))}
    )


def _next_cursor(body: Mapping[str, Any]) -> str | None:
    cursor: str | None = _checked(body["nextCursor"], str | None)
    return cursor


def _checked(value: Any, kind: type | UnionType) -> Any:
    """Return the value; raises TypeError if it is not of this type."""
    if not isinstance(value, kind):
        raise TypeError(f"not {kind}")
    return value


def _day_of(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(text)


def _sat_validation_of(body: Mapping[str, Any]) -> SatValidation:
    checked_at = datetime.fromisoformat(body["checkedAt"])
    return SatValidation(body["status"], checked_at, body["source"], tuple(body.get("mismatches", ())))


def _change_of(body: Mapping[str, Any]) -> Change:
    customer = body["customer"]
    return Change(body["type"], body["id"], None if customer is None else customer_of(customer))


def _version_of(body: Mapping[str, Any]) -> Version:
    updated_at = body["updatedAt"] and datetime.fromisoformat(body["updatedAt"])
    return _known(Version, {**body, "updatedAt": updated_at, "changed": tuple(body["changed"])})


def _known(kind: Callable[..., T], body: Mapping[str, Any]) -> T:
    """Return the value without the members that a newer service may add."""
    fields = kind.__dataclass_fields__  # type: ignore[attr-defined]
    return kind(**{name: value for name, value in body.items() if name in fields})
