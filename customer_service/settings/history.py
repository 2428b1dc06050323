"""The settings of the history of customers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from marshmallow import fields, validate

from customer_service.settings.environment import EnvironmentSchema, SettingsGroup

MAXIMUM_DAYS = 24_000
"""MongoDB keeps the seconds of a TTL index in 31 bits: they are at most 24,855 days."""


class HistorySettingsSchema(EnvironmentSchema):
    """The environment variables of HistorySettings."""

    days = fields.Integer(data_key="HISTORY_DAYS", validate=validate.Range(1, MAXIMUM_DAYS))


@dataclass(frozen=True, slots=True)
class HistorySettings(SettingsGroup):
    """The history: the days for which a replaced version is stored; None means for ever."""

    SCHEMA: ClassVar = HistorySettingsSchema()

    days: int | None = None
