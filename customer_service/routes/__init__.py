"""The routes of an organization: look up, read what was asked, let the repository do it, answer in its shape."""

from customer_service.routes import batches, catalogs, feed, members, reading, sat_validation, writing
from customer_service.routes.common import blueprint as customers_blueprint

__all__ = ["batches", "catalogs", "customers_blueprint", "feed", "members", "reading", "sat_validation", "writing"]
