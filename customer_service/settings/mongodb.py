"""The settings of the connection to MongoDB."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import ClassVar

from marshmallow import ValidationError, fields, validate

from customer_service.settings.environment import EnvironmentSchema, SettingsGroup

IN_MEMORY_URI = "mongomock://"
"""The `MONGODB_URI` of a database in the process's memory."""


DATABASE_NAME = re.compile(r'[^\x00-\x20/\\."$*<>:|?]+')
MAXIMUM_NAME_BYTES = 63
SYSTEM_DATABASES = ("admin", "config", "local")


def _check_database(name: str) -> None:
    is_short = len(os.fsencode(name)) <= MAXIMUM_NAME_BYTES
    if not DATABASE_NAME.fullmatch(name) or not is_short or name in SYSTEM_DATABASES:
        raise ValidationError("is not the name of a MongoDB database for data")


class MongoSettingsSchema(EnvironmentSchema):
    """The environment variables of MongoSettings."""

    uri = fields.String(
        data_key="MONGODB_URI",
        required=True,
        validate=validate.Regexp(
            r"(mongodb(\+srv)?|mongomock)://\S*\Z",
            error="must start with mongodb://, mongodb+srv:// or mongomock://, and have no blanks",
        ),
        error_messages={"required": "is missing; set a connection string such as mongodb://localhost:27017"},
    )
    database = fields.String(data_key="MONGODB_DATABASE", validate=_check_database)
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
