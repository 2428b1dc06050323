"""The connection: what it asks of MongoDB whatever the connection string says."""

from __future__ import annotations

import pytest
from pymongo import ReadPreference, WriteConcern

from customer_service.database import connect
from customer_service.errors import SettingsError
from customer_service.settings import MongoSettings


@pytest.mark.parametrize("asked", ["", "readPreference=secondaryPreferred", "readPreference=nearest&w=1", "w=0"])
def test_reads_ask_the_primary_and_writes_wait_for_a_majority(asked: str) -> None:
    database = connect(MongoSettings(f"mongodb://localhost:1/?{asked}"))
    with database.client:
        assert database.read_preference == ReadPreference.PRIMARY
        assert database.write_concern == WriteConcern("majority")


def test_tags_of_secondaries_stop_the_start() -> None:
    with pytest.raises(SettingsError, match="MONGODB_URI"):
        connect(MongoSettings("mongodb://localhost:1/?readPreferenceTags=dc:ny"))
