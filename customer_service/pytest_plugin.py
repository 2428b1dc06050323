"""The pytest plugin: tests that do not use its fixture pay next to nothing for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from customer_service.testing import CustomerService, RunningService


@pytest.fixture(scope="session")
def _running_customer_service() -> Iterator[RunningService]:
    try:
        from customer_service.testing import RunningService  # noqa: PLC0415 - tests without the fixture do not pay
    except ModuleNotFoundError as error:
        pytest.fail(f"{error}. Install the extra: customer-service[testing]", pytrace=False)
    with RunningService() as running:
        yield running


@pytest.fixture
def customer_service(_running_customer_service: RunningService) -> Iterator[CustomerService]:
    """Yield the real service on a free port of this machine, over an empty database in memory, with its factories."""
    with _running_customer_service.emptied() as service:
        yield service
