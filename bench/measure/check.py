"""Check that a target does the reads for which it is timed: the same bodies and the same refusals."""

from __future__ import annotations

import http.client
import json
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bench.measure import data

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SHORT_LIFE_SECONDS = 10
SAMPLES = (0, 1, 2, 59, 60, 500)
FORGED = "another secret, of thirty-two bytes or more"


class Unequal(Exception):
    """A target answers otherwise than the service."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The response to a request."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the body's value."""
        return json.loads(self.body)


def send(port: int, request: data.Request) -> Answer:
    """Send one request over a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(request.method, request.path, request.body or None, request.fields())
        response = connection.getresponse()
        answered = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, answered, response.read())
    finally:
        connection.close()


def refusals(count: int) -> dict[str, tuple[data.Request, int]]:
    """Return what must be refused of so many stored customers, each with the status that does it."""
    good = data.Request(data.path(0), data.token(data.MEMBER))
    unknown = data.path(count + 1)
    return {
        "without a token": (replace(good, token=None), 401),
        "with a forged token": (replace(good, token=data.token(data.MEMBER, secret=FORGED)), 401),
        "with an expired token": (replace(good, token=data.token(data.MEMBER, lifetime_seconds=-60)), 401),
        "as a stranger": (replace(good, token=data.token(data.STRANGER)), 403),
        "in an organization of others": (replace(good, path=data.path(count, data.OTHER_ORGANIZATION)), 403),
        "an unknown customer": (replace(good, path=unknown), 404),
        "a customer of others": (replace(good, path=data.path(count)), 404),
        "an id that is none": (replace(good, path=f"/organizations/{data.ORGANIZATION}/customers/1"), 404),
    }


def bodies(port: int) -> list[Any]:
    """Return the bodies of the sampled customers; raises Unequal if one is refused."""
    answers = [send(port, request) for request in data.reads(SAMPLES)]
    for answer in answers:
        if answer.status != http.HTTPStatus.OK:
            raise Unequal(f"answers {answer.status} to a member: {answer.body[:200]!r}")
    return [answer.json() for answer in answers]


def check(port: int, expected: list[Any], count: int) -> None:
    """Ask twice what must be refused and what must be answered, so that what was remembered shows; raises Unequal."""
    for _ in range(2):
        if bodies(port) != expected:
            raise Unequal(f"answers another body than the service: {bodies(port)[0]}")
        for name, (request, status) in refusals(count).items():
            answered = send(port, request).status
            if answered != status:
                raise Unequal(f"answers {answered} {name}, not {status}")


def check_unchanged(port: int, request: data.Request) -> None:
    """Ask for a customer that the caller has already, and of which nothing is to be sent again; raises Unequal."""
    answer = send(port, request)
    if answer.status != http.HTTPStatus.NOT_MODIFIED or answer.body:
        raise Unequal(f"answers {answer.status} to a caller who has the customer already, not 304")


def check_expiry(ports: Mapping[str, int], pause: Callable[[float], None] = time.sleep) -> None:
    """Ask every target with a token that soon expires, and again once it has; raises Unequal that names the one."""
    request = data.Request(data.path(0), data.token(data.MEMBER, SHORT_LIFE_SECONDS))
    for status, state in ((200, "lives"), (401, "has expired")):
        for name, port in ports.items():
            answered = send(port, request).status
            if answered != status:
                raise Unequal(f"{name} answers {answered} with a token that {state}, not {status}")
        if status == http.HTTPStatus.OK:
            pause(SHORT_LIFE_SECONDS + 1)
