"""The environment variables of the settings, and the validation of each."""

from __future__ import annotations

import ipaddress
import os
import re
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from marshmallow import EXCLUDE, Schema, ValidationError, fields, post_load, validate, validates_schema

if TYPE_CHECKING:
    from collections.abc import Mapping

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

PEM_MARK = "-----BEGIN"
KEY_SETTINGS = ("JWT_SECRET", "JWT_PUBLIC_KEY", "JWT_JWKS_URL")
EXPORTER = "opentelemetry.exporter.otlp.proto.http"
RESERVED_CLAIMS = ("iss", "sub", "exp", "nbf", "iat", "jti")  # RFC 7519, section 4.1, without aud
MINIMUM_SECRET_BYTES = 32  # RFC 7518, section 3.2: a key at least as long as the hash
ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[1-9][0-9]{0,4})?")
"""An origin as a browser sends it (RFC 6454, section 6.2); DEFAULT_PORTS are refused separately."""

SERVICE_VARIABLE = re.compile(r".*_SERVICE_(HOST|PORT(_.*)?)|.*_PORT_[0-9]+_.*")
"""The variables that Kubernetes sets for each service, unless the pod has `enableServiceLinks: false`."""

FOREIGN_PREFIXES = {"OTEL_"}
"""The prefixes of variables that other libraries read too: OpenTelemetry has many more than this service reads."""

DEFAULT_PORTS = re.compile(r"http://.*:80|https://.*:443")


def _words(text: str) -> tuple[str, ...]:
    """Return the words of a list that commas or spaces separate."""
    return tuple(text.replace(",", " ").split())


def _networks(text: str) -> tuple[Network, ...]:
    """Return the addresses and networks of a list; raises ValidationError, also for a network of all addresses."""
    try:
        given = tuple(ipaddress.ip_network(word) for word in _words(text))
    except ValueError:
        raise ValidationError("must be IP addresses or networks, such as 10.0.0.5 or 10.0.0.0/8") from None
    if any(network.prefixlen == 0 for network in given):
        raise ValidationError("must not be every address: then any caller could forge its own address")
    return given


def _origins(text: str) -> tuple[str, ...]:
    """Return the origins of a list; raises ValidationError for an origin that no browser sends."""
    given = _words(text)
    if not all(ORIGIN.fullmatch(each) and not DEFAULT_PORTS.fullmatch(each) for each in given):
        raise ValidationError("must be origins as browsers send them, such as https://app.example, without a path")
    return given


class _EnvironmentSchema(Schema):
    """Reads one group of settings from the environment; a blank variable counts as absent.

    An unknown variable with the prefix of one of the group's settings is refused: it is probably a misspelt setting.
    """

    class Meta:
        unknown = EXCLUDE

    @validates_schema(pass_original=True, skip_on_field_errors=False)
    def _no_misspelt_setting(self, _data: dict[str, Any], original: Mapping[str, str], **_: object) -> None:
        settings = [str(each.data_key) for each in self.fields.values()]
        prefixes = tuple({f"{name.partition('_')[0]}_" for name in settings if "_" in name} - FOREIGN_PREFIXES)
        unknown = [name for name in original if name.startswith(prefixes) and name not in settings]
        if problems := {name: _advice(name, settings) for name in unknown if not _is_injected(name, original[name])}:
            raise ValidationError(problems)


def _advice(name: str, settings: list[str]) -> list[str]:
    (nearest,) = get_close_matches(name.upper(), settings, 1, cutoff=0)
    return [f"is not a setting; the nearest name is {nearest}"]


def _is_injected(name: str, value: str) -> bool:
    """Whether Kubernetes or Docker sets this variable to describe another service."""
    return bool(SERVICE_VARIABLE.fullmatch(name)) or (name.endswith("_PORT") and "://" in value)


class MongoSettingsSchema(_EnvironmentSchema):
    """The environment variables of MongoSettings."""

    uri = fields.String(
        data_key="MONGODB_URI",
        required=True,
        validate=validate.Regexp(
            r"(mongodb(\+srv)?|mongomock)://", error="must start with mongodb://, mongodb+srv:// or mongomock://"
        ),
        error_messages={"required": "is missing; set a connection string such as mongodb://localhost:27017"},
    )
    database = fields.String(
        data_key="MONGODB_DATABASE",
        validate=validate.Regexp(r'[^\x00-\x20/\\."$*<>:|?]{1,63}\Z', error="is not a MongoDB database name"),
    )
    timeout_ms = fields.Integer(data_key="MONGODB_TIMEOUT_MS", validate=validate.Range(1, 60_000))


class JwtSettingsSchema(_EnvironmentSchema):
    """The environment variables of JwtSettings."""

    secret = fields.String(data_key="JWT_SECRET")
    public_key = fields.String(data_key="JWT_PUBLIC_KEY")
    jwks_url = fields.String(data_key="JWT_JWKS_URL")
    algorithms = fields.Function(data_key="JWT_ALGORITHMS", deserialize=_words)
    issuer = fields.String(data_key="JWT_ISSUER")
    audience = fields.String(data_key="JWT_AUDIENCE")
    audience_claim = fields.String(
        data_key="JWT_AUDIENCE_CLAIM",
        validate=validate.NoneOf(
            RESERVED_CLAIMS, error="has another meaning; name aud, client_id or one of your issuer's"
        ),
    )
    leeway_seconds = fields.Integer(data_key="JWT_LEEWAY_SECONDS", validate=validate.Range(0, 300))

    @validates_schema(skip_on_field_errors=False)
    def _one_key(self, data: dict[str, Any], **_: object) -> None:
        given = [name for name in ("secret", "public_key", "jwks_url") if name in data]
        if len(given) != 1:
            raise ValidationError(f"set exactly one of them, not {len(given)}", " | ".join(KEY_SETTINGS))

    @validates_schema
    def _audience_of_claim(self, data: dict[str, Any], **_: object) -> None:
        if "audience_claim" in data and "audience" not in data:
            raise ValidationError("needs JWT_AUDIENCE, the value that the claim must have", "JWT_AUDIENCE_CLAIM")

    @validates_schema
    def _strong_key(self, data: dict[str, Any], **_: object) -> None:
        if "secret" in data and len(os.fsencode(data["secret"])) < MINIMUM_SECRET_BYTES:
            raise ValidationError(
                f"must be at least {MINIMUM_SECRET_BYTES} bytes long; `openssl rand -hex 32` makes one", "JWT_SECRET"
            )
        if "jwks_url" in data and not _is_safe_url(data["jwks_url"]):
            raise ValidationError("must be an https:// URL, or http:// on this machine", "JWT_JWKS_URL")

    @post_load
    def _read_public_key(self, data: dict[str, Any], **_: object) -> dict[str, Any]:
        if "public_key" in data:
            data["public_key"] = _pem(data["public_key"])
        return data


class ServerSettingsSchema(_EnvironmentSchema):
    """The environment variables of ServerSettings."""

    port = fields.Integer(data_key="PORT", validate=validate.Range(1, 65_535))
    workers = fields.Integer(data_key="WEB_CONCURRENCY", validate=validate.Range(1, 256))
    drain_seconds = fields.Float(data_key="DRAIN_SECONDS", validate=validate.Range(0, 300))
    log_level = fields.Function(
        data_key="LOG_LEVEL",
        deserialize=str.lower,
        validate=validate.OneOf(("debug", "info", "warning", "error", "critical")),
    )
    rate_limit_per_minute = fields.Integer(data_key="RATE_LIMIT_PER_MINUTE", validate=validate.Range(1, 1_000_000))


class CacheSettingsSchema(_EnvironmentSchema):
    """The environment variables of CacheSettings."""

    token_entries = fields.Integer(data_key="TOKEN_CACHE_ENTRIES", validate=validate.Range(0, 1_000_000))
    membership_seconds = fields.Float(data_key="MEMBERSHIP_CACHE_SECONDS", validate=validate.Range(0, 300))
    customer_entries = fields.Integer(data_key="CUSTOMER_CACHE_ENTRIES", validate=validate.Range(0, 1_000_000))


class GatewaySettingsSchema(_EnvironmentSchema):
    """The environment variables of GatewaySettings."""

    trusted_proxies = fields.Function(data_key="TRUSTED_PROXIES", deserialize=_networks)
    cors_allowed_origins = fields.Function(data_key="CORS_ALLOWED_ORIGINS", deserialize=_origins)


def _check_collector(url: str) -> None:
    try:
        parts = urlsplit(url)
        is_url = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_url = False
    if not is_url:
        raise ValidationError("must be an http:// or https:// URL, such as http://localhost:4318")


class TracingSettingsSchema(_EnvironmentSchema):
    """The environment variables of TracingSettings: those of OpenTelemetry's OTLP exporter."""

    common = fields.String(data_key="OTEL_EXPORTER_OTLP_ENDPOINT", validate=_check_collector)
    traces = fields.String(data_key="OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", validate=_check_collector)
    disabled = fields.Boolean(data_key="OTEL_SDK_DISABLED")

    @post_load
    def _choose(self, data: dict[str, Any], **_: object) -> dict[str, Any]:
        """Choose the endpoint by the exporter's specification: the path of traces is appended to the common one."""
        name = "traces" if "traces" in data else "common"
        if name not in data or data.get("disabled"):
            return {}
        if not _is_installed(EXPORTER):
            needed = 'needs the extra that `pip install "customer-service[otel]"` brings'
            raise ValidationError(needed, self.fields[name].data_key or name)
        return {"endpoint": data[name] if name == "traces" else f"{data[name].rstrip('/')}/v1/traces"}


def _is_safe_url(url: str) -> bool:
    """Whether the response of the URL cannot be changed on the network: https, or http on this machine."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    host = parts.hostname or ""
    return bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host)))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _pem(value: str) -> str:
    """Return PEM text; the value is the text itself, also with escaped line ends, or the path of a file."""
    if PEM_MARK in value:
        return value.replace("\\n", "\n")
    try:
        return Path(value).read_text(encoding="ascii")
    except (OSError, ValueError):
        raise ValidationError("is neither PEM text nor a file that can be read", "JWT_PUBLIC_KEY") from None


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False
