"""Schemathesis sends thousands of requests that the OpenAPI document allows or forbids, and checks each response."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support import MEMBER, ORGANIZATION, bearer, fill
from tests.support.openapi import resolved
from tests.support.server import ROOT, Server, environment_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pymongo.database import Database

    from customer_service.repository.database import Document

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "10"))
"""How many requests to generate for each operation, beside those that the document's limits and examples call for."""


@pytest.fixture
def server(mongodb_uri: str, mongodb: Database[Document]) -> Iterator[Server]:
    """The service over the specification's example, whose member is an admin."""
    fill(mongodb)
    mongodb.memberships.update_one({"userId": MEMBER, "organizationId": ORGANIZATION}, {"$set": {"role": "admin"}})
    with Server(mongodb_uri, mongodb.name) as running:
        yield running


def test_every_response_is_documented(server: Server) -> None:
    token = bearer(exp=4_000_000_000)["Authorization"]
    run = subprocess.run(  # noqa: PLW1510 - what it printed says more than its exit code
        [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", Path(__file__).with_name("schemathesis.toml")),
            *("run", f"http://127.0.0.1:{server.port}/openapi.json", "--header", f"Authorization: {token}"),
            # A deletion leaves the retention, erasure and history, and after an erasure, which is a POST, a customer
            # that was created is 404. Neither check knows that; the integration tests expect the right statuses.
            *("--checks", "all", "--exclude-checks", "use_after_free,ensure_resource_availability"),
            *("--max-examples", str(EXAMPLES), "--no-color"),
        ],
        cwd=ROOT,
        env=environment_of(traced=False),
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    lines = [line for line in map(json.loads, server.log().splitlines()) if "status" in line]
    documented = statuses_of(json.loads(server.get("/openapi.json").body))
    exchanges = {(line["method"], line["route"], line["status"]) for line in lines if line.get("route")}
    assert [each for each in exchanges if each[2] not in documented.get(each[:2], {each[2]})] == []
    answered = Counter(line["status"] for line in lines)
    # Which conditional and colliding requests are made depends on the server's ids; the contract tests force those.
    assert set(answered) >= {200, 201, 400, 401, 404, 405, 422}
    print(f"\n{answered.total()} requests: {dict(sorted(answered.items()))}")  # noqa: T201 - the figures of `make fuzz`


def statuses_of(document: dict[str, Any]) -> dict[tuple[str, str], set[int]]:
    """Return the statuses of each operation; Schemathesis takes a default response for one of any status."""
    return {
        (method.upper(), path): {int(status) for status in operation["responses"] if status != "default"}
        | {int(status) for status in re.findall(r"(\d{3}) `", operation["responses"]["default"]["description"])}
        for path, item in document["paths"].items()
        for method, operation in resolved(item, document).items()
    }
