"""The routes: each view parses the request, calls a service or a repository, and serializes the result."""

from customer_service.routes import (
    changes,
    customer_erasure,
    customer_versions,
    customers_batch,
    customers_read,
    customers_write,
    sat_validation,
    tax_info,
)
from customer_service.routes.blueprint import blueprint as customers_blueprint

__all__ = [
    "changes",
    "customer_erasure",
    "customer_versions",
    "customers_batch",
    "customers_blueprint",
    "customers_read",
    "customers_write",
    "sat_validation",
    "tax_info",
]
