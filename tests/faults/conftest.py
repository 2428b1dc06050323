"""What every fault test may ask for."""

from __future__ import annotations

from tests.e2e.conftest import measured, server

__all__ = ["measured", "server"]
