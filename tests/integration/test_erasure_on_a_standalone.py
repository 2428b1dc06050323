"""A standalone mongod has no change feed; retention and erasure work on it as they do elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pymongo
import pytest

from tests import support
from tests.support import CUSTOMER_ID, caller, mongod, problem, serve, url

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pymongo.database import Database

    from customer_service.repository.database import Document


@pytest.fixture(scope="module")
def standalone() -> Iterator[Database[Document]]:
    if mongod.executable() is None and not mongod.required():
        pytest.skip("no mongod on this machine")
    server = mongod.Mongod(replicated=False)
    server.launch()
    server.wait_until_it_answers()
    with pymongo.MongoClient[dict[str, Any]](server.uri) as client:
        yield client.customer_service
    server.close()


@pytest.mark.parametrize("retention", [None, {"hold": True, "reason": "audit"}])
def test_it_blocks_and_erases(standalone: Database[Document], retention: object) -> None:
    support.empty(standalone)
    service = serve(standalone)
    admin = caller(service, "admin")
    problem(admin.get(url().replace(CUSTOMER_ID, "changes")), 501, "changes-unsupported")
    assert admin.patch(url(), json={"email": "gone@erased.example"}).status_code == 200
    assert admin.patch(url(), json={"email": "billing@erased.example"}).status_code == 200
    assert not retention or admin.put(f"{url()}/retention", json=retention).status_code == 200
    for _ in range(2):
        state = admin.post(f"{url()}/erasure").get_json()["state"]
        assert state == ("blocked" if retention else "erased")
        problem(admin.get(url()), 404, "customer-not-found")
        stored = [each for name in ("customers", "customer_versions") for each in standalone[name].find()]
        assert "erased.example" not in str(stored)
