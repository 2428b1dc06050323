"""Which answers are compressed: large ones, for whom the request says so; never a single customer, which is small."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

from flask import request

if TYPE_CHECKING:
    from flask import Response

LEAST_BYTES = 1400  # less travels in one packet as it is
LEVEL = 1  # leaves 6 kB of a page of a hundred customers in 0.24 ms, where level 6 leaves 5.5 kB in 0.84


def compressed(response: Response) -> Response:
    """Return the answer in gzip where it is large and its caller prefers that, and say that it depends on that."""
    response.vary.add("Accept-Encoding")
    body = response.get_data()
    if len(body) >= LEAST_BYTES and is_preferred():
        response.set_data(gzip.compress(body, LEVEL, mtime=0))
        response.content_encoding = "gzip"
    return response


def is_preferred() -> bool:
    """Whether the caller takes gzip, and nothing else rather (RFC 9110, section 12.5.3)."""
    qualities = request.accept_encodings
    return qualities["gzip"] > 0 and qualities["gzip"] >= qualities["identity"]
