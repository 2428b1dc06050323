"""What one environment variable may hold beyond plain text and numbers: keys, addresses, origins."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from urllib.parse import urlsplit

from marshmallow import ValidationError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

PEM_MARK = "-----BEGIN"
ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[1-9][0-9]{0,4})?")
"""An origin as a browser sends it (RFC 6454, section 6.2), where its port is not the own one of its scheme."""

OWN_PORTS = re.compile(r"http://.*:80|https://.*:443")


def words(text: str) -> tuple[str, ...]:
    """Return the words of a list, with commas or spaces between."""
    return tuple(text.replace(",", " ").split())


def networks(text: str) -> tuple[Network, ...]:
    """Return the addresses and networks of a list; raises ValidationError, also for one that is everybody's."""
    try:
        given = tuple(ipaddress.ip_network(word) for word in words(text))
    except ValueError:
        raise ValidationError("must be IP addresses or networks, such as 10.0.0.5 or 10.0.0.0/8") from None
    if any(network.prefixlen == 0 for network in given):
        raise ValidationError("must not be every address: whoever asks would be believed")
    return given


def origins(text: str) -> tuple[str, ...]:
    """Return the origins of a list; raises ValidationError for what no browser sends."""
    given = words(text)
    if not all(ORIGIN.fullmatch(each) and not OWN_PORTS.fullmatch(each) for each in given):
        raise ValidationError("must be origins as browsers send them, such as https://app.example, without a path")
    return given


def is_safe_url(url: str) -> bool:
    """Whether nobody on the network between can change what the URL answers."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    host = parts.hostname or ""
    return bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host)))


def pem(value: str) -> str:
    """Return PEM text, given itself (even on one line, as an environment file holds it) or as the path of a file.

    Raises ValidationError.
    """
    if PEM_MARK in value:
        return value.replace("\\n", "\n")
    try:
        return Path(value).read_text(encoding="ascii")
    except (OSError, ValueError):
        raise ValidationError("is neither PEM text nor a file that can be read", "JWT_PUBLIC_KEY") from None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
