"""The order of errors of the batch operations: 401, 403, then 415, 413 and 400, then 422."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from tests.support import (
    OTHER_ORGANIZATION,
    STRANGER,
    Service,
    bearer,
    caller,
    customers_url,
    findings,
    problem,
    stored,
)

LARGE = b" " * 2_000_000


class Batch(NamedTuple):
    """A route of many customers: its name, the field that has them, and the least role that it allows."""

    route: str
    field: str
    role: str


@pytest.fixture(params=[Batch("batch-get", "ids", "viewer"), Batch("batch-upsert", "customers", "editor")])
def batch(request: pytest.FixtureRequest) -> Batch:
    """Each of the routes."""
    given: Batch = request.param
    return given


@pytest.mark.parametrize("media_type", ["application/json", "text/plain"])
@pytest.mark.parametrize("kind_of_body", ["valid", "cut", "large"])
def test_a_caller_is_refused_before_the_body_is_read(
    service: Service, batch: Batch, kind_of_body: str, media_type: str
) -> None:
    bodies = {"valid": f'{{"{batch.field}": []}}'.encode(), "cut": b"{", "large": LARGE}
    request: dict[str, Any] = {"data": bodies[kind_of_body], "content_type": media_type}
    path, foreign = customers_url(f"/{batch.route}"), customers_url(f"/{batch.route}", OTHER_ORGANIZATION)
    problem(service.client.post(path, **request), 401, "authentication-required")
    bad = service.client.post(path, headers={"Authorization": "Bearer x"}, **request)
    problem(bad, 401, "invalid-token")
    problem(service.client.post(path, headers=bearer(STRANGER), **request), 403, "not-a-member")
    problem(caller(service, batch.role).post(foreign, **request), 403, "not-a-member")
    if batch.role != "viewer":
        problem(service.client.post(path, headers=bearer(), **request), 403, "insufficient-role")


def test_a_body_is_refused_before_its_customers_are(service: Service, batch: Batch) -> None:
    before, post = stored(service), caller(service, batch.role).post
    path = customers_url(f"/{batch.route}")
    problem(post(path, data=LARGE, content_type="text/plain"), 415, "unsupported-media-type")
    assert post(path, data=LARGE, content_type="application/json").status_code == 413
    cut = f'{{"{batch.field}": ['.encode()
    problem(post(path, data=cut, content_type="application/json"), 400, "bad-request")
    refused: list[tuple[object, str, str]] = [
        ([], "", "invalid-type"),
        ("x", "", "invalid-type"),
        ({}, f"/{batch.field}", "required"),
        ({batch.field: None}, f"/{batch.field}", "required"),
        ({batch.field: "x"}, f"/{batch.field}", "invalid-type"),
        ({batch.field: {"$in": []}}, f"/{batch.field}", "invalid-type"),
        ({batch.field: ["x"] * 101}, f"/{batch.field}", "too-many"),
        ({batch.field: [], "organizationId": OTHER_ORGANIZATION}, "/organizationId", "unknown-field"),
    ]
    for body, pointer, code in refused:
        assert findings(post(path, json=body)) == [(pointer, code)]
    assert findings(post(path, data=b"null", content_type="application/json")) == [("", "invalid-type")]
    assert stored(service) == before
