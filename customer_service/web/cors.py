"""Cross-origin resource sharing: which web pages may call this service and read its responses."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from flask import request
from werkzeug.exceptions import MethodNotAllowed

from customer_service.web.responses import no_content

if TYPE_CHECKING:
    from collections.abc import Collection

    from flask import Flask, Response

REQUEST_METHOD = "Access-Control-Request-Method"
REQUEST_HEADERS = (
    "Authorization, baggage, Cache-Control, Content-Type, Idempotency-Key, If-Match, If-None-Match, traceparent, "
    "tracestate, X-Request-ID"
)
RESPONSE_HEADERS = (
    "Allow, Content-Location, ETag, Idempotent-Replayed, Link, Location, RateLimit, RateLimit-Policy, Retry-After, "
    "traceparent, WWW-Authenticate, X-Request-ID"
)
PREFLIGHT_SECONDS = 7200  # Chromium caches a preflight for two hours at most, other browsers for a day at most


def init_app(app: Flask, allowed_origins: Collection[str]) -> None:
    """Allow pages of these origins to call the service; without origins, no response is changed."""
    if allowed_origins:
        app.before_request(partial(_preflight_response, allowed_origins))
        app.after_request(partial(_add_headers, allowed_origins))


def headers_for(origin: str, allowed_origins: Collection[str]) -> dict[str, str]:
    """Return the headers of every response to a page of this origin; none if no origin is allowed.

    Credentials are not allowed: the service has no cookies, and a page sends a token or gets 401.
    """
    if not allowed_origins:
        return {}
    sharing = {"Access-Control-Allow-Origin": origin, "Access-Control-Expose-Headers": RESPONSE_HEADERS}
    return {"Vary": "Origin", **(sharing if origin in allowed_origins else {})}


def _preflight_response(allowed_origins: Collection[str]) -> Response | None:
    """Return the response to an allowed page's preflight request; the routes themselves have no OPTIONS."""
    error = request.routing_exception
    if request.method != "OPTIONS" or REQUEST_METHOD not in request.headers or not isinstance(error, MethodNotAllowed):
        return None
    if request.headers.get("Origin") not in allowed_origins:
        return None
    return no_content(
        {
            "Access-Control-Allow-Methods": ", ".join(sorted(error.valid_methods or ())),
            "Access-Control-Allow-Headers": REQUEST_HEADERS,
            "Access-Control-Max-Age": str(PREFLIGHT_SECONDS),
        }
    )


def _add_headers(allowed_origins: Collection[str], response: Response) -> Response:
    headers = headers_for(request.headers.get("Origin", ""), allowed_origins)
    response.vary.add(headers.pop("Vary"))
    response.headers.update(headers)
    return response
