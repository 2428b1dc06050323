"""Every setting of the service, read from the environment once and checked before anything starts."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar, cast

from marshmallow import Schema, ValidationError

from customer_service.errors import SettingsError
from customer_service.settings.environment import (
    CacheSettingsSchema,
    GatewaySettingsSchema,
    JwtSettingsSchema,
    MongoSettingsSchema,
    ServerSettingsSchema,
    TracingSettingsSchema,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from customer_service.settings.environment import Network

IN_MEMORY_URI = "mongomock://"
"""The `MONGODB_URI` that keeps everything in the process's own memory."""

Group = TypeVar("Group")


@dataclass(frozen=True, slots=True)
class MongoSettings:
    """How to reach MongoDB; `timeout_ms` is the deadline of a whole request, in milliseconds."""

    uri: str = field(repr=False)
    database: str = "customer_service"
    timeout_ms: int = 2000

    @property
    def in_memory(self) -> bool:
        """Whether the data lives in the process's own memory."""
        return self.uri.startswith(IN_MEMORY_URI)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> MongoSettings:
        """Read the `MONGODB_…` settings; raises SettingsError."""
        return _load(cls, MongoSettingsSchema(), environ)


@dataclass(frozen=True, slots=True)
class JwtSettings:
    """Whose tokens to accept: exactly one of `secret`, `public_key` (PEM text) and `jwks_url` is set.

    `audience_claim` is the claim that has the audience: `client_id` in the access tokens of Amazon Cognito.
    """

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
        """Whether each token is accepted that the issuer of a JWK set signed, for whichever service."""
        return self.jwks_url is not None and self.issuer is None and self.audience is None

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> JwtSettings:
        """Read the `JWT_…` settings; raises SettingsError."""
        return _load(cls, JwtSettingsSchema(), environ)


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """How to serve: the TCP port, the worker processes, the seconds of a drain, the least level logged.

    `rate_limit_per_minute` is how many requests each caller may make in a minute, None for any number.
    """

    port: int = 3001
    workers: int | None = None
    drain_seconds: float = 5.0
    log_level: str = "info"
    rate_limit_per_minute: int | None = None

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> ServerSettings:
        """Read the settings of the server; raises SettingsError."""
        return _load(cls, ServerSettingsSchema(), environ)


@dataclass(frozen=True, slots=True)
class CacheSettings:
    """What a worker remembers between requests: verified tokens, memberships for some seconds, customers."""

    token_entries: int = 10_000
    membership_seconds: float = 5.0
    customer_entries: int = 0

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> CacheSettings:
        """Read the `…_CACHE_…` settings; raises SettingsError."""
        return _load(cls, CacheSettingsSchema(), environ)


@dataclass(frozen=True, slots=True)
class TracingSettings:
    """Where traces go: the URL that takes them by OTLP over HTTP, None for nowhere."""

    endpoint: str | None = None

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> TracingSettings:
        """Read OpenTelemetry's own variables; raises SettingsError."""
        return _load(cls, TracingSettingsSchema(), environ)


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """Whom to believe where a request came from, and the origins whose pages may read the answers."""

    trusted_proxies: tuple[Network, ...] = ()
    cors_allowed_origins: tuple[str, ...] = ()

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> GatewaySettings:
        """Read `TRUSTED_PROXIES` and `CORS_ALLOWED_ORIGINS`; raises SettingsError."""
        return _load(cls, GatewaySettingsSchema(), environ)


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of the service."""

    mongodb: MongoSettings
    jwt: JwtSettings
    server: ServerSettings = field(default_factory=ServerSettings)
    cache: CacheSettings = field(default_factory=CacheSettings)
    tracing: TracingSettings = field(default_factory=TracingSettings)
    gateway: GatewaySettings = field(default_factory=GatewaySettings)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Settings:
        """Read all settings; raises one SettingsError that names every setting that is missing or wrong."""
        problems: list[str] = []
        groups: list[Any] = []
        for group in (MongoSettings, JwtSettings, ServerSettings, CacheSettings, TracingSettings, GatewaySettings):
            try:
                groups.append(group.from_environment(environ))
            except SettingsError as error:
                problems.append(str(error))
        if problems:
            raise SettingsError("; ".join(problems))
        return cls(*groups)


def _load(group: type[Group], schema: Schema, environ: Mapping[str, str]) -> Group:
    given = {name: value for name, value in environ.items() if value.strip()}
    if "LOG_LEVEL" in given:
        given["LOG_LEVEL"] = given["LOG_LEVEL"].lower()
    try:
        return group(**schema.load(given))
    except ValidationError as error:
        messages = cast("dict[str, list[str]]", error.messages)
        raise SettingsError("; ".join(f"{name}: {' '.join(messages[name])}" for name in sorted(messages))) from None
