"""Batches: many customers read or upserted in one request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from customer_service import errors
from customer_service.errors import CustomerServiceError, DocumentRefused, InvalidRequest, MalformedDocument
from customer_service.errors.findings import serialize_findings
from customer_service.observability.request_log import add_fields
from customer_service.repository import CustomerBatchRepository
from customer_service.routes.blueprint import MEMBER_ERRORS, blueprint, customers, scoped_repository
from customer_service.schemas.inputs import BatchInputSchema, IdsInputSchema
from customer_service.schemas.outputs import CustomerBatchSchema, UpsertsSchema
from customer_service.services.upserts import refusing_repeated, upsert_many, validate_many
from customer_service.web import examples
from customer_service.web.error_handlers import problem_of_error
from customer_service.web.operations import Operation, SuccessResponse
from customer_service.web.requests import JSON, WITHOUT_ETAG, json_body, require_preconditions
from customer_service.web.responses import etag_of, json_response, list_body

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flask import Response

    from customer_service.services.upserts import Outcome

BATCH_SCHEMA = BatchInputSchema()
IDS_SCHEMA = IdsInputSchema()
MAXIMUM_BATCH_FINDINGS_BYTES = 38_000
"""The size limit of the findings of all customers of a batch: the rest of 100 results has up to 27,500 bytes."""


@blueprint.post("/customers/batch-get")
@Operation(
    "Customers",
    {200: SuccessResponse(CustomerBatchSchema)},
    role="viewer",
    errors=(*MEMBER_ERRORS, errors.InvalidRequest),
    request={JSON: IdsInputSchema},
    example=examples.IDS,
)
def batch_get_customers() -> Response:
    """Get up to 100 customers by ID.

    They come in the order asked, each once; an id that is no customer's is in `notFound`.
    """
    requested: dict[str, str] = {}
    for each in IDS_SCHEMA.validated(json_body())["ids"]:
        requested.setdefault(each.lower(), each)
    found = {str(document["_id"]): document for document in customers().find_many(list(requested))}
    return json_response(
        {
            **list_body(found[each] for each in requested if each in found),
            "notFound": [given for each, given in requested.items() if each not in found],
        }
    )


@blueprint.post("/customers/batch-upsert")
@Operation(
    "Customers",
    {200: SuccessResponse(UpsertsSchema)},
    role="editor",
    errors=(*MEMBER_ERRORS, errors.InsufficientRole, errors.InvalidRequest),
    request={JSON: BatchInputSchema},
    example=examples.BATCH,
)
def batch_upsert_customers() -> Response:
    """Create or replace up to 100 customers by the caller's own IDs.

    Each is a whole customer with its `externalId`, and is validated by itself: if one is refused, the others are
    stored. Unlike a PUT, a batch never replaces the place names of a former zip. The results are in the order of the
    customers.
    """
    body = json_body()
    require_preconditions(WITHOUT_ETAG, str)
    bodies = BATCH_SCHEMA.validated(body)["customers"]
    outcomes = upsert_many(scoped_repository(CustomerBatchRepository), validate_many(bodies, refusing_repeated()))
    return json_response({"results": _results(outcomes)})


def _results(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """Return the result of each customer; all refused customers share the bytes of MAXIMUM_BATCH_FINDINGS_BYTES."""
    failures = [each for each in outcomes if isinstance(each, DocumentRefused | MalformedDocument)]
    if failures:
        add_fields(refused=[f"{type(each).__name__} {each}" for each in failures])
    refused = sum(isinstance(outcome, InvalidRequest) for outcome in outcomes)
    return [_result(*each, MAXIMUM_BATCH_FINDINGS_BYTES // max(refused, 1)) for each in enumerate(outcomes)]


def _result(index: int, outcome: Outcome, findings_bytes: int) -> dict[str, Any]:
    if isinstance(outcome, InvalidRequest):
        findings = serialize_findings(outcome.findings, findings_bytes)
        return {"index": index, "status": "failed", "problem": {**problem_of_error(outcome), "errors": findings}}
    if isinstance(outcome, CustomerServiceError):
        return {"index": index, "status": "failed", "problem": problem_of_error(outcome)}
    status, document = outcome
    return {"index": index, "status": status, "id": str(document["_id"]), "etag": f'"{etag_of(document)}"'}
