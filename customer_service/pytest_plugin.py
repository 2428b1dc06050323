"""The pytest plugin: it costs the tests that do not ask for its fixture next to nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from customer_service.testing import CustomerService, RunningService


@pytest.fixture(scope="session")
def _running_customer_service() -> Iterator[RunningService]:
    from customer_service.testing import RunningService  # noqa: PLC0415 - whoever does not ask does not pay

    with RunningService() as running:
        yield running


@pytest.fixture
def customer_service(_running_customer_service: RunningService) -> Iterator[CustomerService]:
    """Give the real service on a free port of this machine, over an empty database in memory, with its factories."""
    with _running_customer_service.emptied() as service:
        yield service
