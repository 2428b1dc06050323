"""Writing customers: on the state that the caller saw, or on the newest, and never over somebody else's change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import Response, current_app

from customer_service import errors
from customer_service.auth.authorization import current_membership
from customer_service.errors import Finding, InvalidRequest
from customer_service.fiscal.characters import comparable
from customer_service.repository import IdempotencyRepository
from customer_service.routes.blueprint import (
    BODY_ERRORS,
    DELETED_ETAG,
    ETAG,
    IF_MATCH,
    LOCATION,
    REPLAYED,
    WRITE_ERRORS,
    blueprint,
    customers,
    location,
    on_the_newest,
)
from customer_service.schemas.documents import CustomerSchema
from customer_service.schemas.inputs import CustomerInputSchema, CustomerPatchSchema
from customer_service.services import validation
from customer_service.services.upserts import Keyed, put, replace
from customer_service.web.operations import Answer, Operation, Value
from customer_service.web.requests import JSON, MERGE_PATCH, canonical_json, idempotency_key, json_body, require_match
from customer_service.web.responses import answer_body, answer_nothing, answer_written, etag_of, represent

if TYPE_CHECKING:
    from customer_service.repository.database import Document


@blueprint.post("/customers")
@Operation(
    "Customers",
    {201: Answer(CustomerSchema, ETAG | LOCATION | REPLAYED)},
    role="editor",
    errors=(*WRITE_ERRORS, *BODY_ERRORS, errors.KeyReused, errors.RequestInProgress),
    request={JSON: CustomerInputSchema},
    request_headers={
        "Idempotency-Key": Value("Makes retries safe for 24 hours.", {"type": "string", "pattern": "^[!-~]{1,255}$"})
    },
)
def create_customer() -> Response:
    """Create a customer.

    With an Idempotency-Key, the same request answers what it answered first, with `Idempotent-Replayed: true`. It is
    the same if its JSON is: the order of members does not count.
    """
    body, key = json_body(), idempotency_key()
    customer = validation.accepted(body)
    if key is not None:
        return _create_once(key, canonical_json(body), customer)
    document, _ = customers().add(customer)
    return answer_written(document, location(document["_id"]))


def _create_once(key: str, request_body: bytes, customer: dict[str, Any]) -> Response:
    keys = IdempotencyRepository(
        current_app.extensions["database"], current_membership().scope, current_membership().user_id
    )
    claim = keys.claim(key, request_body)
    replayed = claim.response is not None
    if claim.response is not None:
        body, etag = claim.response
    else:
        try:
            document, added = customers().add(customer, claim.customer_id)
        except errors.Duplicate:
            keys.release(claim)
            raise
        body, etag = represent(document)
        replayed = not added
        keys.store_response(claim, body, etag)
    response = answer_body(body, etag, location(claim.customer_id))
    if replayed:
        response.headers["Idempotent-Replayed"] = "true"
    return response


@blueprint.patch("/customers/<customer_id:customer_id>")
@Operation(
    "Customers",
    {200: Answer(CustomerSchema, ETAG)},
    role="editor",
    errors=(*WRITE_ERRORS, *BODY_ERRORS, errors.CustomerNotFound, errors.VersionMismatch),
    request={MERGE_PATCH: CustomerPatchSchema, JSON: CustomerPatchSchema},
    request_headers=IF_MATCH,
)
def update_customer(customer_id: str) -> Response:
    """Change some of a customer.

    The body is a JSON merge patch (RFC 7396): what is absent stays, null clears what may be empty.
    """

    def attempt() -> Document:
        document = customers().get(customer_id)
        patch = json_body(MERGE_PATCH, JSON)
        require_match(document, etag_of)
        return replace(customers(), document, validation.patched(document, patch))

    return answer_written(on_the_newest(attempt))


@blueprint.delete("/customers/<customer_id:customer_id>")
@Operation(
    "Customers",
    {204: Answer(headers=DELETED_ETAG)},
    role="editor",
    errors=(*WRITE_ERRORS, errors.CustomerNotFound, errors.VersionMismatch),
    request_headers=IF_MATCH,
)
def delete_customer(customer_id: str) -> Response:
    """Delete a customer.

    It is not found from then on, and its tax id and external id are free again; it can be restored.
    """

    def attempt() -> Document:
        document = customers().get(customer_id)
        require_match(document, etag_of)
        return customers().remove(document)

    deleted = on_the_newest(attempt)
    try:
        return answer_nothing({"ETag": f'"{etag_of(deleted)}"'})
    except errors.MalformedDocument:  # what cannot be told has no ETag, and can be deleted all the same
        return answer_nothing()


@blueprint.post("/customers/<customer_id:customer_id>/restore")
@Operation(
    "Customers",
    {200: Answer(CustomerSchema, ETAG)},
    role="editor",
    errors=(
        *WRITE_ERRORS,
        errors.CustomerNotFound,
        errors.VersionMismatch,
        errors.DuplicateTaxId,
        errors.DuplicateExternalId,
    ),
    request_headers=IF_MATCH,
)
def restore_customer(customer_id: str) -> Response:
    """Restore a deleted customer.

    A living one is answered as it is.
    """

    def attempt() -> Document:
        document = customers().get_including_deleted(customer_id)
        require_match(document, etag_of)
        if document.get("deletedAt") is None:
            return document
        return customers().restore(document, validation.revived(document))

    return answer_written(on_the_newest(attempt))


@blueprint.put("/customers/by-external-id/<any_text:external_id>")
@Operation(
    "Customers",
    {200: Answer(CustomerSchema, ETAG), 201: Answer(CustomerSchema, ETAG | LOCATION)},
    role="editor",
    errors=(*WRITE_ERRORS, *BODY_ERRORS, errors.VersionMismatch),
    request={JSON: CustomerInputSchema},
    request_headers=IF_MATCH,
)
def put_customer_by_external_id(external_id: str) -> Response:
    """Create or replace a customer by the caller's own ID.

    The body is the whole customer. Where it says what is stored already, nothing is written and the ETag stays.
    """

    def attempt() -> tuple[Document, str | None]:
        document = customers().find_by_external_id(external_id)
        body = json_body()
        require_match(document, etag_of)
        customer = validation.accepted_after(document, _with_external_id(body, external_id))
        status, stored = put(customers(), Keyed("externalId", comparable(external_id), customer), document)
        return stored, location(stored["_id"]) if status == "created" else None

    return answer_written(*on_the_newest(attempt))


def _with_external_id(body: object, external_id: str) -> object:
    """Return the body with the id of the path, which it may omit or repeat; raises InvalidRequest."""
    if not isinstance(body, dict):
        return body
    given = external_id if body.get("externalId") is None else body["externalId"]
    if not isinstance(given, str) or comparable(given) != comparable(external_id):
        raise InvalidRequest([Finding("/externalId", "invalid-value", "Leave it out: it must equal the path's.")])
    return {**body, "externalId": external_id}
