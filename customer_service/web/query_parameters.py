"""Parsing query strings, strictly: the parameters of a list, and cursors."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson
from flask import request

from customer_service.errors import InvalidRequest
from customer_service.errors.findings import FINDING_MESSAGES, Finding, to_pointer
from customer_service.fiscal.limits import (
    MAXIMUM_METADATA_KEY_LENGTH,
    MAXIMUM_METADATA_VALUE_LENGTH,
    MAXIMUM_TEXT_LENGTH,
)
from customer_service.repository.customers import OBJECT_ID
from customer_service.repository.search import EXACT_FIELDS, SAT_TERMS, CustomerQuery, phone_of, words_of
from customer_service.schemas.inputs import (
    METADATA,
    METADATA_VALUE,
    wrong_metadata_key,
)
from customer_service.schemas.instants import INVALID_INSTANT, parse_instant
from customer_service.web.operations import Parameter

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping

    from customer_service.repository.customer_lists import ListPosition

MAXIMUM_LIMIT = 100
DEFAULT_LIMIT = 50
MAXIMUM_METADATA_FILTERS = 5
RANGE = re.compile(r"(createdAt|updatedAt)\[(gt|gte|lt|lte)\]")
ENTRY = re.compile(r"metadata\[(.*)\]", re.DOTALL)

ROUNDED_UP = ("gte", "lt")
"""The operators for which a time between two milliseconds is rounded up: stored times are whole milliseconds."""

LIST_PARAMETERS = {
    "limit": Parameter(
        "The length of a page.",
        {"type": "integer", "minimum": 1, "maximum": MAXIMUM_LIMIT, "default": DEFAULT_LIMIT},
    ),
    "cursor": Parameter("The `nextCursor` of the page before; it keeps the filters."),
    "q": Parameter(
        "Words that each begin a word of the legal name, or the tax id, email or external id; or the last ten digits "
        "of the phone. Case, accents and punctuation are ignored.",
        {"type": "string", "maxLength": MAXIMUM_TEXT_LENGTH},
    ),
    **{
        name: Parameter(
            f"Only those with this {name}{note}.", {"type": "string", "minLength": 1, "maxLength": MAXIMUM_TEXT_LENGTH}
        )
        for name, note in (("taxId", ", ignoring case"), ("email", ", ignoring case"), ("externalId", ""))
    },
    "metadata": Parameter(
        f"Only those with these metadata entries, at most {MAXIMUM_METADATA_FILTERS}, as in `metadata[segment]=paper`.",
        {
            "type": "object",
            "maxProperties": MAXIMUM_METADATA_FILTERS,
            "propertyNames": METADATA["propertyNames"],
            "additionalProperties": METADATA_VALUE,
        },
        example={},
        style="deepObject",
    ),
    "satValidation": Parameter(
        "Only those about which the SAT answered this, or those that it was not asked about.",
        {"type": "string", "enum": list(SAT_TERMS)},
    ),
    **{
        f"{name}[{operator}]": Parameter(
            f"Only those whose {name} is {words} this time.", {"type": "string", "format": "date-time"}
        )
        for name in ("createdAt", "updatedAt")
        for operator, words in (("gt", "after"), ("gte", "at or after"), ("lt", "before"), ("lte", "at or before"))
    },
    "include": Parameter("`total` counts the whole list.", {"type": "string", "enum": ["total"]}),
}
FILTERS = ("q", *EXACT_FIELDS)
NOT_FILTERS = ("limit", "cursor", "include")
CHOICES = {
    "limit": {str(number) for number in range(1, MAXIMUM_LIMIT + 1)},
    "satValidation": set(SAT_TERMS),
    "include": {"total"},
}
"""The allowed values of the parameters that have only a few."""

PARAMETER_MESSAGES = {
    "unknown-parameter": "Remove it: there is no such parameter.",
    "repeated-parameter": "Give it once.",
    "invalid-value": FINDING_MESSAGES["invalid-value"],
    "invalid-length": f"Give 1 to {MAXIMUM_TEXT_LENGTH} characters.",
    "invalid-metadata": f"Give a name of 1 to {MAXIMUM_METADATA_KEY_LENGTH} characters without `$`, `.` and control "
    f"characters, and a value of at most {MAXIMUM_METADATA_VALUE_LENGTH}.",
    "too-many-filters": f"Give at most {MAXIMUM_METADATA_FILTERS} metadata filters.",
    "invalid-instant": f"{INVALID_INSTANT} Encode a plus sign as %2B.",
    "invalid-cursor": "Give a cursor from a response at this path, or none.",
    "other-filter": "Leave the filters out, or repeat those of the first page: the cursor keeps them.",
}


@dataclass(frozen=True, slots=True)
class ListRequest:
    """A page of a list: its filters, its length, the position it begins after, and whether to count the whole list."""

    filters: Mapping[str, str]
    limit: int
    after: ListPosition | None
    total: bool

    def query(self) -> CustomerQuery:
        """Return the repository's query of these filters."""
        ranges: dict[str, dict[str, datetime]] = {}
        for name, value in self.filters.items():
            if bound := RANGE.fullmatch(name):
                ranges.setdefault(bound[1], {})[bound[2]] = parse_instant(value, round_up=bound[2] in ROUNDED_UP)
        exact = {name: self.filters[name] for name in EXACT_FIELDS if name in self.filters}
        q, metadata = self.filters.get("q", ""), _metadata_of(self.filters)
        sat_status = self.filters.get("satValidation")
        return CustomerQuery(words_of(q), exact, metadata, dict(sorted(ranges.items())), sat_status, phone_of(q))

    def cursor(self, value: Any, customer_id: str) -> str:
        """Return the cursor of the page after this position; it has the filters too."""
        moment = value.replace(tzinfo=UTC).isoformat() if isinstance(value, datetime) else None
        return encode_cursor([dict(self.filters), moment, customer_id])


def list_request() -> ListRequest:
    """Return the parsed query string of a list; raises InvalidRequest with every finding."""
    values = _query_values(_find_error)
    filters = {name: value for name, value in values.items() if name not in NOT_FILTERS}
    if _has_too_many(filters):
        raise invalid_parameters({"metadata": "too-many-filters"})
    limit = int(values.get("limit", DEFAULT_LIMIT))
    after = None
    if "cursor" in values:
        cursor_filters, after = _decode_list_cursor(values["cursor"])
        if filters and filters != cursor_filters:
            raise invalid_parameters({"cursor": "other-filter"})
        filters = cursor_filters
    return ListRequest(filters, limit, after, "include" in values)


def query_values(names: Container[str], **choices: Container[str]) -> dict[str, str]:
    """Return the value of each parameter of the query string; raises InvalidRequest with every finding.

    Only these names are known, and a parameter that is among `choices` has only the values there.
    """

    def find_error(name: str, value: str) -> str | None:
        if name not in names:
            return "unknown-parameter"
        return None if name not in choices or value in choices[name] else "invalid-value"

    return _query_values(find_error)


def encode_cursor(value: object) -> str:
    """Return the opaque cursor that holds a JSON value."""
    return base64.urlsafe_b64encode(orjson.dumps(value)).decode().rstrip("=")


def decode_cursor(cursor: str) -> Any:
    """Return the JSON value of a cursor; raises ValueError for what `encode_cursor` did not make."""
    return orjson.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True))


def invalid_parameters(codes: Mapping[str, str]) -> InvalidRequest:
    """Return the error of invalid parameters, given the error code of each."""
    return InvalidRequest([Finding(to_pointer(name), code, PARAMETER_MESSAGES[code]) for name, code in codes.items()])


def _query_values(find_error: Callable[[str, str], str | None]) -> dict[str, str]:
    """Return the values; `find_error` returns the code of the error in a parameter, None if it is valid."""
    given = request.args.to_dict(flat=False)
    codes = {
        name: code
        for name, values in given.items()
        if (code := "repeated-parameter" if len(values) > 1 else find_error(name, values[0]))
    }
    if codes:
        raise invalid_parameters(codes)
    return {name: values[0] for name, values in given.items()}


def _find_error(name: str, value: str) -> str | None:
    """Return the code of the error in a parameter, None if it is valid."""
    if name in FILTERS:
        minimum = 0 if name == "q" else 1
        return None if minimum <= len(value) <= MAXIMUM_TEXT_LENGTH else "invalid-length"
    if RANGE.fullmatch(name):
        return None if _is_instant(value) else "invalid-instant"
    if entry := ENTRY.fullmatch(name):
        is_valid = wrong_metadata_key(entry[1]) is None and len(value) <= MAXIMUM_METADATA_VALUE_LENGTH
        return None if is_valid else "invalid-metadata"
    if name in CHOICES:
        return None if value in CHOICES[name] else "invalid-value"
    return None if name == "cursor" else "unknown-parameter"


def _decode_list_cursor(cursor: str) -> tuple[dict[str, str], ListPosition]:
    """Return the filters and the position of a list's cursor; raises InvalidRequest."""
    try:
        filters, moment, customer_id = decode_cursor(cursor)
        is_forged = any(name in NOT_FILTERS or _find_error(name, _text(value)) for name, value in filters.items())
        ordered_by_time = any(RANGE.fullmatch(name) for name in filters)
        is_forged = is_forged or _has_too_many(filters)
        if OBJECT_ID.fullmatch(customer_id) and not is_forged and ordered_by_time == (moment is not None):
            return filters, (parse_instant(moment) if ordered_by_time else None, customer_id)
    except (ValueError, TypeError, AttributeError):
        pass
    raise invalid_parameters({"cursor": "invalid-cursor"})


def _metadata_of(filters: Mapping[str, str]) -> dict[str, str]:
    """Return the metadata entries among the filters."""
    return {entry[1]: value for name, value in filters.items() if (entry := ENTRY.fullmatch(name))}


def _has_too_many(filters: Mapping[str, str]) -> bool:
    return len(_metadata_of(filters)) > MAXIMUM_METADATA_FILTERS


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _is_instant(value: str) -> bool:
    try:
        parse_instant(value, round_up=True)
    except ValueError:
        return False
    return True
