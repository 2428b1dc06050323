"""The sizes and times that a request must not exceed; docs/how-to/run-behind-a-gateway.md lists them."""

from __future__ import annotations

MAXIMUM_BODY_BYTES = 1_000_000
MAXIMUM_BODY_SECONDS = 10
MAXIMUM_REQUEST_LINE_BYTES = 8190
"""gunicorn's maximum; a cursor with the longest filters has 6,200 bytes."""

MAXIMUM_HEADER_FIELDS = 100
MAXIMUM_HEADER_FIELD_BYTES = 8190
MAXIMUM_HEAD_BYTES = 65_536
"""The maximum of the request line and all header fields together, as some cloud gateways have it."""
