"""Writes: no request twice, and no target timed that stores something else than the service."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import mongomock
import pytest

from bench.measure import check, data, writes
from customer_service.app import create_app
from customer_service.settings import CacheSettings, JwtSettings, MongoSettings, Settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from flask.testing import FlaskClient
    from pymongo.database import Database

SETTINGS = Settings(
    MongoSettings("mongomock://"), JwtSettings(secret=data.SECRET), cache=CacheSettings(membership_seconds=0)
)


def answers_of(client: FlaskClient) -> Callable[[int, data.Request], check.Answer]:
    """Return what asks the service in this process, as the bench asks one on a port."""

    def send(_port: int, request: data.Request) -> check.Answer:
        response = client.open(request.path, method=request.method, data=request.body, headers=request.fields())
        headers = {name.lower(): value for name, value in response.headers}
        return check.Answer(response.status_code, headers, response.data)

    return send


@pytest.fixture(scope="module")
def service() -> FlaskClient:
    """The service itself, in memory, with the customers that the bench stores."""
    database: Database[dict[str, Any]] = mongomock.MongoClient().bench
    data.store(database, 10, lambda _: None, writes.searchable)
    return create_app(SETTINGS, database).test_client()


class TestWrites:
    """What is written: no request twice, and no target timed that stores otherwise."""

    def test_no_two_requests_of_a_target_are_alike(self, tmp_path: Path) -> None:
        writer = writes.Writer(tmp_path)
        files = [writer.write("one", kind, 1).read_bytes().split(b"\0") for kind in writes.KINDS for _ in range(2)]
        everything = [request for file in files for request in file]
        assert len(set(everything)) == len(everything)

    def test_another_target_is_sent_the_same(self, tmp_path: Path) -> None:
        writer = writes.Writer(tmp_path)
        assert writer.write("one", "patch", 1).read_bytes() == writer.write("two", "patch", 1).read_bytes()

    def test_what_is_created_has_keys_of_its_own(self) -> None:
        created = [json.loads(writes.create(serial).body)["taxId"] for serial in range(1000)]
        batches = [json.loads(writes.upsert(serial).body)["customers"] for serial in range(50)]
        added = [each["taxId"] for batch in batches for each in batch if each["externalId"].startswith("new-")]
        stored = [data.customer(number)["taxId"] for number in range(writes.CUSTOMERS)]
        everything = [*created, *added, *stored]
        assert len(set(everything)) == len(everything) == 1000 + 500 + writes.CUSTOMERS

    def test_half_a_batch_is_stored_already(self) -> None:
        batch = json.loads(writes.upsert(1).body)["customers"]
        known = {
            writes.known(number)["externalId"]: writes.known(number)["taxId"] for number in range(writes.CUSTOMERS)
        }
        assert [known.get(each["externalId"]) for each in batch[10:]] == [each["taxId"] for each in batch[10:]]
        assert len(batch) == writes.BATCH
        assert not known.keys() & {each["externalId"] for each in batch[:10]}

    def test_the_service_passes_its_own_check(self, service: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(writes, "send", answers_of(service))
        created, again, patched, read, first, second, third = writes.check(1, None)
        assert created[0] == 201
        assert again == 409
        assert patched == read != created
        assert [status for _, status in first] == ["unchanged", "created", "changed", "failed", "failed"]
        assert [status for _, status in second] == ["unchanged", "unchanged", "unchanged", "failed", "failed"]
        assert third[1]["legalName"] == "Otro"
        with pytest.raises(check.Unequal, match="answers 409 to a new customer"):
            writes.check(1, None)

    @pytest.mark.parametrize("step", [*writes.refused()], ids=lambda step: step.name)
    def test_a_target_that_stores_what_must_be_refused_is_named(
        self, step: writes.Step, service: FlaskClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        send = answers_of(service)

        def careless(port: int, request: data.Request) -> check.Answer:
            return check.Answer(200, {}, b"{}") if request == step.request else send(port, request)

        monkeypatch.setattr(writes, "send", careless)
        with pytest.raises(check.Unequal, match=f"answers 200 to {step.name}, not {step.status}"):
            writes.check(1, None)

    def test_a_target_that_stores_otherwise_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(writes, "refused", lambda: ())
        monkeypatch.setattr(writes, "outcomes", lambda _: [409])
        assert writes.check(1, [409]) == [409]
        with pytest.raises(check.Unequal, match="stores otherwise"):
            writes.check(1, [201])
