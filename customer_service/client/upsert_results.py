"""The results of a batch of upserts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from customer_service.client.errors import problem_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from customer_service.client.errors import ProblemError


@dataclass(frozen=True, slots=True)
class UpsertResult:
    """The result for one customer of a batch: its `id` and `etag`, or the `problem` if its status is `failed`.

    `index` is the customer's place among all that were given, from 0.
    """

    index: int
    status: Literal["created", "changed", "unchanged", "failed"]
    id: str | None
    etag: str | None
    problem: ProblemError | None


def upsert_results_of(body: Mapping[str, Any], start: int) -> tuple[UpsertResult, ...]:
    """Return the results of a batch whose first customer has the place `start`; raises as `customer_of`."""
    return tuple(_result_of(each, start) for each in body["results"])


def _result_of(body: Mapping[str, Any], start: int) -> UpsertResult:
    problem = problem_of(body["problem"]["status"], body["problem"]) if body["status"] == "failed" else None
    return UpsertResult(start + body["index"], body["status"], body.get("id"), body.get("etag"), problem)
