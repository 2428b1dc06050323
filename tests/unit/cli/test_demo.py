"""The environment in which the demo runs."""

from __future__ import annotations

import errno
import os
import socket

import pytest

from customer_service.cli import demo
from customer_service.errors import SettingsError
from customer_service.settings import Settings


@pytest.fixture(autouse=True)
def any_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "_require_free", lambda _: None)


@pytest.mark.parametrize(("argument", "environment", "port"), [(None, "", 3001), (None, "4001", 4001), (1, "4001", 1)])
def test_the_port_is_the_arguments_else_the_environments(argument: int | None, environment: str, port: int) -> None:
    chosen = demo.demo_environment({"PORT": environment}, argument)
    assert Settings.from_environment(chosen).server.port == port


def test_a_database_and_keys_of_the_environment_are_not_used() -> None:
    ours = {"MONGODB_URI": "mongodb://production", "MONGODB_DATABASE": "x", "JWT_JWKS_URL": "https://issuer.example"}
    settings = Settings.from_environment(demo.demo_environment({**ours, "JWT_SECRET": "s" * 32}, None))
    assert settings.mongodb.in_memory
    assert settings.jwt.jwks_url is None
    assert settings.jwt.secret != "s" * 32


def test_each_demo_has_a_secret_of_its_own() -> None:
    one, other = (demo.demo_environment({}, None)["JWT_SECRET"] for _ in range(2))
    assert one != other


def test_other_settings_are_kept() -> None:
    assert demo.demo_environment({"CORS_ALLOWED_ORIGINS": "*"}, None)["CORS_ALLOWED_ORIGINS"] == "*"


@pytest.mark.parametrize("code", [errno.EADDRINUSE, errno.EACCES])
def test_a_port_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def refused(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.undo()
    monkeypatch.setattr(socket.socket, "bind", refused)
    with pytest.raises(SettingsError) as caught:
        demo.demo_environment({}, 80)
    assert f"80 cannot be used on this machine ({os.strerror(code)})" in str(caught.value)
