"""Every setting of the service, read from the environment once and checked before anything starts."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar, cast

from marshmallow import EXCLUDE, Schema, ValidationError, fields, post_load, validate, validates_schema

from customer_service import environment
from customer_service.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from customer_service.environment import Network

IN_MEMORY_URI = "mongomock://"
"""The `MONGODB_URI` that keeps everything in the process's own memory."""

KEY_SETTINGS = ("JWT_SECRET", "JWT_PUBLIC_KEY", "JWT_JWKS_URL")
MINIMUM_SECRET_BYTES = 32  # RFC 7518, section 3.2: a key at least as long as the hash

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
    """Whose tokens to accept: exactly one of `secret`, `public_key` (PEM text) and `jwks_url` is set."""

    secret: str | None = field(default=None, repr=False)
    public_key: str | None = None
    jwks_url: str | None = None
    algorithms: tuple[str, ...] = ()
    issuer: str | None = None
    audience: str | None = None
    leeway_seconds: int = 0

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
    gateway: GatewaySettings = field(default_factory=GatewaySettings)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Settings:
        """Read all settings; raises one SettingsError that names every setting that is missing or wrong."""
        problems: list[str] = []
        groups: list[Any] = []
        for group in (MongoSettings, JwtSettings, ServerSettings, CacheSettings, GatewaySettings):
            try:
                groups.append(group.from_environment(environ))
            except SettingsError as error:
                problems.append(str(error))
        if problems:
            raise SettingsError("; ".join(problems))
        return cls(*groups)


class _EnvironmentSchema(Schema):
    """Reads one group of settings from an environment; a blank variable counts as absent."""

    class Meta:
        unknown = EXCLUDE


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
    algorithms = fields.Function(data_key="JWT_ALGORITHMS", deserialize=environment.words)
    issuer = fields.String(data_key="JWT_ISSUER")
    audience = fields.String(data_key="JWT_AUDIENCE")
    leeway_seconds = fields.Integer(data_key="JWT_LEEWAY_SECONDS", validate=validate.Range(0, 300))

    @validates_schema(skip_on_field_errors=False)
    def _one_key(self, data: dict[str, Any], **_: object) -> None:
        given = [name for name in ("secret", "public_key", "jwks_url") if name in data]
        if len(given) != 1:
            raise ValidationError(f"set exactly one of them, not {len(given)}", " | ".join(KEY_SETTINGS))

    @validates_schema
    def _strong_key(self, data: dict[str, Any], **_: object) -> None:
        if "secret" in data and len(os.fsencode(data["secret"])) < MINIMUM_SECRET_BYTES:
            raise ValidationError(
                f"must be at least {MINIMUM_SECRET_BYTES} bytes long; `openssl rand -hex 32` makes one", "JWT_SECRET"
            )
        if "jwks_url" in data and not environment.is_safe_url(data["jwks_url"]):
            raise ValidationError("must be an https:// URL, or http:// on this machine", "JWT_JWKS_URL")

    @post_load
    def _read_public_key(self, data: dict[str, Any], **_: object) -> dict[str, Any]:
        if "public_key" in data:
            data["public_key"] = environment.pem(data["public_key"])
        return data


class ServerSettingsSchema(_EnvironmentSchema):
    """The environment variables of ServerSettings."""

    port = fields.Integer(data_key="PORT", validate=validate.Range(1, 65_535))
    workers = fields.Integer(data_key="WEB_CONCURRENCY", validate=validate.Range(1, 256))
    drain_seconds = fields.Float(data_key="DRAIN_SECONDS", validate=validate.Range(0, 300))
    log_level = fields.String(
        data_key="LOG_LEVEL", validate=validate.OneOf(("debug", "info", "warning", "error", "critical"))
    )
    rate_limit_per_minute = fields.Integer(data_key="RATE_LIMIT_PER_MINUTE", validate=validate.Range(1, 1_000_000))


class CacheSettingsSchema(_EnvironmentSchema):
    """The environment variables of CacheSettings."""

    token_entries = fields.Integer(data_key="TOKEN_CACHE_ENTRIES", validate=validate.Range(0, 1_000_000))
    membership_seconds = fields.Float(data_key="MEMBERSHIP_CACHE_SECONDS", validate=validate.Range(0, 300))
    customer_entries = fields.Integer(data_key="CUSTOMER_CACHE_ENTRIES", validate=validate.Range(0, 1_000_000))


class GatewaySettingsSchema(_EnvironmentSchema):
    """The environment variables of GatewaySettings."""

    trusted_proxies = fields.Function(data_key="TRUSTED_PROXIES", deserialize=environment.networks)
    cors_allowed_origins = fields.Function(data_key="CORS_ALLOWED_ORIGINS", deserialize=environment.origins)


def _load(group: type[Group], schema: Schema, environ: Mapping[str, str]) -> Group:
    given = {name: value for name, value in environ.items() if value.strip()}
    if "LOG_LEVEL" in given:
        given["LOG_LEVEL"] = given["LOG_LEVEL"].lower()
    try:
        return group(**schema.load(given))
    except ValidationError as error:
        messages = cast("dict[str, list[str]]", error.messages)
        raise SettingsError("; ".join(f"{name}: {' '.join(messages[name])}" for name in sorted(messages))) from None
