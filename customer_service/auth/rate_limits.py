"""Rate limits of callers, if the settings have one, and the RateLimit headers of every response."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from flask import current_app, g

from customer_service.errors import RateLimited
from customer_service.repository.quotas import WINDOW_SECONDS

if TYPE_CHECKING:
    from flask import Flask, Response

    from customer_service.repository import QuotaRepository


def init_app(app: Flask, quotas: QuotaRepository | None) -> None:
    """Limit each caller by these quotas, or not at all if there are none."""
    app.extensions["quotas"] = quotas
    if quotas is not None:
        app.after_request(_add_headers)


def consume(subject: str) -> None:
    """Count a request of this caller; raises RateLimited or DatabaseUnavailable."""
    quotas: QuotaRepository | None = current_app.extensions["quotas"]
    if quotas is None:
        return
    g.quota = quotas.consume(subject)
    if g.quota.exceeded:
        raise RateLimited


def _add_headers(response: Response) -> Response:
    """Add the RateLimit headers (draft-ietf-httpapi-ratelimit-headers-10) if the request was counted."""
    quota = g.get("quota")
    if quota is not None:
        response.headers["RateLimit-Policy"] = f'"caller";q={quota.allowed};w={WINDOW_SECONDS}'
        response.headers["RateLimit"] = f'"caller";r={quota.remaining};t={quota.seconds_left}'
        if response.status_code == HTTPStatus.TOO_MANY_REQUESTS:
            response.headers["Retry-After"] = str(quota.seconds_left)
    return response
