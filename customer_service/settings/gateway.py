"""The settings of gateways and browsers: trusted proxies, and the origins of CORS."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import ClassVar

from marshmallow import ValidationError, fields

from customer_service.settings.environment import EnvironmentSchema, SettingsGroup, words

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
MAPPED_PREFIX_LENGTH = 96

ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[1-9][0-9]{0,4})?")
"""An origin as a browser sends it (RFC 6454, section 6.2); DEFAULT_PORTS are refused separately."""

DEFAULT_PORTS = re.compile(r"http://.*:80|https://.*:443")


def _networks(text: str) -> tuple[Network, ...]:
    """Return the addresses and networks of a list; raises ValidationError, also for a network of all addresses."""
    try:
        given = tuple(_without_mapping(ipaddress.ip_network(word)) for word in words(text))
    except ValueError:
        raise ValidationError("must be IP addresses or networks, such as 10.0.0.5 or 10.0.0.0/8") from None
    if any(network.prefixlen == 0 for network in given):
        raise ValidationError("must not be every address: then any caller could forge its own address")
    return given


def _without_mapping(network: Network) -> Network:
    """Return the IPv4 network of mapped addresses (RFC 4291, section 2.5.5.2): callers' are compared as IPv4 too."""
    mapped = network.network_address.ipv4_mapped if isinstance(network, ipaddress.IPv6Network) else None
    return network if mapped is None else ipaddress.IPv4Network((mapped, network.prefixlen - MAPPED_PREFIX_LENGTH))


def _origins(text: str) -> tuple[str, ...]:
    """Return the origins of a list; raises ValidationError for an origin that no browser sends."""
    given = words(text)
    if not all(ORIGIN.fullmatch(each) and not DEFAULT_PORTS.fullmatch(each) for each in given):
        raise ValidationError("must be origins as browsers send them, such as https://app.example, without a path")
    return given


class GatewaySettingsSchema(EnvironmentSchema):
    """The environment variables of GatewaySettings."""

    trusted_proxies = fields.Function(data_key="TRUSTED_PROXIES", deserialize=_networks)
    cors_allowed_origins = fields.Function(data_key="CORS_ALLOWED_ORIGINS", deserialize=_origins)


@dataclass(frozen=True, slots=True)
class GatewaySettings(SettingsGroup):
    """The proxies whose forwarding headers are trusted, and the origins that CORS allows."""

    SCHEMA: ClassVar = GatewaySettingsSchema()

    trusted_proxies: tuple[Network, ...] = ()
    cors_allowed_origins: tuple[str, ...] = ()
