"""Fixtures for every fault test."""

from __future__ import annotations

from tests.e2e.conftest import measured, server, server_class

__all__ = ["measured", "server", "server_class"]
