"""Rate limits of callers, if the settings have one, and the RateLimit headers of every response."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from flask import current_app, g

from customer_service.errors import RateLimited
from customer_service.repository.rate_limits import WINDOW_SECONDS

if TYPE_CHECKING:
    from flask import Flask, Response

    from customer_service.repository import RateLimitRepository


def init_app(app: Flask, rate_limits: RateLimitRepository | None) -> None:
    """Limit each caller by these rate limits, or not at all if there are none."""
    app.extensions["rate_limits"] = rate_limits
    if rate_limits is not None:
        app.after_request(_add_headers)


def consume(subject: str) -> None:
    """Count a request of this caller; raises RateLimited or DatabaseUnavailable."""
    rate_limits: RateLimitRepository | None = current_app.extensions["rate_limits"]
    if rate_limits is None:
        return
    g.rate_limit = rate_limits.consume(subject)
    if g.rate_limit.exceeded:
        raise RateLimited


def _add_headers(response: Response) -> Response:
    """Add the RateLimit headers (draft-ietf-httpapi-ratelimit-headers-10) if the request was counted."""
    rate_limit = g.get("rate_limit")
    if rate_limit is not None:
        response.headers["RateLimit-Policy"] = f'"caller";q={rate_limit.allowed};w={WINDOW_SECONDS}'
        response.headers["RateLimit"] = f'"caller";r={rate_limit.remaining};t={rate_limit.seconds_left}'
        if response.status_code == HTTPStatus.TOO_MANY_REQUESTS:
            response.headers["Retry-After"] = str(rate_limit.seconds_left)
    return response
