"""The watcher logs an outage once, however often it tries again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import mongomock
from pymongo.errors import PyMongoError

from customer_service.repository import change_watcher
from customer_service.repository.change_watcher import ChangeWatcher
from tests.support import wait_until

if TYPE_CHECKING:
    import pytest


class OutOfReach(PyMongoError):
    """An error that no other test's watcher logs."""


def test_an_outage_is_logged_once(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    database: Any = mongomock.MongoClient().tests
    tries = 0

    def fail(**_: object) -> NoReturn:
        nonlocal tries
        tries += 1
        raise OutOfReach

    monkeypatch.setattr(database.client, "start_session", fail)
    monkeypatch.setattr(change_watcher, "RETRY_SECONDS", 0.001)
    watcher = ChangeWatcher(database, {}, lambda: None)
    watcher.start()
    wait_until(lambda: tries > 3)
    watcher.close()
    assert [record.message for record in caplog.records].count("changes are not followed: OutOfReach") == 1
