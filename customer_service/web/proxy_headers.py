"""What a gateway in front says of a request: from where it came, and behind which path the service is."""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import ip_address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from customer_service.settings.environment import Network

PREFIX = re.compile(r"(?=.{2,256}\Z)(/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._~-]+)+")
"""Steps of a path that mean themselves wherever they are written: no escapes, no `..`, no `//`."""

PREFIX_KEY = "customer_service.prefix"
"""Where the environment of a request has the prefix that a gateway took off its path; absent where none did."""

REMEMBERED_ADDRESSES = 1024


def trust_proxies(wsgi_app: WSGIApplication, proxies: Sequence[Network]) -> WSGIApplication:
    """Return the application as it is behind these proxies: itself where there are none.

    Of a request that comes from one of them, and of no other, `X-Forwarded-For` and `X-Forwarded-Prefix` are believed.
    The address becomes the last that is no trusted proxy's. A prefix that is not one plain path is nobody's.
    """
    if not proxies:
        return wsgi_app
    is_trusted = lru_cache(REMEMBERED_ADDRESSES)(lambda address: _is_in(address, proxies))

    def relayed(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if is_trusted(environ.get("REMOTE_ADDR", "")):
            environ["REMOTE_ADDR"] = _origin(environ, is_trusted)
            prefix = environ.get("HTTP_X_FORWARDED_PREFIX", "").removesuffix("/")
            if PREFIX.fullmatch(prefix):
                environ["SCRIPT_NAME"] = environ[PREFIX_KEY] = prefix + environ.get("SCRIPT_NAME", "")
        return wsgi_app(environ, start_response)

    return relayed


def _origin(environ: WSGIEnvironment, is_trusted: Callable[[str], bool]) -> str:
    """Return the nearest address that is no trusted proxy's: what stands before it anybody may have written."""
    nearest: str = environ["REMOTE_ADDR"]
    for given in reversed(environ.get("HTTP_X_FORWARDED_FOR", "").split(",")):
        address = _address(given.strip())
        if address is None or not is_trusted(nearest):
            break
        nearest = address
    return nearest


def _address(text: str) -> str | None:
    """Return an IP address in its one spelling, without a zone, which could be any text; None for anything else."""
    try:
        return None if "%" in text else str(ip_address(text))
    except ValueError:
        return None


def _is_in(address: str, networks: Sequence[Network]) -> bool:
    known = _address(address)
    return known is not None and any(ip_address(known) in network for network in networks)
