"""The service with one promise broken on purpose: a write counts as stored once the primary alone has it."""

from __future__ import annotations

from unittest.mock import patch

from gunicorn.app.wsgiapp import run
from pymongo import WriteConcern

from customer_service.repository import database

if __name__ == "__main__":
    with patch.object(database, "WriteConcern", lambda _: WriteConcern(1)):
        run()
