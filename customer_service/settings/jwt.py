"""The settings of the verification of tokens."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from marshmallow import ValidationError, fields, post_load, validate, validates_schema

from customer_service.settings.environment import EnvironmentSchema, SettingsGroup, http_url, words

PEM_MARK = "-----BEGIN"
KEY_SETTINGS = ("JWT_SECRET", "JWT_PUBLIC_KEY", "JWT_JWKS_URL")
RESERVED_CLAIMS = ("iss", "sub", "exp", "nbf", "iat", "jti")  # RFC 7519, section 4.1, without aud
MINIMUM_SECRET_BYTES = 32  # RFC 7518, section 3.2: a key at least as long as the hash
ANY_AUDIENCE = "any token of the issuer is accepted, also one for another service: set JWT_ISSUER and JWT_AUDIENCE"
"""The warning about settings of which `accepts_any_audience` is true."""


class JwtSettingsSchema(EnvironmentSchema):
    """The environment variables of JwtSettings."""

    secret = fields.String(data_key="JWT_SECRET")
    public_key = fields.String(data_key="JWT_PUBLIC_KEY")
    jwks_url = fields.String(data_key="JWT_JWKS_URL")
    algorithms = fields.Function(data_key="JWT_ALGORITHMS", deserialize=words)
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


@dataclass(frozen=True, slots=True)
class JwtSettings(SettingsGroup):
    """The verification of tokens: exactly one of `secret`, `public_key` (PEM text) and `jwks_url` is set.

    `audience_claim` is the claim that holds the audience, such as `client_id` in access tokens of Amazon Cognito.
    """

    SCHEMA: ClassVar = JwtSettingsSchema()

    secret: str | None = field(default=None, repr=False)
    public_key: str | None = None
    jwks_url: str | None = None
    algorithms: tuple[str, ...] = ()
    issuer: str | None = None
    audience: str | None = None
    audience_claim: str = "aud"
    leeway_seconds: int = 0

    @property
    def accepts_any_audience(self) -> bool:
        """Whether every token that the JWK set verifies is accepted, also those for other services."""
        return self.jwks_url is not None and self.issuer is None and self.audience is None


def _is_safe_url(url: str) -> bool:
    """Return whether the response of the URL cannot be changed on the network: it is https, or http on this machine."""
    parts = http_url(url)
    return parts is not None and (parts.scheme == "https" or _is_loopback(parts.hostname or ""))


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
