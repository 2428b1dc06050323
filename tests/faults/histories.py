"""Random writers and readers of some customers, and a model of their states from MongoDB's change stream."""

from __future__ import annotations

import http.client
import json
import random
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from tests.support import bearer, customers_url, new_customer
from tests.support.writers import tax_id

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pymongo.database import Database

    from customer_service.repository.database import Document
    from tests.support.server import Answer, Server

WRITERS = 6
READERS = 3
CUSTOMERS = 40
PHONES = [None, *(f"64740101{number}" for number in range(10, 100))]


class Load:
    """Threads that write and read until they are stopped; `seen` has every body that a reader got, by its customer."""

    def __init__(self, servers: Sequence[Server]) -> None:
        self.answers: Counter[str] = Counter()
        self.seen: dict[str, set[bytes]] = {}
        self._servers = servers
        self._stopping = threading.Event()
        self._ids: list[str] = []
        works = [self._write] * WRITERS + [self._read] * READERS
        self._threads = [threading.Thread(target=self._run, args=each) for each in enumerate(works)]

    def __enter__(self) -> Load:
        for number in range(CUSTOMERS):
            created = self._servers[0].request("POST", customers_url(), headers(), json.dumps(body(number)).encode())
            assert created.status == 201, created
            self._ids.append(json.loads(created.body)["id"])
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _run(self, number: int, work: Callable[[Server, random.Random], Answer]) -> None:
        chance = random.Random(number)  # noqa: S311 - no secret
        while not self._stopping.is_set():
            try:
                answer = work(chance.choice(self._servers), chance)
                self.answers[str(answer.status)] += 1
            except (OSError, http.client.HTTPException) as error:  # of a worker that was killed
                self.answers[type(error).__name__] += 1
                time.sleep(0.05)

    def _read(self, server: Server, chance: random.Random) -> Answer:
        customer_id = chance.choice(self._ids)
        answer = server.get(customers_url(f"/{customer_id}"), bearer())
        if answer.status == 200:
            self.seen.setdefault(customer_id, set()).add(answer.body)
        return answer

    def _write(self, server: Server, chance: random.Random) -> Answer:
        number = chance.randrange(CUSTOMERS)
        path, value = customers_url(f"/{self._ids[number]}"), body(number, chance)
        kind = chance.choices(["PATCH", "PUT", "batch", "DELETE", "restore"], [6, 2, 1, 1, 2])[0]
        if kind == "PATCH":
            return server.request("PATCH", path, headers(), json.dumps({"phone": value["phone"]}).encode())
        if kind == "PUT":
            path = customers_url(f"/by-external-id/{value['externalId']}")
            return server.request("PUT", path, headers(), json.dumps(value).encode())
        if kind == "batch":
            batch = {"customers": [body(chance.randrange(CUSTOMERS), chance) for _ in range(3)]}
            return server.request("POST", customers_url("/batch-upsert"), headers(), json.dumps(batch).encode())
        if kind == "DELETE":
            return server.request("DELETE", path, bearer())
        return server.request("POST", f"{path}/restore", bearer())


def headers() -> dict[str, str]:
    """Return the headers of a request with a JSON body."""
    return bearer() | {"Content-Type": "application/json"}


def body(number: int, chance: random.Random | None = None) -> dict[str, Any]:
    """Return a customer by its number, with a random phone."""
    own = {"externalId": f"crm-{number}", "taxId": tax_id(number), "legalName": f"Sabre {number}"}
    return new_customer(**own, phone=chance and chance.choice(PHONES))


class Model:
    """Every state of each customer with an external id, from the change stream; it follows while a load runs."""

    def __init__(self, database: Database[Document]) -> None:
        self.states: dict[str, list[Document]] = {}
        self._database = database
        self._is_ready, self._stopping = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._follow)

    def __enter__(self) -> Model:
        self._thread.start()
        assert self._is_ready.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        """Wait until the last event has come, and stop."""
        self._database.customers.insert_one({"isLast": True})
        self._thread.join(60)
        assert not self._thread.is_alive()
        self._database.customers.delete_one({"isLast": True})

    def _follow(self) -> None:
        with self._database.customers.watch(max_await_time_ms=200) as stream:
            self._is_ready.set()
            for event in stream:
                document = event.get("fullDocument", {})
                if document.get("isLast"):
                    return
                if event["operationType"] == "insert":
                    self.states[str(document["_id"])] = [document]
                else:
                    self._change(str(event["documentKey"]["_id"]), event["updateDescription"])

    def _change(self, customer_id: str, change: Document) -> None:
        """Add the state that an update made; the search terms are left as they were: no response has them."""
        last = self.states[customer_id][-1]
        document = {**last, "address": dict(last["address"])}
        for name, value in change["updatedFields"].items():
            place, _, inner = name.partition(".")
            if inner and place == "address":
                document["address"][inner] = value
            elif not inner:
                document[name] = value
        for name in change["removedFields"]:
            document.pop(name, None)
        self.states[customer_id].append(document)
