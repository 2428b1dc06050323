"""gunicorn's options, and what a stopping worker does that no test over TCP can bring about at will."""

from __future__ import annotations

import os
import signal
import socket
from typing import TYPE_CHECKING

import pytest
from gunicorn.config import Config

from customer_service import demo, server
from customer_service.errors import SettingsError
from customer_service.settings import JwtSettings, MongoSettings, ServerSettings, Settings
from tests.support import SECRET

if TYPE_CHECKING:
    from collections.abc import Iterator


def settings(uri: str = "mongodb://localhost", workers: int | None = None, drain_seconds: float = 5) -> Settings:
    server_settings = ServerSettings(workers=workers, drain_seconds=drain_seconds)
    return Settings(MongoSettings(uri), JwtSettings(secret=SECRET), server_settings)


class TestOptions:
    def test_gunicorn_takes_them_all(self) -> None:
        config = Config()
        for name, value in server.options(settings()).items():
            config.set(name, value)
        assert config.worker_class is server.DrainingWorker

    @pytest.mark.parametrize(
        ("uri", "given", "workers"),
        [("mongodb://x", None, 2), ("mongodb://x", 7, 7), ("mongomock://", None, 1), ("mongomock://", 1, 1)],
    )
    def test_workers(self, uri: str, given: int | None, workers: int) -> None:
        assert server.options(settings(uri, given))["workers"] == workers

    def test_one_memory_is_not_shared_by_workers(self) -> None:
        with pytest.raises(SettingsError, match="WEB_CONCURRENCY"):
            server.options(settings("mongomock://", 2))

    def test_a_stop_is_given_the_time_of_its_drain_and_of_a_request(self) -> None:
        assert server.options(settings(drain_seconds=60))["graceful_timeout"] >= 60 + 2


class TestWorker:
    @pytest.fixture
    def listener(self) -> Iterator[socket.socket]:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            yield listening

    @pytest.fixture
    def worker(self, listener: socket.socket) -> Iterator[server.DrainingWorker]:
        made = server.DrainingWorker(1, os.getpid(), [listener], None, 30, Config(), None)
        yield made
        made.tmp.close()

    def test_an_event_of_a_closed_listener_is_ignored(self, worker: server.DrainingWorker) -> None:
        (listener,) = worker.sockets
        worker.sockets = []
        listener.close()
        worker.accept(listener)
        assert worker.nr_conns == 0

    def test_a_second_signal_changes_nothing(
        self, worker: server.DrainingWorker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        steps: list[float] = []
        monkeypatch.setattr(worker, "_later", lambda seconds, _step: steps.append(seconds))
        worker.handle_exit(signal.SIGTERM, None)
        worker.handle_exit(signal.SIGTERM, None)
        assert steps == [0]
        assert worker.alive


@pytest.mark.parametrize(("argument", "environment", "port"), [(None, "", 3001), (None, "4001", 4001), (1, "4001", 1)])
def test_the_demos_port(monkeypatch: pytest.MonkeyPatch, argument: int | None, environment: str, port: int) -> None:
    monkeypatch.setenv("PORT", environment)
    monkeypatch.setattr(demo, "_require_free", lambda _: None)
    assert demo.demo_settings(argument).server.port == port
