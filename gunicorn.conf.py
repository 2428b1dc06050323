"""gunicorn's configuration when it is started beside this file, as `gunicorn wsgi:app`."""

from customer_service.server.start import *  # noqa: F403 - gunicorn reads the names of this module
