"""Writing customers with an optimistic lock: on the version in If-Match, or on the current one with retries."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from flask import Response, current_app

from customer_service import errors
from customer_service.auth.authorization import current_membership
from customer_service.errors import InvalidRequest
from customer_service.errors.findings import Finding
from customer_service.fiscal.characters import comparable
from customer_service.repository import IdempotencyRepository
from customer_service.repository.idempotency import RETENTION_HOURS
from customer_service.routes.blueprint import (
    BODY_ERRORS,
    DELETED_ETAG_HEADER,
    ETAG_HEADER,
    IF_MATCH,
    IF_NONE_MATCH_OF_WRITE,
    LOCATION_HEADER,
    REPLAYED_HEADER,
    WRITE_ERRORS,
    blueprint,
    customer_path,
    customers,
    write_with_lock,
)
from customer_service.schemas.inputs import CustomerInputSchema, CustomerPatchSchema
from customer_service.schemas.outputs import CustomerSchema
from customer_service.services import validation
from customer_service.services.merge_patch import apply_patch
from customer_service.services.upserts import Upsert, replace, upsert
from customer_service.web import examples
from customer_service.web.operations import Operation, Parameter, SuccessResponse
from customer_service.web.requests import (
    IDEMPOTENCY_KEY,
    JSON,
    MERGE_PATCH,
    WITHOUT_ETAG,
    canonical_json,
    idempotency_key,
    json_body,
    require_if_match,
)
from customer_service.web.responses import (
    etag_of,
    no_content,
    serialize,
    serialized_response,
    written_customer_response,
)

if TYPE_CHECKING:
    from customer_service.repository.database import Document


@blueprint.post("/customers")
@Operation(
    "Customers",
    {201: SuccessResponse(CustomerSchema, ETAG_HEADER | LOCATION_HEADER | REPLAYED_HEADER)},
    role="editor",
    errors=(*WRITE_ERRORS, *BODY_ERRORS, errors.CustomerNotFound, errors.KeyReused, errors.RequestInProgress),
    request={JSON: CustomerInputSchema},
    example=examples.NEW_CUSTOMER,
    request_headers={
        "Idempotency-Key": Parameter(
            f"Makes retries safe for {RETENTION_HOURS} hours.",
            {"type": "string", "pattern": f"^{IDEMPOTENCY_KEY.pattern}$"},
        )
    },
)
def create_customer() -> Response:
    """Create a customer.

    With an Idempotency-Key, the same request answers what it answered first, with `Idempotent-Replayed: true`. It is
    the same if its JSON is: the order of members does not count.
    """
    body, key = json_body(), idempotency_key()
    require_if_match(WITHOUT_ETAG, str)
    customer = validation.validate(body)
    if key is not None:
        return _create_once(key, canonical_json(body), customer)
    document, _ = customers().add(customer)
    return written_customer_response(document, customer_path(document["_id"]))


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
        body, etag = serialize(document)
        replayed = not added
        keys.store_response(claim, body, etag)
    response = serialized_response(body, etag, customer_path(claim.customer_id))
    if replayed:
        response.headers["Idempotent-Replayed"] = "true"
    return response


@blueprint.patch("/customers/<customer_id:customer_id>")
@Operation(
    "Customers",
    {200: SuccessResponse(CustomerSchema, ETAG_HEADER)},
    role="editor",
    errors=(*WRITE_ERRORS, *BODY_ERRORS, errors.CustomerNotFound, errors.VersionMismatch),
    request={MERGE_PATCH: CustomerPatchSchema, JSON: CustomerPatchSchema},
    example=examples.PATCH,
    request_headers=IF_MATCH,
)
def update_customer(customer_id: str) -> Response:
    """Change some of a customer.

    The body is a JSON merge patch (RFC 7396): what is absent stays, null clears what may be empty.
    """

    def write(document: Document, patch: object) -> Document:
        return replace(customers(), document, apply_patch(document, patch))

    read_body = partial(json_body, MERGE_PATCH, JSON)
    return written_customer_response(write_with_lock(lambda: customers().get(customer_id), write, read_body))


@blueprint.delete("/customers/<customer_id:customer_id>")
@Operation(
    "Customers",
    {204: SuccessResponse(headers=DELETED_ETAG_HEADER)},
    role="editor",
    errors=(*WRITE_ERRORS, errors.CustomerNotFound, errors.VersionMismatch),
    request_headers=IF_MATCH,
)
def delete_customer(customer_id: str) -> Response:
    """Delete a customer.

    It is not found from then on, and its tax id and external id are free again; it can be restored.
    """
    deleted = write_with_lock(lambda: customers().get(customer_id), lambda document, _: customers().remove(document))
    try:
        return no_content({"ETag": f'"{etag_of(deleted)}"'})
    except errors.MalformedDocument:  # a malformed customer has no ETag, but it can be deleted
        return no_content()


@blueprint.post("/customers/<customer_id:customer_id>/restore")
@Operation(
    "Customers",
    {200: SuccessResponse(CustomerSchema, ETAG_HEADER)},
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

    An active customer is returned unchanged.
    """

    def write(document: Document, _body: object) -> Document:
        if document.get("deletedAt") is None:
            return document
        return customers().restore(document, validation.for_restore(document))

    return written_customer_response(write_with_lock(lambda: customers().get_including_deleted(customer_id), write))


@blueprint.put("/customers/by-external-id/<any_text:external_id>")
@Operation(
    "Customers",
    {
        200: SuccessResponse(CustomerSchema, ETAG_HEADER),
        201: SuccessResponse(CustomerSchema, ETAG_HEADER | LOCATION_HEADER),
    },
    role="editor",
    errors=(*WRITE_ERRORS, *BODY_ERRORS, errors.VersionMismatch),
    request={JSON: CustomerInputSchema},
    example=examples.OWN_CUSTOMER,
    request_headers=IF_MATCH | IF_NONE_MATCH_OF_WRITE,
)
def put_customer_by_external_id(external_id: str) -> Response:
    """Create or replace a customer by the caller's own ID.

    The body is the whole customer. If it equals the stored customer, nothing is written and the ETag stays.
    """

    def write(document: Document | None, body: object) -> tuple[Document, str | None]:
        customer = validation.validate_replacement(document, _with_external_id(body, external_id))
        status, stored = upsert(customers(), Upsert("externalId", comparable(external_id), customer), document)
        return stored, customer_path(stored["_id"]) if status == "created" else None

    return written_customer_response(
        *write_with_lock(lambda: customers().find_by_external_id(external_id), write, json_body)
    )


def _with_external_id(body: object, external_id: str) -> object:
    """Return the body with the path's external id, which the body may omit or repeat; raises InvalidRequest."""
    if not isinstance(body, dict):
        return body
    given = external_id if body.get("externalId") is None else body["externalId"]
    if not isinstance(given, str) or comparable(given) != comparable(external_id):
        raise InvalidRequest([Finding("/externalId", "invalid-value", "Leave it out: it must equal the path's.")])
    return {**body, "externalId": external_id}
