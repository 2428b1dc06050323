"""Record the commands that the driver sends to MongoDB, and read their query plans."""

from __future__ import annotations

from typing import Any

import pymongo
import pymongo.monitoring

INDEXES = [
    "memberships.organizationId_1_userId_1",
    "customers.customer-service.search",
    "customers.customer-service.createdAt",
    "customers.customer-service.updatedAt",
    "customers.customer-service.unique.taxId",
    "customers.customer-service.unique.externalId",
    "customers.customer-service.blockedAt",
    "customers.customer-service.erasedAt",
    "customer_versions.customer-service.history",
    "idempotencyKeys.claimedAt_1",
    "idempotencyKeys.customerId_1",
    "requestCounts.until_1",
]


class CommandRecorder(pymongo.monitoring.CommandListener):
    """Keep every command that the driver sends."""

    def __init__(self) -> None:
        self.commands: list[dict[str, Any]] = []

    def started(self, event: pymongo.monitoring.CommandStartedEvent) -> None:
        self.commands.append(dict(event.command))

    def succeeded(self, event: pymongo.monitoring.CommandSucceededEvent) -> None:
        """Nothing to keep."""

    def failed(self, event: pymongo.monitoring.CommandFailedEvent) -> None:
        """Nothing to keep."""


def stages_of(plan: dict[str, Any]) -> set[str]:
    inputs = [*plan.get("inputStages", []), *([plan["inputStage"]] if "inputStage" in plan else [])]
    return {plan["stage"]}.union(*map(stages_of, inputs))
