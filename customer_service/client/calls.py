"""One call of the service: its attempts, each with what is left of one deadline, and only those that are safe."""

from __future__ import annotations

import json
import math
import random
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

import httpx

from customer_service.client.errors import (
    CustomerNotFound,
    MemberNotFound,
    RateLimited,
    RequestInProgress,
    Unreachable,
    error_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from customer_service.client.errors import ClientError

Token = str | Callable[[], str]
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 2.0
PATIENCE_SECONDS = 2.5  # longer than the service takes to say that its database does not answer
INSTANT_SECONDS = 0.001  # a socket takes 0 for "do not wait at all", and httpx would not call that a timeout

UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
"""The errors that come before anything was sent."""

BROKEN = (httpx.NetworkError, httpx.TimeoutException, httpx.RemoteProtocolError)
"""The errors that another attempt may mend."""

GONE = (CustomerNotFound, MemberNotFound)
"""What a deletion is told that was followed before its answer was lost."""

NEVER = math.inf

PASSING = (HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT)
"""The statuses that another attempt may mend; 502 and 504 are a proxy's words for a connection that broke."""


@dataclass(frozen=True, slots=True)
class Call:
    """What to ask; `repeatable` is whether to ask it twice does what asking once does, or is refused.

    `wait` is for how many seconds the service may take its time, beyond what a call takes otherwise.
    """

    method: str
    path: str
    repeatable: bool
    query: Mapping[str, str | int] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    wait: int = 0


class Answer(NamedTuple):
    """What was answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Return what the body says; raises ValueError."""
        return json.loads(self.body)


class Failure(NamedTuple):
    """An attempt that failed: why, the seconds to wait at least, and whether it may have been followed all the same."""

    error: ClientError
    wait: float
    in_doubt: bool


class Deadline(Mapping[str, float]):
    """What is left of some seconds, as the timeout of each step of an exchange: httpcore asks as the step begins."""

    def __init__(self, seconds: float) -> None:
        """Begin now."""
        self._ends = time.monotonic() + seconds

    def __getitem__(self, step: str) -> float:
        """Return the seconds left, and never 0."""
        return max(self.remaining(), INSTANT_SECONDS)

    def __iter__(self) -> Iterator[str]:
        """Yield the steps that httpx knows."""
        return iter(("connect", "read", "write", "pool"))

    def __len__(self) -> int:
        """Return how many there are."""
        return 4

    def remaining(self) -> float:
        """Return the seconds left, below 0 when it has passed."""
        return self._ends - time.monotonic()

    def attempt(self, wait: int = 0) -> Deadline:
        """Return the deadline of the next attempt, which leaves time for another where there is any."""
        left = self.remaining()
        return Deadline(min(left, max(left / 2, PATIENCE_SECONDS + wait)))

    def hold(self, parts: Iterable[bytes]) -> Iterator[bytes]:
        """Yield what arrives in time; raises httpx.ReadTimeout where it drips in for longer."""
        for part in parts:
            if self.remaining() < 0:
                raise httpx.ReadTimeout("the body did not end in time")
            yield part


class Caller:
    """Sends calls with the caller's token; threads may share it."""

    def __init__(self, base_url: str, transport: httpx.BaseTransport, token: Token, seconds: float) -> None:
        """Send over this transport; `seconds` is the deadline of each call, with all its attempts and pauses.

        httpx's own client only makes the requests: its `send` would log their addresses, with what is searched for.
        """
        self._transport = transport
        self._http = httpx.Client(base_url=base_url, transport=transport)
        self._token = token
        self._seconds = seconds

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def send(self, call: Call) -> Answer:
        """Return the answer below 400; raises ProblemError, or Unreachable where there was none in time."""
        deadline, pause, in_doubt = Deadline(self._seconds + call.wait), FIRST_PAUSE_SECONDS, False
        while True:
            outcome = self._attempt(call, deadline.attempt(call.wait))
            if isinstance(outcome, Answer):
                return outcome
            if in_doubt and call.method == "DELETE" and isinstance(outcome.error, GONE):
                return Answer(HTTPStatus.NO_CONTENT, {}, b"")
            in_doubt = in_doubt or outcome.in_doubt
            seconds = max(outcome.wait, random.uniform(pause / 2, pause))  # noqa: S311 - it spreads, and hides nothing
            if seconds >= deadline.remaining():
                raise outcome.error
            time.sleep(seconds)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def _attempt(self, call: Call, deadline: Deadline) -> Answer | Failure:
        try:
            answer = self._exchange(call, deadline)
        except httpx.RequestError as error:
            return _broken(call, error)
        return answer if answer.status < HTTPStatus.BAD_REQUEST else _refused(call, answer)

    def _exchange(self, call: Call, deadline: Deadline) -> Answer:
        token = self._token if isinstance(self._token, str) else self._token()
        request = self._http.build_request(
            call.method,
            call.path,
            params=call.query or None,
            headers={"Authorization": f"Bearer {token}", **call.headers},
            content=call.body,
            extensions={"timeout": deadline},
        )
        with closing(self._transport.handle_request(request)) as response:
            return Answer(response.status_code, response.headers, b"".join(deadline.hold(response.iter_bytes())))


def segment(text: str) -> str:
    """Return the text as one segment of a path; the dots of `.` and `..` too, which would otherwise lead elsewhere."""
    return text.replace(".", "%2E") if text in {".", ".."} else quote(text, safe="")


def conditions(if_match: str | None) -> dict[str, str]:
    """Return the headers that let a write be followed on this ETag alone, or none."""
    return {} if if_match is None else {"If-Match": if_match}


def query_of(filters: Mapping[str, object]) -> dict[str, str]:
    """Return the filters as a query has them; raises ValueError for a time without its offset."""
    entries: Any = filters.get("metadata", {})
    plain = {name: value for name, value in filters.items() if name != "metadata"}
    return {
        **{name: _instant(value) if isinstance(value, datetime) else str(value) for name, value in plain.items()},
        **{f"metadata[{name}]": value for name, value in entries.items()},
    }


def _instant(moment: datetime) -> str:
    if moment.tzinfo is None:
        raise ValueError("give a time with its offset from UTC, as datetime.now(UTC) has it")
    return moment.isoformat()


def _broken(call: Call, error: httpx.RequestError) -> Failure:
    """Judge an attempt without an answer."""
    unreachable = Unreachable(f"{call.method}: {type(error).__name__}")
    unreachable.__cause__ = error
    unsent = isinstance(error, UNSENT)
    again = unsent or (call.repeatable and isinstance(error, BROKEN))
    return Failure(unreachable, 0.0 if again else NEVER, in_doubt=not unsent)


def _refused(call: Call, answer: Answer) -> Failure:
    """Judge an answer of 400 or above; who asked too often was refused before anything was done."""
    problem = error_of(answer.status, answer.headers, answer.body, time.time())
    passing = answer.status in PASSING
    again = isinstance(problem, RateLimited | RequestInProgress) or (call.repeatable and passing)
    return Failure(problem, (problem.retry_after or 0.0) if again else NEVER, in_doubt=passing)
