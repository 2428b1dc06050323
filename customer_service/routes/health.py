"""The probes (liveness and readiness) and the metrics."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, current_app
from marshmallow import Schema, fields

from customer_service.errors import NotReady
from customer_service.observability import metrics
from customer_service.web import shutdown
from customer_service.web.operations import STRING, Operation, SuccessResponse

blueprint = Blueprint("health", __name__)


class LivenessSchema(Schema):
    """The response of a process that runs."""

    status = fields.String(required=True, metadata={"example": "ok"})


class ReadinessSchema(LivenessSchema):
    """The response of a ready service, with the state of each dependency."""

    checks = fields.Dict(
        keys=fields.String(),
        values=fields.String(),
        required=True,
        metadata={"example": {"server": "ok", "mongodb": "ok", "rights": "ok", "indexes": "ok", "signingKeys": "ok"}},
    )


@blueprint.get("/livez")
@Operation("Health", {200: SuccessResponse(LivenessSchema)}, role=None)
def get_liveness() -> dict[str, Any]:
    """Return whether the process lives.

    It asks nothing outside the process: restarting it would not mend a database.
    """
    return {"status": "ok"}


@blueprint.get("/readyz")
@Operation("Health", {200: SuccessResponse(ReadinessSchema)}, role=None, errors=(NotReady,))
def get_readiness() -> dict[str, Any]:
    """Return whether the service should be sent requests.

    It is not ready while it drains, or while one of these is missing: an answer of MongoDB within 500 ms, its primary,
    the right to read and write, every index, the signing keys. `checks` names it. The right and the indexes are
    checked until they are there once.
    """
    checks = {
        "server": "draining" if shutdown.in_progress() else "ok",
        **current_app.extensions["readiness"].checks(),
        "signingKeys": "ok" if current_app.extensions["verifier"].ready() else "unavailable",
    }
    if set(checks.values()) != {"ok"}:
        raise NotReady(checks)
    return {"status": "ok", "checks": checks}


@blueprint.get("/metrics")
@Operation("Health", {200: SuccessResponse(STRING, media_type=metrics.TEXT_MEDIA_TYPE)}, role=None)
def get_metrics() -> Response:
    """Return how the service fares, in Prometheus' text format.

    The numbers are those of all the workers of this server together.
    """
    return Response(current_app.extensions["metrics"].render(), content_type=metrics.CONTENT_TYPE)
