"""Successful responses: customers with their ETags, JSON values, and 304 if the client has the current one."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
from flask import Response, request

from customer_service.digests import digest
from customer_service.errors import MalformedDocument
from customer_service.observability.request_log import add_fields
from customer_service.schemas.outputs import CUSTOMER_SCHEMA
from customer_service.web.compression import compressed
from customer_service.web.requests import JSON, etags, require_if_match

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from flask import Flask

    from customer_service.repository import CustomerChange
    from customer_service.repository.database import Document

REVALIDATE = {"Cache-Control": "private, no-cache"}


class Representation(NamedTuple):
    """A serialized customer: the bytes of the response body, and the ETag without quotes."""

    body: bytes
    etag: str


def init_app(app: Flask) -> None:
    """Add the default headers to every response."""
    app.after_request(_set_default_headers)


def serialize(document: Document) -> Representation:
    """Return the serialized customer; raises MalformedDocument.

    The ETag is a digest of the body, so that no write can leave it unchanged by mistake, and of the version, so that
    every write changes it.
    """
    body = _to_json(CUSTOMER_SCHEMA.dump_document(document))
    return Representation(body, digest(body + repr(document.get("version")).encode()).hex())


def compact(customer: Representation) -> Representation:
    """Return a copy without spare memory, for a cache: orjson allocates 4 kB for a body of any length."""
    return customer._replace(body=bytes(memoryview(customer.body)))


def etag_of(document: Document) -> str:
    """Return the customer's ETag without quotes; raises MalformedDocument."""
    return serialize(document).etag


def list_body(documents: Iterable[Document]) -> dict[str, list[Any]]:
    """Return the customers as `data`, and the ids of malformed ones as `unreadable`, if there are any."""
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
    """Return the serialized changes; a malformed customer has the type `unreadable` and no fields."""
    bodies = [_change_body(change) for change in changes]
    if unreadable := [body["id"] for body in bodies if body["type"] == "unreadable"]:
        add_fields(unreadable=unreadable)
    return bodies


def customer_response(customer: Representation) -> Response:
    """Return the response to a read: the customer, or 304 if the client has it already (RFC 9110, section 13.1.2).

    Raises VersionMismatch if If-Match does not have its ETag.
    """
    body, etag = customer
    require_if_match(etag, str)
    if _client_has(etag):
        return Response(status=HTTPStatus.NOT_MODIFIED, headers={"ETag": f'"{etag}"', **REVALIDATE})
    return serialized_response(body, etag)


def written_customer_response(document: Document, location: str | None = None) -> Response:
    """Return the response to a write: 201 with the Location of a new customer, else 200."""
    return serialized_response(*serialize(document), location)


def serialized_response(body: bytes, etag: str, location: str | None = None) -> Response:
    """Return the response with a serialized customer: 201 if it has a Location, else 200."""
    headers = {"ETag": f'"{etag}"', **REVALIDATE, **({"Location": location} if location else {})}
    return Response(body, HTTPStatus.CREATED if location else HTTPStatus.OK, headers, content_type=JSON)


def no_content(headers: Mapping[str, str] | None = None) -> Response:
    """Return a 204 response, without a body and a Content-Type."""
    response = Response(status=HTTPStatus.NO_CONTENT, headers=headers)
    del response.headers["Content-Type"]
    return response


def json_response(value: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    """Return a JSON response without an ETag, compressed if it is large."""
    return compressed(Response(_to_json(value), headers={**REVALIDATE, **(headers or {})}, mimetype=JSON))


def cacheable_response(value: Mapping[str, Any], headers: Mapping[str, str]) -> Response:
    """Return a JSON response that is the same for every caller, or 304 if the client has it already.

    The headers say how long it is valid. The ETag is a digest of the bytes as sent: a compressed body has another.
    """
    response = json_response(value, headers)
    response.add_etag()
    return not_modified_if_current(response)


def not_modified_if_current(response: Response) -> Response:
    """Return the response, as a 304 if `If-None-Match` has its ETag; raises VersionMismatch if `If-Match` lacks it.

    `If-Modified-Since` is ignored, as no response has a modification date (RFC 9110, section 13.1.3). werkzeug's
    `make_conditional` would parse it all the same, and fail at a year of twenty digits.
    """
    etag = response.get_etag()[0] or ""
    require_if_match(etag, str)
    if _client_has(etag):
        response.status_code = HTTPStatus.NOT_MODIFIED
    return response


def _set_default_headers(response: Response) -> Response:
    """Forbid content sniffing, and caching unless the response has its own Cache-Control."""
    response.headers.add("X-Content-Type-Options", "nosniff")
    response.headers.setdefault("Cache-Control", "no-store")
    return response


def _client_has(etag: str) -> bool:
    condition = request.environ.get("HTTP_IF_NONE_MATCH")
    # the header as most clients send it needs no parser
    return condition is not None and (condition == f'"{etag}"' or etags("If-None-Match").contains_weak(etag))


def _change_body(change: CustomerChange) -> dict[str, Any]:
    kind, customer_id, document = change
    try:
        return {"type": kind, "id": customer_id, "customer": document and CUSTOMER_SCHEMA.dump_document(document)}
    except MalformedDocument:
        return {"type": "unreadable", "id": customer_id, "customer": None}


def _to_json(value: Mapping[str, Any]) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE)
