"""Cross-origin resource sharing: which web pages may ask this service, and read what it answers."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from flask import request
from werkzeug.exceptions import MethodNotAllowed

from customer_service.web.responses import no_content

if TYPE_CHECKING:
    from collections.abc import Collection

    from flask import Flask, Response

ASKED = "Access-Control-Request-Method"
REQUEST_HEADERS = (
    "Authorization, Cache-Control, Content-Type, Idempotency-Key, If-Match, If-None-Match, traceparent, X-Request-ID"
)
ANSWER_HEADERS = (
    "ETag, Idempotent-Replayed, Link, Location, RateLimit, RateLimit-Policy, Retry-After, traceparent, "
    "WWW-Authenticate, X-Request-ID"
)
PREFLIGHT_SECONDS = 7200  # no browser keeps one for longer than a day, Chromium for two hours


def init_app(app: Flask, allowed: Collection[str]) -> None:
    """Let the pages of these origins ask and read; where there are none, nothing is different."""
    if allowed:
        app.before_request(partial(_preflight_response, allowed))
        app.after_request(partial(_share, allowed))


def headers_for(origin: str, allowed: Collection[str]) -> dict[str, str]:
    """Return what every answer to a page of this origin says, whatever its status; nothing where none is allowed.

    A page has no cookie of this service: it sends a token that it was given, or is told 401.
    """
    if not allowed:
        return {}
    shared = {"Access-Control-Allow-Origin": origin, "Access-Control-Expose-Headers": ANSWER_HEADERS}
    return {"Vary": "Origin", **(shared if origin in allowed else {})}


def _preflight_response(allowed: Collection[str]) -> Response | None:
    """Answer an allowed page that asks whether it may ask; the routes themselves know no OPTIONS."""
    refusal = request.routing_exception
    if request.method != "OPTIONS" or ASKED not in request.headers or not isinstance(refusal, MethodNotAllowed):
        return None
    if request.headers.get("Origin") not in allowed:
        return None
    return no_content(
        {
            "Access-Control-Allow-Methods": ", ".join(sorted(refusal.valid_methods or ())),
            "Access-Control-Allow-Headers": REQUEST_HEADERS,
            "Access-Control-Max-Age": str(PREFLIGHT_SECONDS),
        }
    )


def _share(allowed: Collection[str], response: Response) -> Response:
    told = headers_for(request.headers.get("Origin", ""), allowed)
    response.vary.add(told.pop("Vary"))
    response.headers.update(told)
    return response
