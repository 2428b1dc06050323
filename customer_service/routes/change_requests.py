"""What a request for changes asks for, and the shape of its answer."""

from __future__ import annotations

import re
from typing import NamedTuple

from marshmallow import Schema, fields, validate

from customer_service.repository import ChangePosition
from customer_service.repository.customers import OBJECT_ID
from customer_service.schemas.documents import CustomerSchema
from customer_service.web.operations import Parameter
from customer_service.web.requests import decode_cursor, encode_cursor, invalid_parameters, query_values

MAXIMUM_WAIT_SECONDS = 20
LAST_NUMBER = 2**32 - 1

CHANGES_PARAMETERS = {
    "cursor": Parameter(
        "The `cursor` of the page before; without it the changes begin with the customers that there are."
    ),
    "wait": Parameter(
        "How many seconds to wait for a change where there is none yet; the answer may come earlier.",
        {"type": "integer", "minimum": 0, "maximum": MAXIMUM_WAIT_SECONDS, "default": 0},
    ),
}


class ChangeSchema(Schema):
    """What became of a customer, and the customer as it is now."""

    type = fields.String(
        required=True,
        validate=validate.OneOf(("created", "changed", "deleted", "unreadable")),
        metadata={"description": "`unreadable` is one that is stored in a shape that cannot be told."},
    )
    id = fields.String(required=True, metadata={"example": "590ce6c56d04f840aa8438af"})
    customer = fields.Nested(
        CustomerSchema,
        required=True,
        allow_none=True,
        metadata={"description": "Null where it is deleted or unreadable."},
    )


class ChangePageSchema(Schema):
    """Some changes, in order, and where to go on."""

    data = fields.List(fields.Nested(ChangeSchema), required=True)
    cursor = fields.String(
        required=True, metadata={"description": "For the next request, whether or not there was a change."}
    )
    hasMore = fields.Boolean(required=True, metadata={"description": "Whether to ask again at once."})


class ChangesRequest(NamedTuple):
    """Where the changes begin, None for the beginning, and how many seconds to wait for one."""

    position: ChangePosition | None
    wait: int


def changes_request(organization_id: str) -> ChangesRequest:
    """Return what the query string asks for of this organization; raises InvalidRequest with every finding."""
    values = query_values(_wrong)
    position = _position(values["cursor"], organization_id) if "cursor" in values else None
    return ChangesRequest(position, int(values.get("wait", 0)))


def cursor_of(position: ChangePosition, organization_id: str) -> str:
    """Return the cursor of this position, good for this organization alone."""
    return encode_cursor([organization_id, *position])


def _wrong(name: str, value: str) -> str | None:
    """Return the code of what is wrong with a parameter, or None."""
    if name == "wait":
        return None if re.fullmatch("[0-9]|1[0-9]|20", value) else "invalid-value"
    return None if name == "cursor" else "unknown-parameter"


def _position(cursor: str, organization_id: str) -> ChangePosition:
    """Return the position that a cursor keeps; raises InvalidRequest for what `cursor_of` never made."""
    try:
        owner, seconds, increment, place = decode_cursor(cursor)
    except (ValueError, TypeError):
        raise invalid_parameters({"cursor": "invalid-cursor"}) from None
    is_place = OBJECT_ID.fullmatch(place) if isinstance(place, str) else _is_number(place)
    if owner == organization_id and _is_number(seconds) and _is_number(increment) and is_place:
        return ChangePosition(seconds, increment, place)
    raise invalid_parameters({"cursor": "invalid-cursor"})


def _is_number(value: object) -> bool:
    return type(value) is int and 0 <= value <= LAST_NUMBER
