"""Fixtures for every fault test."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import measured, server
from tests.support.server import DeadlineServer

__all__ = ["measured", "server", "server_class"]


@pytest.fixture(scope="module")
def server_class() -> type[DeadlineServer]:
    """What is measured is the service as it is deployed."""
    return DeadlineServer
