"""What a caller may send, validated by pydantic, and how a customer is stored and answered."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any

from bson import ObjectId
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

RFC = re.compile(r"[A-Z&Ñ]{3,4}[0-9]{2}(0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01])[A-Z0-9]{2}[0-9A]")
ZIP = re.compile(r"[0-9]{5}")
PLAIN = r"^[^\x00-\x1f\x7f-\x9f]*$"
EMAIL = r"^[^@\s]+@[^@\s]+\.[^@\s]+$"
PHONE = r"^([2-9][0-9]{9}|\+[1-9][0-9]{1,14})$"

LegalName = Annotated[str, StringConstraints(min_length=1, max_length=300, pattern=r"^[^|\x00-\x1f\x7f-\x9f]*$")]
TaxId = Annotated[str, StringConstraints(min_length=1, max_length=40, to_upper=True, pattern=PLAIN)]
TaxSystem = Annotated[str, StringConstraints(pattern=r"^(60[135678]|61[012456]|62[0-6])$")]
InvoiceUse = Annotated[str, StringConstraints(pattern=r"^(CN01|CP01|D0[1-9]|D10|G0[123]|I0[1-8]|S01)$")]
ExternalId = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=PLAIN)]
Text = Annotated[str, StringConstraints(max_length=255)]
MetadataName = Annotated[str, StringConstraints(min_length=1, max_length=40, pattern=r"^[^$.\x00-\x1f\x7f]+$")]
MetadataText = Annotated[str, StringConstraints(max_length=500)]


class Input(BaseModel):
    """Values of the documented types, and no other fields."""

    model_config = ConfigDict(extra="forbid", strict=True)


class AddressInput(Input):
    """An address to store."""

    street: Text | None = None
    exterior: Text | None = None
    interior: Text | None = None
    neighborhood: Text | None = None
    city: Text | None = None
    municipality: Text | None = None
    zip: Text | None = None
    state: Text | None = None
    country: Annotated[str, StringConstraints(to_upper=True, pattern=r"^[A-Za-z]{3}$")] | None = None


class CustomerInput(Input):
    """A whole customer to store."""

    legalName: LegalName  # noqa: N815 - the names of the contract
    taxId: TaxId  # noqa: N815
    taxSystem: TaxSystem  # noqa: N815
    email: Annotated[str, StringConstraints(max_length=254, pattern=EMAIL)]
    phone: Annotated[str, StringConstraints(pattern=PHONE)] | None = None
    defaultInvoiceUse: InvoiceUse  # noqa: N815
    address: AddressInput
    externalId: ExternalId | None = None  # noqa: N815
    metadata: Annotated[dict[MetadataName, MetadataText], Field(max_length=50)] | None = None

    @model_validator(mode="after")
    def check_mexican(self) -> CustomerInput:
        """Require an RFC and a postal code in Mexico, which is the country if none is given."""
        address = self.address
        address.country = address.country or "MEX"
        if address.country == "MEX":
            if not RFC.fullmatch(self.taxId):
                raise ValueError("taxId: give an RFC")
            if not ZIP.fullmatch(address.zip or ""):
                raise ValueError("address.zip: give five digits")
        return self

    def stored(self) -> dict[str, Any]:
        """Return the fields as they are stored."""
        fields = self.model_dump()
        return {name: fields[name] for name in fields if name not in OPTIONAL or fields[name]}


OPTIONAL = ("externalId", "metadata")
ADDRESS = tuple(AddressInput.model_fields)
FIELDS = tuple(name for name in CustomerInput.model_fields if name not in {"address", *OPTIONAL})


def new(customer: CustomerInput, organization_id: str) -> dict[str, Any]:
    """Return the document of a new customer."""
    now = moment()
    times = {"createdAt": now, "updatedAt": now, "version": 1}
    return {"_id": ObjectId(), "organizationId": organization_id, **customer.stored(), **times}


def update(document: dict[str, Any], customer: CustomerInput) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the filter and the change that put the customer in place of what was read."""
    unchanged = {name: document[name] for name in ("_id", "organizationId", "version")}
    fields = customer.stored()
    change = {"$set": {**fields, "updatedAt": moment(), "version": document["version"] + 1}}
    absent = {name: "" for name in OPTIONAL if name not in fields}
    return unchanged, change | ({"$unset": absent} if absent else {})


def as_input(document: dict[str, Any]) -> dict[str, Any]:
    """Return what a caller could have sent to store this document."""
    return {name: document[name] for name in (*FIELDS, "address", *OPTIONAL) if name in document}


def merged(customer: dict[str, Any], patch: Any) -> Any:
    """Apply a JSON merge patch (RFC 7396)."""
    if not isinstance(patch, dict):
        return patch
    result = dict(customer) if isinstance(customer, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name, {}), value)
    return result


def moment() -> datetime:
    """Return this moment as MongoDB gives it back: naive, in whole milliseconds."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000, tzinfo=None)


def body_of(document: dict[str, Any]) -> dict[str, Any]:
    """Return the customer in the contract's shape."""
    address = document["address"]
    body = {
        "id": str(document["_id"]),
        "organizationId": document["organizationId"],
        "legalName": document["legalName"],
        "taxId": document["taxId"],
        "taxSystem": document["taxSystem"],
        "email": document["email"],
        "phone": document.get("phone"),
        "defaultInvoiceUse": document["defaultInvoiceUse"],
        "address": {
            "street": address.get("street"),
            "exterior": address.get("exterior"),
            "interior": address.get("interior"),
            "neighborhood": address.get("neighborhood"),
            "city": address.get("city"),
            "municipality": address.get("municipality"),
            "zip": address.get("zip"),
            "state": address.get("state"),
            "country": address.get("country"),
        },
        "createdAt": instant(document["createdAt"]),
        "updatedAt": instant(document["updatedAt"]),
    }
    return body | {name: document[name] for name in OPTIONAL if name in document}


def instant(time: datetime) -> str:
    """Return a time as RFC 3339 with `Z`; whole seconds have no fraction."""
    return f"{time.isoformat(timespec='milliseconds' if time.microsecond else 'seconds')}Z"
