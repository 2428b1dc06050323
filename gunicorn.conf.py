"""gunicorn's settings, all from the environment: a wrong one stops the server with a line that names it."""

import sys

from customer_service import server
from customer_service.errors import SettingsError
from customer_service.settings import Settings

try:
    globals().update(server.options(Settings.from_environment()))
except SettingsError as error:
    sys.exit(f"customer-service cannot start. {error}")
