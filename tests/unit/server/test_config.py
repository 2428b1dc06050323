"""The options of gunicorn."""

from __future__ import annotations

from types import SimpleNamespace
from unittest.mock import Mock

import pytest
from gunicorn.config import Config

from customer_service.errors import SettingsError
from customer_service.server.config import options, start_readiness_checks
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


@pytest.mark.parametrize(
    ("name", "environment"),
    [
        ("MONGODB_URI", {"MONGODB_URI": "mongodb://a:b:c@localhost", "JWT_SECRET": SECRET}),
        ("JWT_PUBLIC_KEY", {"MONGODB_URI": "mongodb://localhost", "JWT_PUBLIC_KEY": "-----BEGIN nothing"}),
        ("JWT_ALGORITHMS", {"MONGODB_URI": "mongodb://localhost", "JWT_SECRET": SECRET, "JWT_ALGORITHMS": "none"}),
    ],
)
def test_settings_with_which_no_worker_could_start_are_refused(name: str, environment: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match=f"^{name}: "):
        options(Settings.from_environment(environment))


def test_one_memory_is_not_shared_by_workers() -> None:
    with pytest.raises(SettingsError, match="WEB_CONCURRENCY"):
        options(settings("mongomock://", 2))


@pytest.mark.parametrize("size", [2, 48])
def test_a_pool_that_long_polling_would_empty_is_refused(size: int) -> None:
    with pytest.raises(SettingsError, match="MONGODB_URI: maxPoolSize must be at least 49"):
        options(settings(f"mongodb://x/?maxPoolSize={size}"))


@pytest.mark.parametrize("size", [49, 0])
def test_a_larger_pool_is_accepted(size: int) -> None:
    options(settings(f"mongodb://x/?maxPoolSize={size}"))


@pytest.mark.parametrize(("extensions", "started"), [({"readiness": Mock()}, 1), ({}, 0)])
def test_a_worker_starts_the_readiness_checks_of_its_application(extensions: dict[str, Mock], started: int) -> None:
    worker = Mock()
    worker.app.wsgi.return_value = SimpleNamespace(extensions=extensions)
    start_readiness_checks(worker)
    assert sum(each.start.call_count for each in extensions.values()) == started


def test_an_application_without_readiness_checks_is_served() -> None:
    worker = Mock()
    worker.app.wsgi.return_value = object()
    start_readiness_checks(worker)


def test_a_stop_is_given_the_time_of_its_drain_and_of_a_request() -> None:
    assert options(settings(drain_seconds=60))["graceful_timeout"] >= 60 + 2
