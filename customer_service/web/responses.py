"""How a customer is answered: its bytes, its ETag, and 304 where the caller has it already."""

from __future__ import annotations

from hashlib import blake2b
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
from flask import Response, request

from customer_service.errors import MalformedDocument
from customer_service.observability.request_log import add_fields
from customer_service.schemas.documents import CustomerSchema
from customer_service.web.compression import compressed
from customer_service.web.requests import JSON

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from customer_service.repository import CustomerChange
    from customer_service.repository.database import Document

CUSTOMER_SCHEMA = CustomerSchema()
REVALIDATE = {"Cache-Control": "private, no-cache"}


class Representation(NamedTuple):
    """A customer as it is answered: the bytes of its body, and its ETag without the quotes."""

    body: bytes
    etag: str


def serialize(document: Document) -> Representation:
    """Return the customer as it is answered; raises MalformedDocument.

    The ETag digests the body, so that no writer can forget it, and the version, so that every write changes it.
    """
    body = _to_json(CUSTOMER_SCHEMA.dump_document(document))
    return Representation(body, blake2b(body + repr(document.get("version")).encode(), digest_size=16).hexdigest())


def compact(representation: Representation) -> Representation:
    """Return it in as little memory as it needs, to be kept: orjson leaves 4 kB to a body of any length."""
    return representation._replace(body=bytes(memoryview(representation.body)))


def etag_of(document: Document) -> str:
    """Return the ETag of the customer as it is answered; raises MalformedDocument."""
    return serialize(document).etag


def list_body(documents: Iterable[Document]) -> dict[str, list[Any]]:
    """Return the customers as `data`, and as `unreadable` the ids of those that cannot be told, if any."""
    data, unreadable = [], []
    for document in documents:
        try:
            data.append(CUSTOMER_SCHEMA.dump_document(document))
        except MalformedDocument:
            unreadable.append(str(document["_id"]))
    if unreadable:
        add_fields(unreadable=unreadable)
    return {"data": data, **({"unreadable": unreadable} if unreadable else {})}


def changes_body(changes: Iterable[CustomerChange]) -> list[dict[str, Any]]:
    """Return the changes as they are answered; of a customer that cannot be told only that it is so."""
    told = [_change_body(change) for change in changes]
    if unreadable := [each["id"] for each in told if each["type"] == "unreadable"]:
        add_fields(unreadable=unreadable)
    return told


def customer_response(customer: Representation) -> Response:
    """Answer a customer that was looked up, or 304 where the caller has it already (RFC 9110, section 13.1.2)."""
    body, etag = customer
    if _has_already(etag):
        return Response(status=HTTPStatus.NOT_MODIFIED, headers={"ETag": f'"{etag}"', **REVALIDATE})
    return serialized_response(body, etag)


def written_customer_response(document: Document, location: str | None = None) -> Response:
    """Answer a customer that was written: 201 with its Location where it is new, else 200."""
    return serialized_response(*serialize(document), location)


def serialized_response(body: bytes, etag: str, location: str | None = None) -> Response:
    """Answer a customer whose bytes and ETag are at hand."""
    headers = {"ETag": f'"{etag}"', **REVALIDATE, **({"Location": location} if location else {})}
    return Response(body, HTTPStatus.CREATED if location else HTTPStatus.OK, headers, content_type=JSON)


def no_content(headers: Mapping[str, str] | None = None) -> Response:
    """Answer that it is done: 204, without a body and without the type of one."""
    response = Response(status=HTTPStatus.NO_CONTENT, headers=headers)
    del response.headers["Content-Type"]
    return response


def json_response(value: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    """Answer a value that has no ETag, compressed where it is large."""
    return compressed(Response(_to_json(value), headers={**REVALIDATE, **(headers or {})}, mimetype=JSON))


def cacheable_response(value: Mapping[str, Any], headers: Mapping[str, str]) -> Response:
    """Answer a value that is the same for every caller, or 304 if the caller has it; the headers say for how long.

    The ETag is that of the bytes as they are sent: a compressed body has another.
    """
    response = json_response(value, headers)
    response.add_etag()
    response.make_conditional(request)
    return response


def _has_already(etag: str) -> bool:
    asked = request.environ.get("HTTP_IF_NONE_MATCH")
    # the form in which it was told needs no parser
    return asked is not None and (asked == f'"{etag}"' or request.if_none_match.contains_weak(etag))


def _change_body(change: CustomerChange) -> dict[str, Any]:
    kind, customer_id, document = change
    try:
        return {"type": kind, "id": customer_id, "customer": document and CUSTOMER_SCHEMA.dump_document(document)}
    except MalformedDocument:
        return {"type": "unreadable", "id": customer_id, "customer": None}


def _to_json(value: Mapping[str, Any]) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE)
