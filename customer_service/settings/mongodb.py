"""The settings of the connection to MongoDB."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from marshmallow import fields, validate

from customer_service.settings.environment import EnvironmentSchema, SettingsGroup

IN_MEMORY_URI = "mongomock://"
"""The `MONGODB_URI` of a database in the process's memory."""


class MongoSettingsSchema(EnvironmentSchema):
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
