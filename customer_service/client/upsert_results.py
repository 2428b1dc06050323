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


def upsert_results_of(body: Mapping[str, Any], start: int, count: int) -> tuple[UpsertResult, ...]:
    """Return the results of a batch of so many customers, whose first has the place `start`.

    Raises as `customer_of`, and ValueError if there is not one result for each customer, in their order.
    """
    results = tuple(_result_of(each, start) for each in body["results"])
    if [each.index for each in results] != list(range(start, start + count)):
        raise ValueError("not one result for each customer")
    return results


def _result_of(body: Mapping[str, Any], start: int) -> UpsertResult:
    problem = problem_of(body["problem"]["status"], body["problem"]) if body["status"] == "failed" else None
    return UpsertResult(start + body["index"], body["status"], body.get("id"), body.get("etag"), problem)
