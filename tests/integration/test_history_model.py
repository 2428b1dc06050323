"""Random writes by two processes, some of which crash between their two writes: the history is what a model says."""

from __future__ import annotations

import random
from contextlib import contextmanager
from typing import TYPE_CHECKING

from customer_service.app import create_app
from customer_service.repository import VersionRepository
from tests.support import PLACE, Service, caller, client_of, customers_url, new_customer, settings
from tests.support.histories import check_moments, check_versions
from tests.support.server import Answer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pytest
    from flask.testing import FlaskClient
    from werkzeug.test import TestResponse

    from customer_service.repository.database import Document

WRITES = 70
CUSTOMERS = 3
PHONES = [None, *(f"64740101{number}" for number in range(10, 30))]
CRASH_SHARE = 0.2
SEED = 16


class Crash(Exception):
    """The end of a process."""


class Writes:
    """Random writes on some customers, and every state that their documents had."""

    def __init__(self, service: Service, clients: Sequence[FlaskClient], chance: random.Random) -> None:
        self.states: dict[str, list[Document]] = {}
        self.crashes = 0
        self._service, self._clients, self._chance = service, clients, chance
        for number in range(CUSTOMERS):
            self._client().post(customers_url(), json=self._body(number))
        self._observe()

    def run(self) -> None:
        for _ in range(WRITES):
            self._write(self._chance.randrange(CUSTOMERS))
            self._observe()

    def crash_sometimes(self) -> None:
        if self._chance.random() < CRASH_SHARE:
            self.crashes += 1
            raise Crash

    def _write(self, number: int) -> TestResponse:
        client, body = self._client(), self._body(number)
        path = customers_url(f"/{sorted(self.states)[number]}")
        kind = self._chance.choice(["patch", "patch", "put", "batch", "delete", "restore"])
        if kind == "patch":
            return client.patch(path, json={"phone": body["phone"]}, content_type="application/merge-patch+json")
        if kind == "put":
            return client.put(customers_url(f"/by-external-id/crm-{number}"), json=body)
        if kind == "batch":
            bodies = [self._body(each) for each in range(CUSTOMERS)]
            return client.post(customers_url("/batch-upsert"), json={"customers": bodies})
        return client.delete(path) if kind == "delete" else client.post(f"{path}/restore")

    def _body(self, number: int) -> dict[str, object]:
        own = {"externalId": f"crm-{number}", "taxId": f"AAA0101{number + 1:02}000"}
        return new_customer(**own, phone=self._chance.choice(PHONES), address=PLACE)

    def _client(self) -> FlaskClient:
        return self._chance.choice(self._clients)

    def _observe(self) -> None:
        for document in self._service.database.customers.find({"externalId": {"$exists": True}}):
            states = self.states.setdefault(str(document["_id"]), [])
            if not states or states[-1]["version"] != document["version"]:
                states.append(document)


def test_the_history_is_what_a_model_says(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    caller(service, "editor")
    other = Service(create_app(settings(), service.database), service.database, service.client)
    clients = [client_of(each, "editor-of-one") for each in (service, other)]
    writes = Writes(service, clients, random.Random(SEED))  # noqa: S311 - a run that can be repeated
    archiving, archive = VersionRepository.archiving, VersionRepository.archive

    @contextmanager
    def crashing(self: VersionRepository, document: Document) -> Iterator[None]:
        with archiving(self, document):
            writes.crash_sometimes()
            yield
            writes.crash_sometimes()

    def crashing_after(self: VersionRepository, documents: Sequence[Document]) -> None:
        archive(self, documents)
        writes.crash_sometimes()

    with monkeypatch.context() as patches:
        patches.setattr(VersionRepository, "archiving", crashing)
        patches.setattr(VersionRepository, "archive", crashing_after)
        writes.run()

    def get(path: str) -> Answer:
        response = clients[0].get(path)
        return Answer(response.status_code, dict(response.headers), response.data)

    assert writes.crashes > WRITES * CRASH_SHARE / 4
    assert check_versions(get, writes.states) > WRITES / 3
    assert check_moments(get, writes.states, random.Random(SEED), 60) > 15  # noqa: S311 - as above
