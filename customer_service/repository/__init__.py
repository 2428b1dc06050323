"""The collections of MongoDB and every query on them; each query on customers names their organization."""

from customer_service.repository.backfill import backfill_search_fields, backfill_unique_keys
from customer_service.repository.caches import WorkerCaches
from customer_service.repository.change_feed import CustomerChange, CustomerFeed
from customer_service.repository.change_position import ChangePosition
from customer_service.repository.customer_batches import CustomerBatchRepository
from customer_service.repository.customers import CustomerRepository, Writer
from customer_service.repository.erasures import ErasureRepository, RetentionChange
from customer_service.repository.idempotency import IdempotencyRepository
from customer_service.repository.indexes import drop_unused_indexes, ensure_indexes
from customer_service.repository.memberships import (
    MAXIMUM_ORGANIZATION_ID_LENGTH,
    MAXIMUM_USER_ID_LENGTH,
    Membership,
    MembershipRepository,
    OrganizationScope,
)
from customer_service.repository.rate_limits import RateLimitRepository
from customer_service.repository.versions import VersionRepository, set_history_days

__all__ = [
    "MAXIMUM_ORGANIZATION_ID_LENGTH",
    "MAXIMUM_USER_ID_LENGTH",
    "ChangePosition",
    "CustomerBatchRepository",
    "CustomerChange",
    "CustomerFeed",
    "CustomerRepository",
    "ErasureRepository",
    "IdempotencyRepository",
    "Membership",
    "MembershipRepository",
    "OrganizationScope",
    "RateLimitRepository",
    "RetentionChange",
    "VersionRepository",
    "WorkerCaches",
    "Writer",
    "backfill_search_fields",
    "backfill_unique_keys",
    "drop_unused_indexes",
    "ensure_indexes",
    "set_history_days",
]
