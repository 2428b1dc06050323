"""The options of gunicorn."""

from __future__ import annotations

import pytest
from gunicorn.config import Config

from customer_service.errors import SettingsError
from customer_service.server.options import options
from customer_service.server.worker import DrainingWorker
from customer_service.settings import JwtSettings, MongoSettings, ServerSettings, Settings
from tests.support import SECRET


def settings(uri: str = "mongodb://localhost", workers: int | None = None, drain_seconds: float = 5) -> Settings:
    server_settings = ServerSettings(workers=workers, drain_seconds=drain_seconds)
    return Settings(MongoSettings(uri), JwtSettings(secret=SECRET), server_settings)


def test_gunicorn_takes_them_all() -> None:
    config = Config()
    for name, value in options(settings()).items():
        config.set(name, value)
    assert config.worker_class is DrainingWorker


@pytest.mark.parametrize(
    ("uri", "given", "workers"),
    [("mongodb://x", None, 2), ("mongodb://x", 7, 7), ("mongomock://", None, 1), ("mongomock://", 1, 1)],
)
def test_workers(uri: str, given: int | None, workers: int) -> None:
    assert options(settings(uri, given))["workers"] == workers


def test_one_memory_is_not_shared_by_workers() -> None:
    with pytest.raises(SettingsError, match="WEB_CONCURRENCY"):
        options(settings("mongomock://", 2))


def test_a_stop_is_given_the_time_of_its_drain_and_of_a_request() -> None:
    assert options(settings(drain_seconds=60))["graceful_timeout"] >= 60 + 2
