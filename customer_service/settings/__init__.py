"""The settings: their model, and how they are read from the environment."""

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
