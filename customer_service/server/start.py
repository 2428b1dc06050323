"""gunicorn's configuration: `gunicorn --config python:customer_service.server.start`.

Do not import it in another process: it replaces the blocking calls of the standard library by gevent's.
"""

# First, because ssl, pymongo and jwt keep the unpatched functions that they import, and gevent warns of it.
from gevent import monkey

monkey.patch_all()

import sys

from customer_service.errors import SettingsError
from customer_service.server.config import options
from customer_service.settings import Settings

try:
    globals().update(options(Settings.from_environment()))
except SettingsError as error:
    sys.exit(f"customer-service cannot start. {error}")
