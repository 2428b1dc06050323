"""The shapes that a caller may send: strict types, known fields, and every finding with its path."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from marshmallow import Schema, ValidationError, fields, validate

from customer_service.errors import Finding, InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

MAXIMUM_LENGTH = 255
MAXIMUM_IDS = 100
MAXIMUM_METADATA_KEYS = 50
MAXIMUM_METADATA_KEY_LENGTH = 40
MAXIMUM_METADATA_VALUE_LENGTH = 500
CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f-\x9f]")
PLAIN_KEY = re.compile(r"[^$.\x00-\x1f\x7f]+")

MESSAGES = {
    "required": "Give a value.",
    "invalid-type": "Give a value of the documented type.",
    "invalid-length": "Keep within the documented length.",
    "invalid-character": "Remove control characters, and from a key `$` and `.` too.",
    "invalid-value": "Give one of the documented values.",
    "too-many": "Give fewer.",
    "unknown-field": "Remove it: there is no such field, or it is not the caller's to set.",
}
CODES: dict[str, Any] = {"required": "required", "null": "required", "invalid": "invalid-type", "type": "invalid-type"}


class InputSchema(Schema):
    """Refuses what it does not know; its messages are the codes of findings."""

    error_messages = {"unknown": "unknown-field", "type": "invalid-type"}  # noqa: RUF012 - marshmallow's own attribute

    def findings(self, value: object) -> list[Finding]:
        """Return what is wrong with the shape of a value."""
        messages = self.validate(value) if isinstance(value, dict) else {"_schema": ["invalid-type"]}
        return [Finding(path, code, MESSAGES[code]) for path, code in _flatten(messages)]

    def accepted(self, value: object) -> dict[str, Any]:
        """Return the value if its shape is right; raises InvalidRequest with every finding."""
        findings = self.findings(value)
        if findings or not isinstance(value, dict):
            raise InvalidRequest(findings)
        return value


def _length(maximum: int, minimum: int = 0) -> validate.Length:
    return validate.Length(min=minimum, max=maximum, error="invalid-length")


def _string(*, required: bool = False, maximum: int | None = MAXIMUM_LENGTH) -> fields.String:
    return fields.String(
        required=required,
        allow_none=not required,
        validate=_length(maximum) if maximum else None,
        error_messages=CODES,
    )


def _check_external_id(value: str) -> None:
    if not 0 < len(value) <= MAXIMUM_LENGTH:
        raise ValidationError("invalid-length")
    if CONTROL_CHARACTER.search(value):
        raise ValidationError("invalid-character")


def _check_metadata(value: dict[str, Any]) -> None:
    if len(value) > MAXIMUM_METADATA_KEYS:
        raise ValidationError("too-many")
    wrong = {key: [code] for key, text in value.items() if (code := _wrong_entry(key, text))}
    if wrong:
        raise ValidationError(wrong)


def _wrong_entry(key: str, text: object) -> str | None:
    if not PLAIN_KEY.fullmatch(key):
        return "invalid-character" if key else "invalid-length"
    if not isinstance(text, str):
        return "invalid-type"
    too_long = len(key) > MAXIMUM_METADATA_KEY_LENGTH or len(text) > MAXIMUM_METADATA_VALUE_LENGTH
    return "invalid-length" if too_long else None


class AddressInputSchema(InputSchema):
    """An address to store; `zip` is required in Mexico, `country` is MEX where absent."""

    street = _string()
    exterior = _string()
    interior = _string()
    neighborhood = _string()
    city = _string()
    municipality = _string()
    zip = _string()
    state = _string()
    country = _string()


class CustomerInputSchema(InputSchema):
    """A whole customer to store; the fiscal rules judge what its values say."""

    legalName = _string(required=True, maximum=None)
    taxId = _string(required=True, maximum=None)
    taxSystem = _string(required=True, maximum=None)
    email = _string(required=True, maximum=None)
    phone = _string()
    defaultInvoiceUse = _string(required=True, maximum=None)
    address = fields.Nested(AddressInputSchema, required=True, error_messages=CODES)
    externalId = fields.String(allow_none=True, validate=_check_external_id, error_messages=CODES)
    metadata = fields.Dict(allow_none=True, validate=_check_metadata, error_messages=CODES)


class CustomerPatchSchema(InputSchema):
    """What to change of a customer (RFC 7396); null clears what may be empty. It is for the document alone."""

    legalName = fields.String()
    taxId = fields.String()
    taxSystem = fields.String()
    email = fields.String()
    phone = fields.String(allow_none=True)
    defaultInvoiceUse = fields.String()
    address = fields.Nested(AddressInputSchema)
    externalId = fields.String(allow_none=True)
    metadata = fields.Dict(allow_none=True)


class IdsInputSchema(InputSchema):
    """The ids of up to 100 customers."""

    ids = fields.List(
        fields.String(required=True, error_messages=CODES),
        required=True,
        validate=validate.Length(max=MAXIMUM_IDS, error="too-many"),
        error_messages=CODES,
    )


class RoleInputSchema(InputSchema):
    """The role of a member."""

    role = fields.String(
        required=True,
        validate=validate.OneOf(["viewer", "editor", "admin"], error="invalid-value"),
        error_messages=CODES,
    )


def _flatten(messages: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield (JSON Pointer, code) of marshmallow's nested messages (RFC 6901)."""
    if isinstance(messages, str):
        yield path, messages
    elif isinstance(messages, list):
        for each in messages:
            yield from _flatten(each, path)
    else:
        for key, inner in messages.items():
            of_the_whole = key == "_schema" and inner == ["invalid-type"]  # marshmallow's own key, and not a caller's
            step = "" if of_the_whole else "/" + str(key).replace("~", "~0").replace("/", "~1")
            yield from _flatten(inner, path + step)
