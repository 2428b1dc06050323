"""What the service asks of MongoDB, whatever the connection string says."""

from __future__ import annotations

import pytest
from pymongo import ReadPreference

from customer_service.database import connect
from customer_service.settings import MongoSettings


@pytest.mark.parametrize(
    "options",
    ["", "w=1", "w=0", "journal=false", "wtimeoutMS=1", "readConcernLevel=local", "readPreference=secondary"],
)
def test_no_option_weakens_what_is_acknowledged_or_read(options: str) -> None:
    database = connect(MongoSettings(f"mongodb://localhost/?{options}"))
    assert database.write_concern.document == {"w": "majority"}
    assert database.read_concern.document == {"level": "majority"}
    assert database.read_preference == ReadPreference.PRIMARY
    database.client.close()
