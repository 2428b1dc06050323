"""Parsing requests, strictly: the body, the conditions and the idempotency key."""

from __future__ import annotations

import json
import re
from codecs import BOM_UTF8
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

import orjson
from flask import request
from werkzeug.datastructures import ETags
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, UnsupportedMediaType
from werkzeug.http import parse_etags

from customer_service.errors import InvalidRequest, VersionMismatch
from customer_service.errors.findings import Finding
from customer_service.web.compression import require_uncompressed_body
from customer_service.web.limits import MAXIMUM_BODY_BYTES
from customer_service.web.wsgi_environ import DEADLINE

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
NOT_JSON = "The body is not JSON in UTF-8, of at most 1,024 levels."
LATIN_1 = "The body is not UTF-8: it looks like Latin-1 (ISO 8859-1, Windows-1252). Encode it in UTF-8."
MAXIMUM_NAME_LENGTH = 200
MAXIMUM_IDEMPOTENCY_KEY_LENGTH = 255
MAXIMUM_VALUES = 60_000
"""The most values that a body may have.

A batch of 100 full customers has 7,000. A body of 1 MB can have 280,000, which take 35 MB of memory.
"""

QUOTED = re.compile('"[^"]*"')
WITHOUT_ETAG = "\0"
"""For `require_preconditions`: something without an ETag. Only `*` matches it, as no header can hold a NUL."""

MAXIMUM_ETAGS_LENGTH = 8190
"""The length of one field. gunicorn joins up to a hundred of them, and parsing those would take 0.2 s."""

IDEMPOTENCY_KEY = re.compile(f"[!-~]{{1,{MAXIMUM_IDEMPOTENCY_KEY_LENGTH}}}")


def json_body(*media_types: str) -> object:
    """Return the body's JSON value; raises the errors of 415, 413, 400, and 422 for too many values, in this order."""
    allowed = media_types or (JSON,)
    if request.mimetype not in allowed:
        raise UnsupportedMediaType(f"Send {' or '.join(allowed)}.")
    require_uncompressed_body()
    with request.environ[DEADLINE].paused():
        body = request.get_data()
    if len(body) > MAXIMUM_BODY_BYTES:
        raise RequestEntityTooLarge
    return _parse(body.removeprefix(BOM_UTF8))


def _parse(body: bytes) -> object:
    try:
        value: object = orjson.loads(body)
    except ValueError:
        raise BadRequest(LATIN_1 if _is_latin_1(body) else NOT_JSON) from None
    if body.count(b":") != _count_members(value):  # a colon in a string, or a repeated member, which orjson drops
        _require_unique_names(body.decode())
    return value


def _is_latin_1(body: bytes) -> bool:
    """Return whether the body is not UTF-8 and would be JSON in Latin-1."""
    try:
        body.decode()
    except UnicodeDecodeError:
        with suppress(ValueError):
            orjson.loads(body.decode("latin-1"))
            return True
    return False


def _count_members(value: object) -> int:
    """Return how many members all objects in a JSON value have together; raises InvalidRequest for too many values."""
    count, visited, values = 0, 0, [value]
    while values:
        each, visited = values.pop(), visited + 1
        if visited > MAXIMUM_VALUES:
            raise InvalidRequest([Finding.of_shape("", "too-many")])
        if isinstance(each, dict):
            count += len(each)
            values += each.values()
        elif isinstance(each, list):
            values += each
    return count


def _require_unique_names(text: str) -> None:
    """Raise the error of 400 if an object has two members of one name: parsers disagree on which one is valid."""
    try:
        json.loads(text, object_pairs_hook=_refuse_repeated_names)
    except RecursionError:
        raise BadRequest(NOT_JSON) from None


def _refuse_repeated_names(members: list[tuple[str, object]]) -> None:
    names = set[str]()
    for name, _ in members:
        if name in names:
            raise BadRequest(f"Give each member once: {json.dumps(name[:MAXIMUM_NAME_LENGTH])} is repeated.")
        names.add(name)


def canonical_json(value: object) -> bytes:
    """Return the canonical form of a JSON value, independent of spaces, escapes and the order of members."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def idempotency_key() -> str | None:
    """Return the Idempotency-Key, or None; raises the error of 400."""
    key = request.headers.get("Idempotency-Key")
    if key is not None and not IDEMPOTENCY_KEY.fullmatch(key):
        raise BadRequest(f"An Idempotency-Key has 1 to {MAXIMUM_IDEMPOTENCY_KEY_LENGTH} visible ASCII characters.")
    return key


def require_preconditions(value: T | None, etag_of: Callable[[T], str]) -> None:
    """Raise VersionMismatch if If-Match or If-None-Match does not allow a write on this value.

    `*` stands for any value, also for one whose ETag cannot be computed (RFC 9110, sections 13.1.1 and 13.1.2). An
    If-None-Match that is longer than MAXIMUM_ETAGS_LENGTH is not parsed, and refuses the write.
    """
    require_if_match(value, etag_of)
    if value is None:
        return
    refused, length = etags("If-None-Match"), len(request.headers.get("If-None-Match", ""))
    is_refused = refused.star_tag or length > MAXIMUM_ETAGS_LENGTH
    if is_refused or (refused and refused.contains_weak(etag_of(value))):
        raise VersionMismatch


def require_if_match(value: T | None, etag_of: Callable[[T], str]) -> None:
    """Raise VersionMismatch if If-Match does not have the value's ETag; None, that is nothing stored, never matches."""
    if has_if_match():
        accepted = etags("If-Match")
        if value is None or not (accepted.star_tag or accepted.contains(etag_of(value))):
            raise VersionMismatch


def etags(header: str) -> ETags:
    """Return the ETags of If-Match or If-None-Match; none if the header is longer than MAXIMUM_ETAGS_LENGTH.

    A `*` among others counts in If-None-Match, and not in If-Match: in doubt the write is refused.
    """
    text = request.headers.get(header, "")
    if len(text) > MAXIMUM_ETAGS_LENGTH:
        return ETags()
    parts = QUOTED.sub('""', text).split(",") if header == "If-None-Match" else [text]
    return ETags(star_tag=True) if "*" in map(str.strip, parts) else parse_etags(text)


def has_condition() -> bool:
    """Return whether the request has the condition If-Match or If-None-Match."""
    return has_if_match() or "HTTP_IF_NONE_MATCH" in request.environ


def has_if_match() -> bool:
    """Return whether the request has the condition If-Match."""
    return "HTTP_IF_MATCH" in request.environ
