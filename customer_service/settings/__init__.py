"""The settings: `model` defines them, `environment` reads and validates the environment variables."""

from customer_service.settings.model import (
    IN_MEMORY_URI,
    CacheSettings,
    GatewaySettings,
    JwtSettings,
    MongoSettings,
    ServerSettings,
    Settings,
    TracingSettings,
)

__all__ = [
    "IN_MEMORY_URI",
    "CacheSettings",
    "GatewaySettings",
    "JwtSettings",
    "MongoSettings",
    "ServerSettings",
    "Settings",
    "TracingSettings",
]
