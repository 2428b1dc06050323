"""The collections, and every query on them: customers only ever through their organization."""

from customer_service.repository.customers import CustomerRepository
from customer_service.repository.idempotency import IdempotencyRepository
from customer_service.repository.indexes import complete, ensure_indexes
from customer_service.repository.memberships import (
    MAXIMUM_ORGANIZATION_ID_LENGTH,
    ROLES,
    Membership,
    MembershipRepository,
    OrganizationScope,
    Role,
)
from customer_service.repository.quotas import QuotaRepository

__all__ = [
    "MAXIMUM_ORGANIZATION_ID_LENGTH",
    "ROLES",
    "CustomerRepository",
    "IdempotencyRepository",
    "Membership",
    "MembershipRepository",
    "OrganizationScope",
    "QuotaRepository",
    "Role",
    "complete",
    "ensure_indexes",
]
