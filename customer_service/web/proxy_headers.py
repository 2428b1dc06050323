"""The headers of trusted proxies: the client's address and the path prefix that a gateway removed."""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import ip_address
from typing import TYPE_CHECKING

from customer_service.web.wsgi_environ import FORWARDED_PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from customer_service.settings.gateway import Network

PREFIX = re.compile(r"(?=.{2,256}\Z)(/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._~-]+)+")
"""A path without escapes, `.`, `..` and `//`, which no program reads in another way."""

CACHED_ADDRESSES = 1024


def trust_proxies(wsgi_app: WSGIApplication, proxies: Sequence[Network]) -> WSGIApplication:
    """Return the application with the headers of these proxies applied, or itself if there are none.

    `X-Forwarded-For` and `X-Forwarded-Prefix` count only in a request from one of the proxies. The client's address
    becomes the last one that is not a trusted proxy's. A prefix that is not a plain path is ignored.
    """
    if not proxies:
        return wsgi_app
    is_trusted = lru_cache(CACHED_ADDRESSES)(lambda address: _is_in(address, proxies))

    def forwarded(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if is_trusted(environ.get("REMOTE_ADDR", "")):
            environ["REMOTE_ADDR"] = _client_address(environ, is_trusted)
            prefix = environ.get("HTTP_X_FORWARDED_PREFIX", "").removesuffix("/")
            if PREFIX.fullmatch(prefix):
                environ["SCRIPT_NAME"] = environ[FORWARDED_PREFIX] = prefix + environ.get("SCRIPT_NAME", "")
        return wsgi_app(environ, start_response)

    return forwarded


def _client_address(environ: WSGIEnvironment, is_trusted: Callable[[str], bool]) -> str:
    """Return the nearest address that is not a trusted proxy's: a client can forge every address before it."""
    nearest: str = environ["REMOTE_ADDR"]
    for entry in reversed(environ.get("HTTP_X_FORWARDED_FOR", "").split(",")):
        address = _parse_address(entry.strip())
        if address is None or not is_trusted(nearest):
            break
        nearest = address
    return nearest


def _parse_address(text: str) -> str | None:
    """Return an IP address in its canonical form, None for anything else; a zone is refused, it can be any text.

    An IPv4 address that an IPv6 socket has mapped (RFC 4291, section 2.5.5.2) is the IPv4 address.
    """
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return None if "%" in text else str(getattr(address, "ipv4_mapped", None) or address)


def _is_in(address: str, networks: Sequence[Network]) -> bool:
    parsed = _parse_address(address)
    return parsed is not None and any(ip_address(parsed) in network for network in networks)
