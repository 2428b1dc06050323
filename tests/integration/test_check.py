"""`customer-service check`: each precondition with ok or what to do."""

from __future__ import annotations

from contextlib import closing
from datetime import datetime, timedelta, tzinfo
from typing import TYPE_CHECKING

import pytest

from customer_service.cli import check
from customer_service.repository import ensure_indexes
from customer_service.repository.readiness import LOGIN_REFUSED, NO_MEMBER, NO_RIGHTS, NOT_WRITABLE
from customer_service.settings.jwt import ANY_AUDIENCE
from tests.integration.conftest import PASSWORD
from tests.support import SECRET, fill
from tests.support.command_line import CommandRun
from tests.support.failpoints import failing
from tests.support.issuer import JwksServer
from tests.support.mongod import free_port
from tests.support.tokens import jwk

if TYPE_CHECKING:
    from collections.abc import Callable

    from pymongo.database import Database

    from customer_service.repository.database import Document
    from tests.support.mongod import Mongod

    Checked = Callable[..., tuple[int, dict[str, str]]]

NAMES = ["settings", "keys", "audience", "connection", "login", "primary", *check.CHECKS]
ALL_OK = dict.fromkeys(NAMES, "ok")
AUDIENCE = {"JWT_ISSUER": "issuer", "JWT_AUDIENCE": "customers"}
RSA = "RSA"


@pytest.fixture
def checked(
    mongodb: Database[Document], mongodb_uri: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Checked:
    """Runs the command with these settings; returns its exit code and each line that it printed."""

    def checked(**environment: str) -> tuple[int, dict[str, str]]:
        given = {"MONGODB_URI": mongodb_uri, "MONGODB_DATABASE": mongodb.name, "JWT_SECRET": SECRET, **AUDIENCE}
        for name, value in (given | environment).items():
            monkeypatch.setenv(name, value)
        done = CommandRun(monkeypatch, capsys, "check")
        return int(done.code), {line[:11].strip(): line[13:] for line in done.out.splitlines()}

    return checked


@pytest.fixture
def prepared(mongodb: Database[Document]) -> Database[Document]:
    """A database as a deployment leaves it."""
    fill(mongodb)
    ensure_indexes(mongodb)
    return mongodb


@pytest.mark.usefixtures("prepared")
def test_all_holds(checked: Checked) -> None:
    assert checked() == (0, ALL_OK)


def test_a_new_database(checked: Checked, prepared: Database[Document]) -> None:
    prepared.memberships.drop()
    code, lines = checked()
    missing = "missing: memberships.organizationId_1_userId_1; run `customer-service indexes`"
    assert (code, lines) == (1, ALL_OK | {"indexes": missing, "members": NO_MEMBER})
    assert "`customer-service members add " in NO_MEMBER
    ensure_indexes(prepared)


@pytest.mark.usefixtures("prepared")
@pytest.mark.parametrize(
    ("missing", "named"),
    [
        (["JWT_AUDIENCE"], "set JWT_AUDIENCE, "),
        (["JWT_ISSUER"], "set JWT_ISSUER, "),
        (["JWT_ISSUER", "JWT_AUDIENCE"], "set JWT_ISSUER and JWT_AUDIENCE, "),
    ],
)
def test_a_secret_without_an_audience_is_a_note(checked: Checked, missing: list[str], named: str) -> None:
    code, lines = checked(**dict.fromkeys(missing, ""))
    assert (code, lines["audience"].startswith("note: ")) == (0, True)
    assert named in lines["audience"]


@pytest.mark.usefixtures("prepared")
class TestJwkSets:
    """Keys that the issuer publishes."""

    def test_it_has_a_key(self, checked: Checked) -> None:
        with closing(JwksServer(jwk(RSA))) as server:
            assert checked(JWT_SECRET="", JWT_JWKS_URL=server.url) == (0, ALL_OK)

    def test_it_does_not_come(self, checked: Checked) -> None:
        code, lines = checked(JWT_SECRET="", JWT_JWKS_URL=f"http://127.0.0.1:{free_port()}/keys")
        assert (code, lines) == (1, ALL_OK | {"keys": check.NO_KEYS})

    def test_any_audience_is_a_failure(self, checked: Checked) -> None:
        with closing(JwksServer(jwk(RSA))) as server:
            code, lines = checked(JWT_SECRET="", JWT_JWKS_URL=server.url, JWT_ISSUER="", JWT_AUDIENCE="")
        assert (code, lines) == (1, ALL_OK | {"audience": ANY_AUDIENCE})


class TestSettings:
    """What the environment lacks."""

    def test_one_is_missing(self, checked: Checked) -> None:
        code, lines = checked(MONGODB_URI="")
        assert (code, list(lines)) == (1, ["settings"])
        assert lines["settings"].startswith("MONGODB_URI: is missing")

    def test_the_key_is_none(self, checked: Checked) -> None:
        code, lines = checked(JWT_SECRET="", JWT_PUBLIC_KEY="-----BEGIN nothing")
        assert code == 1
        assert lines["keys"].startswith("JWT_PUBLIC_KEY: ")

    def test_memory_is_not_checked(self, checked: Checked) -> None:
        code, lines = checked(MONGODB_URI="mongomock://")
        assert (code, lines) == (0, dict.fromkeys(NAMES[:3], "ok") | {"connection": check.IN_MEMORY})


class TestDatabases:
    """Databases that the service could not work with."""

    def test_it_does_not_answer(self, checked: Checked) -> None:
        code, lines = checked(MONGODB_URI=f"mongodb://127.0.0.1:{free_port()}", MONGODB_TIMEOUT_MS="200")
        unknown = dict.fromkeys(NAMES[4:], check.NOT_CHECKED)
        assert (code, lines) == (1, ALL_OK | unknown | {"connection": check.NO_ANSWER})

    def test_it_refuses_the_login(self, checked: Checked, guarded: Mongod) -> None:
        code, lines = checked(MONGODB_URI=guarded.uri.replace("//", "//writer:other@"))
        unknown = dict.fromkeys(NAMES[5:], check.NOT_CHECKED)
        assert (code, lines) == (1, ALL_OK | unknown | {"login": LOGIN_REFUSED})

    def test_a_standalone_whose_user_may_only_read(self, checked: Checked, guarded: Mongod) -> None:
        uri = guarded.uri.replace("//", f"//reader:{PASSWORD}@")
        code, lines = checked(MONGODB_URI=uri, MONGODB_DATABASE="tests")
        refused = dict.fromkeys(("rights", "majority"), NO_RIGHTS)
        assert (code, lines) == (1, ALL_OK | refused | {"replica set": "ok (no change feed)", "members": NO_MEMBER})

    def test_it_takes_no_writes(self, checked: Checked, uninitiated: Mongod) -> None:
        code, lines = checked(MONGODB_URI=uninitiated.uri, MONGODB_TIMEOUT_MS="2000")
        assert (code, lines["connection"], lines["primary"]) == (1, "ok", NOT_WRITABLE)

    def test_no_majority_acknowledges(self, checked: Checked, prepared: Database[Document]) -> None:
        error = {"code": 64, "errmsg": "timed out"}
        with failing(prepared, "update", mode={"skip": 1}, writeConcernError=error):
            assert checked() == (1, ALL_OK | {"majority": check.NO_MAJORITY})


@pytest.mark.usefixtures("prepared")
@pytest.mark.parametrize("seconds", [-8, 8])
def test_another_clock(checked: Checked, monkeypatch: pytest.MonkeyPatch, seconds: int) -> None:
    class Clock(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Clock:
            return super().now(tz) + timedelta(seconds=seconds)

    monkeypatch.setattr(check, "datetime", Clock)
    code, lines = checked()
    assert (code, "differs by 8 seconds" in lines["clock"]) == (1, True)
