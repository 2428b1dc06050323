"""The settings of the caches of a worker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from marshmallow import fields, validate

from customer_service.settings.environment import EnvironmentSchema, SettingsGroup


class CacheSettingsSchema(EnvironmentSchema):
    """The environment variables of CacheSettings."""

    token_entries = fields.Integer(data_key="TOKEN_CACHE_ENTRIES", validate=validate.Range(0, 1_000_000))
    membership_seconds = fields.Float(data_key="MEMBERSHIP_CACHE_SECONDS", validate=validate.Range(0, 300))
    customer_entries = fields.Integer(data_key="CUSTOMER_CACHE_ENTRIES", validate=validate.Range(0, 1_000_000))


@dataclass(frozen=True, slots=True)
class CacheSettings(SettingsGroup):
    """The caches of a worker: verified tokens, memberships and customers; 0 disables a cache."""

    SCHEMA: ClassVar = CacheSettingsSchema()

    token_entries: int = 10_000
    membership_seconds: float = 5.0
    customer_entries: int = 0
