"""The configuration that gunicorn reads: `gunicorn --config python:customer_service.server.config`.

Import it in no other process: it replaces the blocking calls of the standard library by gevent's.
"""

# The patch comes first: ssl, pymongo and jwt keep what they import, and gevent warns of it.
from gevent import monkey

monkey.patch_all()

import sys

from customer_service.errors import SettingsError
from customer_service.server.options import options
from customer_service.settings import Settings

try:
    globals().update(options(Settings.from_environment()))
except SettingsError as error:
    sys.exit(f"customer-service cannot start. {error}")
