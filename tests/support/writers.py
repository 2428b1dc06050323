"""Create customers under idempotency keys, retry until each is answered, and keep the acknowledged ids."""

from __future__ import annotations

import http.client
import itertools
import json
import threading
import time
from collections import Counter, deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pymongo
from pymongo.errors import PyMongoError

from tests.support import NEW_CUSTOMER, ORGANIZATION, bearer, customers_url

if TYPE_CHECKING:
    from pymongo.database import Database

    from customer_service.repository.database import Document
    from tests.support.server import Server

THREADS = 8
RETRY_SECONDS = 0.5
PAUSE_SECONDS = 0.02
PATIENCE_SECONDS = 90
RETRIED = ("request-in-progress", "database-unavailable", "overloaded")
DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def tax_id(number: int) -> str:
    """Return a tax id that no other number has, up to some ten million."""
    day, rest = divmod(number, 36 * 36 * 10)
    month, day = divmod(day, 28)
    date = f"{month // 12:02}{month % 12 + 1:02}{day + 1:02}"
    return f"SAB{date}{DIGITS[rest // 360]}{DIGITS[rest // 10 % 36]}{rest % 10}"


class Writers:
    """Threads that create customers without pause, each with its own idempotency key and tax id."""

    def __init__(self, server: Server) -> None:
        self.acknowledged: dict[str, str] = {}
        self.times: list[float] = []
        self.answers: Counter[str] = Counter()
        self._server = server
        self._numbers = itertools.count()
        self._began = self._left = 0.0
        self._leaving = threading.Event()
        self._threads = [threading.Thread(target=self._write) for _ in range(THREADS)]

    def __enter__(self) -> Writers:
        self._began = time.monotonic()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._left = time.monotonic()
        self._leaving.set()
        for thread in self._threads:
            thread.join()

    def wait_for(self, acknowledged: int) -> None:
        """Wait until so many writes are acknowledged in all."""
        reached, since = len(self.acknowledged), time.monotonic()
        while len(self.acknowledged) < acknowledged:
            if len(self.acknowledged) > reached:
                reached, since = len(self.acknowledged), time.monotonic()
            assert time.monotonic() - since < PATIENCE_SECONDS, self.answers
            time.sleep(0.02)

    def wait_for_another_primary(self) -> None:
        """Wait until more writes are acknowledged than were under way: a dead primary's last answers are no sign."""
        self.wait_for(len(self.acknowledged) + THREADS + 1)

    def longest_gap(self) -> float:
        """Return the longest time, in seconds, in which no write was acknowledged, before the threads were to leave.

        Then they make no new ones, and wait up to 10 seconds for the claims of those that were cut off.
        """
        return longest([self._began, *sorted(each for each in self.times if each < self._left), self._left])

    def statuses(self) -> set[str]:
        """Return every status that was answered, and the errors of requests that were not."""
        return {answer.split(" ")[0] for answer in self.answers}

    def _write(self) -> None:
        connection = self._server.connect(timeout=30)
        unanswered: deque[tuple[int, float]] = deque()
        while not self._leaving.is_set() or unanswered:
            number, due = self._next(unanswered)
            time.sleep(max(0.0, due - time.monotonic()))
            if not self._create(connection, number):
                unanswered.append((number, time.monotonic() + RETRY_SECONDS))
        connection.close()

    def _next(self, unanswered: deque[tuple[int, float]]) -> tuple[int, float]:
        """Return a customer whose time has come to be tried again, else a new one, and when to ask."""
        if unanswered and (self._leaving.is_set() or unanswered[0][1] <= time.monotonic()):
            return unanswered.popleft()
        return next(self._numbers), 0.0

    def _create(self, connection: http.client.HTTPConnection, number: int) -> bool:
        """Ask once; return whether the answer is the last word."""
        headers = bearer() | {"Content-Type": "application/json", "Idempotency-Key": f"key-{number}"}
        body = json.dumps(NEW_CUSTOMER | {"taxId": tax_id(number), "legalName": f"Sabre {number}"}).encode()
        status, answer = _send(connection, body, headers)
        slug = answer.get("type", "").rpartition(":")[2]
        self.answers[f"{status} {slug}".strip()] += 1
        if status == "201":
            self.acknowledged[tax_id(number)] = answer["id"]
            self.times.append(time.monotonic())
        return slug not in RETRIED


class DirectWriter:
    """Write to MongoDB without the service, to a majority: this gap is that of the replica set alone."""

    def __init__(self, uri: str) -> None:
        self._times: list[float] = []
        self._uri = uri
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._write)

    def __enter__(self) -> DirectWriter:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._leaving.set()
        self._thread.join()

    def longest_gap(self) -> float:
        """Return the longest time, in seconds, in which no write was acknowledged."""
        return longest(self._times)

    def _write(self) -> None:
        with pymongo.MongoClient[dict[str, Any]](self._uri, w="majority", timeoutMS=2000) as client:
            while not self._leaving.wait(PAUSE_SECONDS):
                with suppress(PyMongoError):
                    client.bystander.writes.insert_one({})
                    self._times.append(time.monotonic())


def longest(times: list[float]) -> float:
    """Return the longest time between one and the next."""
    return max(later - earlier for earlier, later in itertools.pairwise(times))


def _send(connection: http.client.HTTPConnection, body: bytes, headers: dict[str, str]) -> tuple[str, dict[str, Any]]:
    try:
        connection.request("POST", customers_url(), body, headers)
        response = connection.getresponse()
        return str(response.status), json.loads(response.read())
    except (OSError, http.client.HTTPException) as error:
        connection.close()
        return type(error).__name__, {}


def lost(database: Database[Document], acknowledged: dict[str, str]) -> list[str]:
    """Return the acknowledged customers that are not stored under the very id that was answered."""
    stored = {each["taxId"]: str(each["_id"]) for each in database.customers.find({}, {"taxId": 1})}
    return [tax_id for tax_id, customer_id in acknowledged.items() if stored.get(tax_id) != customer_id]


def doubled(database: Database[Document]) -> int:
    """Return how many customers of the organization have the tax id of another."""
    criteria = {"organizationId": ORGANIZATION}
    customers = database.customers.count_documents(criteria)
    return customers - len(database.customers.distinct("taxId", criteria))
