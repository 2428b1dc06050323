"""The settings of the server, its log and its rate limit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from marshmallow import fields, validate

from customer_service.settings.environment import EnvironmentSchema, SettingsGroup

DEFAULT_WORKERS = 2
"""The worker processes without `WEB_CONCURRENCY`; a database in memory has one."""


class ServerSettingsSchema(EnvironmentSchema):
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
