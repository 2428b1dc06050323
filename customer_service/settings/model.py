"""The settings of the service, as dataclasses; they are read and validated once, before anything starts."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

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
"""The `MONGODB_URI` of a database in the process's memory."""


class SettingsGroup:
    """A group of settings, with the schema that reads them from the environment."""

    __slots__ = ()
    SCHEMA: ClassVar[Schema]

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Read the settings of the group; raises SettingsError."""
        given = {name: value for name, value in environ.items() if value.strip()}
        try:
            return cls(**cls.SCHEMA.load(given))
        except ValidationError as error:
            messages = cast("dict[str, list[str]]", error.messages)
            raise SettingsError("; ".join(f"{name}: {' '.join(messages[name])}" for name in sorted(messages))) from None


@dataclass(frozen=True, slots=True)
class MongoSettings(SettingsGroup):
    """The connection to MongoDB; `timeout_ms` is the deadline of a whole request, in milliseconds."""

    SCHEMA: ClassVar = MongoSettingsSchema()

    uri: str = field(repr=False)
    database: str = "customer_service"
    timeout_ms: int = 2000

    @property
    def in_memory(self) -> bool:
        """Whether the database is in the process's memory."""
        return self.uri.startswith(IN_MEMORY_URI)


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


@dataclass(frozen=True, slots=True)
class ServerSettings(SettingsGroup):
    """The server: its TCP port, its worker processes, the seconds of a shutdown, and the lowest log level.

    `rate_limit_per_minute` is the number of requests that each caller may make in a minute; None means no limit.
    """

    SCHEMA: ClassVar = ServerSettingsSchema()

    port: int = 3001
    workers: int | None = None
    drain_seconds: float = 5.0
    log_level: str = "info"
    rate_limit_per_minute: int | None = None


@dataclass(frozen=True, slots=True)
class CacheSettings(SettingsGroup):
    """The caches of a worker: verified tokens, memberships and customers; 0 disables a cache."""

    SCHEMA: ClassVar = CacheSettingsSchema()

    token_entries: int = 10_000
    membership_seconds: float = 5.0
    customer_entries: int = 0


@dataclass(frozen=True, slots=True)
class TracingSettings(SettingsGroup):
    """The URL that receives traces by OTLP over HTTP; None disables tracing."""

    SCHEMA: ClassVar = TracingSettingsSchema()

    endpoint: str | None = None


@dataclass(frozen=True, slots=True)
class GatewaySettings(SettingsGroup):
    """The proxies whose forwarding headers are trusted, and the origins that CORS allows."""

    SCHEMA: ClassVar = GatewaySettingsSchema()

    trusted_proxies: tuple[Network, ...] = ()
    cors_allowed_origins: tuple[str, ...] = ()


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
        """Read all settings; raises one SettingsError that names every missing or wrong setting."""
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
