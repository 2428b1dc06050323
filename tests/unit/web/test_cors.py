"""The headers of CORS by the allowed origins; tests/integration/test_cors.py has the requests."""

from __future__ import annotations

from customer_service.web import cors

ORIGIN = "https://app.example"


def test_without_allowed_origins_there_are_no_headers() -> None:
    assert cors.headers_for(ORIGIN, ()) == {}


def test_another_origin_only_varies_the_response() -> None:
    assert cors.headers_for("https://other.example", [ORIGIN]) == {"Vary": "Origin"}
