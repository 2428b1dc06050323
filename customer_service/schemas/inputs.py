"""The request schemas: strict types and known fields; each error becomes a finding with its path."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from marshmallow import Schema, ValidationError, fields, pre_load, validate

from customer_service.errors import InvalidRequest
from customer_service.errors.findings import Finding, to_pointer
from customer_service.fiscal import catalogues, rules
from customer_service.fiscal.characters import (
    ASCII_CONTROLS,
    CONTROL_CHARACTER,
    CONTROL_CHARACTERS,
    IGNORABLE,
    NOT_PRINTED,
    comparable,
)
from customer_service.fiscal.limits import (
    MAXIMUM_EMAIL_LENGTH,
    MAXIMUM_FOREIGN_TAX_ID_LENGTH,
    MAXIMUM_LEGAL_NAME_LENGTH,
    MAXIMUM_METADATA_KEY_LENGTH,
    MAXIMUM_METADATA_KEYS,
    MAXIMUM_METADATA_VALUE_LENGTH,
    MAXIMUM_TEXT_LENGTH,
)
from customer_service.roles import ROLES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MAXIMUM_IDS = 100
MAXIMUM_BATCH_LENGTH = 100
MAXIMUM_MISMATCHES = 100
MAXIMUM_MEMBERS = 10_000
"""The most members of one JSON object. A schema has about ten. Each unknown member costs 10 microseconds."""

METADATA_PATH = "/metadata"
METADATA_KEY = re.compile(f"[^$.{ASCII_CONTROLS}]+")

# The JSON Schemas of values in the OpenAPI document. They leave out the fiscal rules that compare several fields.
INVISIBLE = rf"\s{CONTROL_CHARACTERS}{IGNORABLE}"
PLAIN_TEXT = {
    "minLength": 1,
    "maxLength": MAXIMUM_TEXT_LENGTH,
    "pattern": f"^[^{CONTROL_CHARACTERS}]*[^{CONTROL_CHARACTERS}{IGNORABLE}][^{CONTROL_CHARACTERS}]*$",
}
LEGAL_NAME = {
    "minLength": 1,
    "maxLength": MAXIMUM_LEGAL_NAME_LENGTH,
    "pattern": f"^[^|{CONTROL_CHARACTERS}{NOT_PRINTED}]*[^|{INVISIBLE}][^|{CONTROL_CHARACTERS}{NOT_PRINTED}]*$",
    "example": "Dunder Mifflin",
}
TAX_ID = {
    "minLength": 1,
    "maxLength": MAXIMUM_FOREIGN_TAX_ID_LENGTH,
    "pattern": f"^[^{CONTROL_CHARACTERS}{NOT_PRINTED}]*[^{INVISIBLE}][^{CONTROL_CHARACTERS}{NOT_PRINTED}]*$",
    "description": "In Mexico an RFC of 12 characters or 13, elsewhere any, unique in its country; stored in capitals.",
    "example": "DUM901231AB3",
}
TAX_SYSTEM = {"enum": sorted(catalogues.USES_BY_REGIME), "example": "601"}
INVOICE_USE = {"enum": sorted(catalogues.USES), "description": "One that the regime allows.", "example": "G01"}
EMAIL = {"format": "email", "maxLength": MAXIMUM_EMAIL_LENGTH, "example": "billing@dundermifflin.com"}
PHONE = {"description": "Ten national digits, or E.164.", "example": "6474010101"}
ZIP = {
    "description": (
        "Required in Mexico unless the RFC is generic, and five digits there; it fills in the state, the municipality "
        "and the city."
    ),
    "example": "86500",
}
COUNTRY = {"pattern": "^[A-Za-z]{3}$", "description": "ISO 3166-1 alpha-3; MEX if absent or null.", "example": "MEX"}
METADATA = {
    "maxProperties": MAXIMUM_METADATA_KEYS,
    "propertyNames": {
        "minLength": 1,
        "maxLength": MAXIMUM_METADATA_KEY_LENGTH,
        "pattern": f"^{METADATA_KEY.pattern}$",
    },
    "example": {"segment": "paper"},
}
METADATA_VALUE = {"type": "string", "maxLength": MAXIMUM_METADATA_VALUE_LENGTH}
ANYTHING = {"description": "Any other JSON value; the response lists its errors."}

OF_THE_WHOLE = (["invalid-type"], ["too-many"])
"""marshmallow's messages about an object as a whole, not about one of its members."""

ERROR_CODES: dict[str, Any] = {
    "required": "required",
    "null": "required",
    "invalid": "invalid-type",
    "type": "invalid-type",
}


class InputSchema(Schema):
    """A schema that refuses unknown fields, and whose error messages are the codes of findings."""

    error_messages = {"unknown": "unknown-field", "type": "invalid-type"}  # noqa: RUF012 - marshmallow's own attribute

    @pre_load
    def _require_few_members(self, data: Any, **_options: object) -> Any:
        if isinstance(data, dict) and len(data) > MAXIMUM_MEMBERS:
            raise ValidationError("too-many")
        return data

    def findings(self, value: object) -> list[Finding]:
        """Return a finding for each error in the value's shape."""
        messages = self.validate(value) if isinstance(value, dict) else {"_schema": ["invalid-type"]}
        return [Finding.of_shape(path, code) for path, code in _flatten(messages)]

    def validated(self, value: object) -> dict[str, Any]:
        """Return the value if its shape is valid; raises InvalidRequest with every finding."""
        findings = self.findings(value)
        if findings or not isinstance(value, dict):
            raise InvalidRequest(findings)
        return value


def _optional(schema: Mapping[str, Any] = MappingProxyType({})) -> fields.String:
    length = validate.Length(max=MAXIMUM_TEXT_LENGTH, error="invalid-length")
    return fields.String(allow_none=True, validate=length, error_messages=ERROR_CODES, metadata={"schema": schema})


def _required(schema: Mapping[str, Any]) -> fields.String:
    return fields.String(required=True, error_messages=ERROR_CODES, metadata={"schema": schema})


def _check_plain_text(value: str) -> None:
    if not comparable(value) or len(value) > MAXIMUM_TEXT_LENGTH:
        raise ValidationError("invalid-length")
    if CONTROL_CHARACTER.search(value):
        raise ValidationError("invalid-character")


def _check_metadata(value: dict[str, Any]) -> None:
    if len(value) > MAXIMUM_METADATA_KEYS:
        raise ValidationError("too-many")
    wrong = {key: [code] for key, text in value.items() if (code := _wrong_entry(key, text))}
    if wrong:
        raise ValidationError(wrong)


def wrong_metadata_key(key: str) -> str | None:
    """Return the code of the error in a metadata key, or None if the key is valid."""
    if not 0 < len(key) <= MAXIMUM_METADATA_KEY_LENGTH:
        return "invalid-length"
    return None if METADATA_KEY.fullmatch(key) else "invalid-character"


def _wrong_entry(key: str, text: object) -> str | None:
    if code := wrong_metadata_key(key):
        return code
    if not isinstance(text, str):
        return "invalid-type"
    return "invalid-length" if len(text) > MAXIMUM_METADATA_VALUE_LENGTH else None


class AddressInputSchema(InputSchema):
    """An address to store; `zip` is required in Mexico unless the RFC is generic, `country` is MEX if absent."""

    street = _optional()
    exterior = _optional()
    interior = _optional()
    neighborhood = _optional()
    city = _optional()
    municipality = _optional()
    zip = _optional(ZIP)
    state = _optional()
    country = _optional(COUNTRY)


class CustomerInputSchema(InputSchema):
    """A whole customer to store; the fiscal rules validate its values afterwards."""

    legalName = _required(LEGAL_NAME)
    taxId = _required(TAX_ID)
    taxSystem = _required(TAX_SYSTEM)
    email = _required(EMAIL)
    phone = _optional(PHONE)
    defaultInvoiceUse = _required(INVOICE_USE)
    address = fields.Nested(AddressInputSchema, required=True, error_messages=ERROR_CODES)
    externalId = fields.String(
        allow_none=True, validate=_check_plain_text, error_messages=ERROR_CODES, metadata={"schema": PLAIN_TEXT}
    )
    metadata = fields.Dict(
        allow_none=True,
        validate=_check_metadata,
        error_messages=ERROR_CODES,
        metadata={"schema": METADATA | {"additionalProperties": METADATA_VALUE}},
    )


OPTIONAL_FIELDS = ("externalId", "metadata")
"""The fields of a customer that are stored and answered only if they are set."""


class CustomerPatchSchema(InputSchema):
    """A merge patch of a customer (RFC 7396), only for the OpenAPI document; null clears a nullable field."""

    legalName = fields.String(metadata={"schema": LEGAL_NAME})
    taxId = fields.String(metadata={"schema": TAX_ID})
    taxSystem = fields.String(metadata={"schema": TAX_SYSTEM})
    email = fields.String(metadata={"schema": EMAIL})
    phone = _optional(PHONE)
    defaultInvoiceUse = fields.String(metadata={"schema": INVOICE_USE})
    address = fields.Nested(AddressInputSchema)
    externalId = fields.String(allow_none=True, metadata={"schema": PLAIN_TEXT})
    metadata = fields.Dict(
        allow_none=True,
        metadata={"schema": METADATA | {"additionalProperties": {**METADATA_VALUE, "type": ["string", "null"]}}},
    )


class _ListOfBoundedLength(fields.List[Any]):
    """A list with a maximum length, which is checked before the elements are validated."""

    def __init__(self, element: fields.Field[Any], maximum: int, **options: Any) -> None:
        self._check_length = validate.Length(max=maximum, error="too-many")
        super().__init__(element, validate=self._check_length, error_messages=ERROR_CODES, **options)

    def _deserialize(self, value: Any, *arguments: Any, **options: Any) -> list[Any]:
        if isinstance(value, list):
            self._check_length(value)
        return super()._deserialize(value, *arguments, **options)


class IdsInputSchema(InputSchema):
    """The ids of up to MAXIMUM_IDS customers."""

    ids = _ListOfBoundedLength(fields.String(required=True, error_messages=ERROR_CODES), MAXIMUM_IDS, required=True)


class BatchInputSchema(InputSchema):
    """Up to MAXIMUM_BATCH_LENGTH customers, each of which is validated separately."""

    customers = _ListOfBoundedLength(
        fields.Raw(allow_none=True),
        MAXIMUM_BATCH_LENGTH,
        required=True,
        metadata={"schema": {"items": {"anyOf": [{"$ref": "#/components/schemas/CustomerInput"}, ANYTHING]}}},
    )


class SatValidationInputSchema(InputSchema):
    """The SAT's answer about a customer; `mismatches` is allowed only if the status is `mismatched`."""

    status = fields.String(
        required=True,
        validate=validate.OneOf(rules.SAT_STATUSES, error="invalid-value"),
        error_messages=ERROR_CODES,
        metadata={"schema": {"enum": list(rules.SAT_STATUSES), "example": "mismatched"}},
    )
    mismatches = _ListOfBoundedLength(
        fields.String(
            validate=validate.OneOf(rules.SAT_COMPARED_PATHS, error="invalid-value"),
            error_messages=ERROR_CODES,
            metadata={"schema": {"enum": list(rules.SAT_COMPARED_PATHS)}},
        ),
        MAXIMUM_MISMATCHES,
        metadata={"schema": {"description": "The values that differ from the SAT's.", "example": ["/address/zip"]}},
    )
    checkedAt = fields.String(
        required=True,
        error_messages=ERROR_CODES,
        metadata={
            "schema": {
                "format": "date-time",
                "description": "When the SAT answered; at most a minute in the future.",
                "example": "2025-01-26T10:00:00Z",
            }
        },
    )
    source = fields.String(
        required=True,
        validate=_check_plain_text,
        error_messages=ERROR_CODES,
        metadata={"schema": PLAIN_TEXT | {"description": "Who asked the SAT.", "example": "my-pac"}},
    )


class _StrictBoolean(fields.Boolean):
    """True or false, and nothing that is like them."""

    def _deserialize(self, value: Any, *arguments: Any, **options: Any) -> bool:
        if not isinstance(value, bool):
            raise self.make_error("invalid")
        return super()._deserialize(value, *arguments, **options)


class RetentionInputSchema(InputSchema):
    """The date of a customer's last invoice, or a hold; `reason` is required with a hold, and allowed only with one."""

    lastInvoicedOn = fields.String(
        error_messages=ERROR_CODES,
        metadata={
            "schema": {
                "format": "date",
                "description": "When an invoice was stamped; not in the future. The latest date stays.",
                "example": "2026-05-20",
            }
        },
    )
    hold = _StrictBoolean(
        error_messages=ERROR_CODES,
        metadata={"schema": {"description": "Whether to retain the customer without a date. For admins."}},
    )
    reason = fields.String(
        validate=_check_plain_text,
        error_messages=ERROR_CODES,
        metadata={"schema": PLAIN_TEXT | {"description": "Why it is held. For admins.", "example": "audit 2026-117"}},
    )


class RoleInputSchema(InputSchema):
    """The role of a member."""

    role = fields.String(
        required=True,
        validate=validate.OneOf(ROLES, error="invalid-value"),
        error_messages=ERROR_CODES,
    )


def _flatten(messages: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield the JSON Pointer (RFC 6901) and the code of each of marshmallow's nested messages."""
    if isinstance(messages, str):
        yield path, messages
    elif isinstance(messages, list):
        for each in messages:
            yield from _flatten(each, path)
    else:
        for key, inner in messages.items():
            # `_schema` is marshmallow's key for the whole object, unless it is a key of the caller's metadata
            of_the_whole = key == "_schema" and inner in OF_THE_WHOLE and path != METADATA_PATH
            yield from _flatten(inner, path if of_the_whole else path + to_pointer(str(key)))
