"""What docs/how-to/deploy-and-operate.md says of a backup: the documents of three collections are the whole service."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from customer_service.app import create_app
from tests.support import ORGANIZATION, caller, customers_url, new_customer, serve, settings
from tests.support.command_recorder import INDEXES
from tests.support.server import run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pymongo.database import Database

    from customer_service.repository.database import Document

KEPT = ("customers", "customer_versions", "memberships")


@pytest.fixture
def elsewhere(mongodb: Database[Document]) -> Iterator[Database[Document]]:
    """A database that has nothing, not even an index."""
    name = f"{mongodb.name}_restored"
    yield mongodb.client[name]
    mongodb.client.drop_database(name)


def answers(client: Any, path: str) -> list[Any]:
    """Return the responses of the customer and of the lists that contain it."""
    queries = ("?q=sabre", "?taxId=SAB010203AB1", "?externalId=crm-1", "?createdAt[gte]=2026-01-01T00:00:00Z")
    read, versions = client.get(path), client.get(f"{path}/versions")
    return [
        read.get_json(),
        read.headers["ETag"],
        versions.get_json(),
        *(client.get(customers_url(query)).get_json() for query in queries),
    ]


def test_the_documents_of_three_collections_are_restored_to_the_whole_service(
    mongodb: Database[Document], mongodb_uri: str, elsewhere: Database[Document]
) -> None:
    service = serve(mongodb)
    admin = caller(service, "admin")
    body = new_customer(legalName="SABRE", taxId="SAB010203AB1", externalId="crm-1")
    path = admin.post(customers_url(), json=body).headers["Location"]
    admin.patch(path, json={"phone": "6474010199"}, content_type="application/merge-patch+json")
    admin.delete(admin.post(customers_url(), json=new_customer(taxId="GON010203AB1")).headers["Location"])
    before = answers(admin, path)
    assert [each["id"] for each in before[3]["data"]] == [before[0]["id"]]
    for name in KEPT:
        elsewhere[name].insert_many(list(mongodb[name].find()))

    command = str(Path(sys.executable).with_name("customer-service"))
    done = run(command, "indexes", MONGODB_URI=mongodb_uri, MONGODB_DATABASE=elsewhere.name)
    assert (done.returncode, done.stdout.count("created  ")) == (0, len(INDEXES)), done.stdout + done.stderr

    restored = create_app(settings(), elsewhere).test_client()
    restored.environ_base.update(admin.environ_base)
    assert answers(restored, path) == before
    assert restored.post(customers_url(), json=body).status_code == 409
    again = new_customer(taxId="GON010203AB1")
    assert restored.post(customers_url(), json=again).status_code == 201
    assert len(restored.get(f"/organizations/{ORGANIZATION}/members").get_json()["data"]) == 2
