"""The settings, a module for each group: each reads and validates its environment variables."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, get_type_hints

from customer_service.errors import SettingsError
from customer_service.settings.caches import CacheSettings
from customer_service.settings.gateway import GatewaySettings
from customer_service.settings.history import HistorySettings
from customer_service.settings.jwt import JwtSettings
from customer_service.settings.mongodb import IN_MEMORY_URI, MongoSettings
from customer_service.settings.server import ServerSettings
from customer_service.settings.tracing import TracingSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "IN_MEMORY_URI",
    "CacheSettings",
    "GatewaySettings",
    "HistorySettings",
    "JwtSettings",
    "MongoSettings",
    "ServerSettings",
    "Settings",
    "TracingSettings",
]


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of the service."""

    mongodb: MongoSettings
    jwt: JwtSettings
    server: ServerSettings = field(default_factory=ServerSettings)
    cache: CacheSettings = field(default_factory=CacheSettings)
    tracing: TracingSettings = field(default_factory=TracingSettings)
    gateway: GatewaySettings = field(default_factory=GatewaySettings)
    history: HistorySettings = field(default_factory=HistorySettings)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Settings:
        """Read all settings; raises one SettingsError that names every missing or wrong setting."""
        problems: list[str] = []
        groups: dict[str, Any] = {}
        for name, group in get_type_hints(cls).items():
            try:
                groups[name] = group.from_environment(environ)
            except SettingsError as error:
                problems.append(str(error))
        if problems:
            raise SettingsError("; ".join(problems))
        return cls(**groups)
