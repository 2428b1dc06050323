"""Run the service with w: 1 in place of majority, to show that the fault tests detect lost writes."""

from __future__ import annotations

from unittest.mock import patch

from gunicorn.app.wsgiapp import run
from pymongo import WriteConcern

from customer_service.repository import database

if __name__ == "__main__":
    with patch.object(database, "WriteConcern", lambda _: WriteConcern(1)):
        run()
