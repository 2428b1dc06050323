"""The client's options, which no connection string changes."""

from __future__ import annotations

from urllib.parse import quote

import dns.exception
import dns.resolver
import pytest
from pymongo import ReadPreference

from customer_service.errors import DatabaseUnavailable, SettingsError
from customer_service.repository import MembershipRepository
from customer_service.repository.database import connect
from customer_service.settings import MongoSettings


@pytest.mark.parametrize(
    "options",
    ["", "w=1", "w=0", "journal=false", "wtimeoutMS=1", "readConcernLevel=local", "readPreference=secondary"],
)
def test_no_option_weakens_the_write_and_read_concern(options: str) -> None:
    database = connect(MongoSettings(f"mongodb://localhost/?{options}"))
    assert database.write_concern.document == {"w": "majority"}
    assert database.read_concern.document == {"level": "majority"}
    assert database.read_preference == ReadPreference.PRIMARY
    database.client.close()


@pytest.mark.parametrize(("options", "seconds"), [("", 5), ("/?connectTimeoutMS=9000", 9)])
def test_a_name_that_cannot_be_resolved_is_not_waited_for_long(
    monkeypatch: pytest.MonkeyPatch, options: str, seconds: int
) -> None:
    lifetimes = []

    def time_out(*_: object, lifetime: float) -> None:
        lifetimes.append(lifetime)
        raise dns.exception.Timeout

    monkeypatch.setattr(dns.resolver, "resolve", time_out)
    database = connect(MongoSettings(f"mongodb+srv://cluster.example.com{options}"))
    with pytest.raises(DatabaseUnavailable):
        MembershipRepository(database).find("a-user", "an-organization")
    assert set(lifetimes) == {seconds}


def test_a_pool_of_one_connection_is_refused() -> None:
    with pytest.raises(SettingsError, match="MONGODB_URI: maxPoolSize must "):
        connect(MongoSettings("mongodb://localhost/?maxPoolSize=1"))


@pytest.mark.parametrize("option", ["tlsCAFile", "tlsCertificateKeyFile"])
@pytest.mark.parametrize("path", ["/missing", "/", __file__])
def test_a_wrong_file_of_tls_is_refused(option: str, path: str) -> None:
    with pytest.raises(SettingsError, match="MONGODB_URI: is not a usable connection string"):
        connect(MongoSettings(f"mongodb://localhost/?tls=true&{option}={quote(path, safe='')}"))


@pytest.mark.parametrize("size", [0, 2, 100])
def test_any_other_pool_is_accepted(size: int) -> None:
    connect(MongoSettings(f"mongodb://localhost/?maxPoolSize={size}")).client.close()
