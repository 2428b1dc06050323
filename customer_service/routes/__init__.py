"""The routes: each view reads what is asked, lets a service or repository do it, and serializes the result."""

from customer_service.routes import (
    changes,
    customers_batch,
    customers_read,
    customers_write,
    sat_validation,
)
from customer_service.routes.blueprint import blueprint as customers_blueprint

__all__ = [
    "changes",
    "customers_batch",
    "customers_blueprint",
    "customers_read",
    "customers_write",
    "sat_validation",
]
