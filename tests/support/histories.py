"""Compare the history that the service serves with a model: every state of each customer, in order."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from customer_service.web.responses import serialize
from tests.support import customers_url

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Mapping, Sequence

    from customer_service.repository.database import Document
    from tests.support.server import Answer

    Get = Callable[[str], Answer]

PAGE_LENGTH = 7
MARGIN_MS = 5


def check_versions(get: Get, states: Mapping[str, Sequence[Document]]) -> int:
    """Check that every version of each customer is served, in order and as it was; return how many there are."""
    for customer_id, documents in states.items():
        entries = versions_of(get, customer_id)
        assert [each["version"] for each in entries] == list(range(len(documents), 0, -1)), customer_id
        assert [each["updatedAt"] for each in entries] == [_instant(each["updatedAt"]) for each in documents[::-1]]
        assert all(earlier["updatedAt"] < later["updatedAt"] for earlier, later in pairwise(documents))
        assert [each["change"] for each in entries[::-1]] == _kinds(documents)
        for number, document in enumerate(documents, 1):
            _require_is(get(f"{customers_url('/' + customer_id)}/versions/{number}"), document)
    return sum(map(len, states.values()))


def check_moments(get: Get, states: Mapping[str, Sequence[Document]], chance: random.Random, moments: int) -> int:
    """Check the customer of each of so many random moments; return how many of them had one."""
    found = 0
    for _ in range(moments):
        customer_id = chance.choice(sorted(states))
        documents = states[customer_id]
        moment = _random_moment(documents, chance)
        expected = next((each for each in reversed(documents) if each["updatedAt"] <= moment), None)
        answer = get(f"{customers_url('/' + customer_id)}?asOf={quote(moment.replace(tzinfo=UTC).isoformat())}")
        _require_is(answer, expected)
        if answer.status == 200 and expected is not None:
            found += 1
            version = f"{customers_url('/' + customer_id)}/versions/{expected['version']}"
            assert answer.headers["Content-Location"] == version
    return found


def versions_of(get: Get, customer_id: str) -> list[dict[str, Any]]:
    """Return the entries of all pages."""
    entries: list[dict[str, Any]] = []
    query: str | None = ""
    while query is not None:
        answer = get(f"{customers_url('/' + customer_id)}/versions?limit={PAGE_LENGTH}{query}")
        assert answer.status == 200, answer
        page = json.loads(answer.body)
        entries += page["data"]
        query = page["nextCursor"] and f"&cursor={page['nextCursor']}"
    return entries


def _random_moment(documents: Sequence[Document], chance: random.Random) -> datetime:
    """Return a time of, or just beside, a write, or any other between the first and the last."""
    near: datetime = chance.choice(documents)["updatedAt"]
    first, last = documents[0]["updatedAt"], documents[-1]["updatedAt"]
    spread = round((last - first) / timedelta(milliseconds=1)) + 2 * MARGIN_MS
    if chance.random() < 0.5:
        return near + timedelta(milliseconds=chance.randint(-1, 1))
    moment: datetime = first + timedelta(milliseconds=chance.randint(0, spread) - MARGIN_MS)
    return moment


def _require_is(answer: Answer, document: Document | None) -> None:
    if document is None or document.get("deletedAt") is not None:
        assert answer.status == 404, answer
        return
    body, etag = serialize(document)
    assert (answer.status, answer.body, answer.headers["ETag"]) == (200, body, f'"{etag}"')


def _kinds(documents: Sequence[Document]) -> list[str]:
    kinds = ["created"]
    for earlier, later in pairwise(documents):
        was, is_deleted = (each.get("deletedAt") is not None for each in (earlier, later))
        kinds.append("deleted" if is_deleted else "restored" if was else "changed")
    return kinds


def _instant(moment: datetime) -> str:
    timespec = "milliseconds" if moment.microsecond else "seconds"
    return f"{moment.isoformat(timespec=timespec)}Z"
