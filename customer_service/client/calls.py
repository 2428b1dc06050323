"""One call of the service: its attempts share one deadline, and only what is safe is sent again."""

from __future__ import annotations

import json
import logging
import math
import os
import random
import re
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

import httpx2

from customer_service.client.errors import (
    CustomerNotFound,
    MemberNotFound,
    RateLimited,
    RequestInProgress,
    UnexpectedAnswer,
    Unreachable,
    error_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from customer_service.client.connections import AsyncConnection, SyncConnection
    from customer_service.client.errors import ClientError

Token = str | Callable[[], str]
AsyncToken = str | Callable[[], str | Awaitable[str]]
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 2.0
MINIMUM_ATTEMPT_SECONDS = 2.5  # longer than the service takes for a 503 if its database does not answer
MINIMUM_TIMEOUT_SECONDS = 0.001  # for a socket, 0 is "do not block", and httpx2 would not call that a timeout

MAXIMUM_ANSWER_BYTES = 32 * 2**20
"""More than a page of 100 customers whose metadata is as large as it may be."""

SENDABLE = re.compile("[!-~]+")

UNSENT_ERRORS = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)
"""The errors that come before anything was sent."""

TEMPORARY_ERRORS = (httpx2.NetworkError, httpx2.TimeoutException, httpx2.RemoteProtocolError)
"""The errors after which another attempt may succeed, unless the cause is a wrong certificate."""

NOT_FOUND_ERRORS = (CustomerNotFound, MemberNotFound)
"""The errors of a removal whose first attempt succeeded, and whose answer was lost."""

NEVER = math.inf

TEMPORARY_STATUSES = (HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT)
"""The statuses after which another attempt may succeed; with 502 and 504 a proxy reports a broken connection."""

logger = logging.getLogger("customer_service.client")


@dataclass(frozen=True, slots=True)
class Call:
    """A request to the service.

    `operation` is its name in the log, which must hold no data: a path and a query do. `repeatable` is whether sending
    it twice has the effect of sending it once, or is refused. `removes` is whether a success makes the next attempt
    fail with one of NOT_FOUND_ERRORS. `wait` is for how many seconds the service may hold the request, beyond the time
    that a call takes otherwise.
    """

    operation: str
    method: str
    path: str
    repeatable: bool
    query: Mapping[str, str | int] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    removes: bool = False
    wait: int = 0


class Answer(NamedTuple):
    """What was answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the parsed body; raises ValueError."""
        return json.loads(self.body)


class Failure(NamedTuple):
    """A failed attempt: its error, the least pause before the next one, and whether it may have succeeded after all."""

    error: ClientError
    pause: float
    in_doubt: bool


class CallDeadline(Mapping[str, float]):
    """A deadline that httpcore reads as the timeout of each step.

    A step may take the seconds that are left when it begins.
    """

    def __init__(self, seconds: float) -> None:
        """Begin now."""
        self._end = time.monotonic() + seconds

    def __getitem__(self, step: str) -> float:
        """Return the seconds left, and never 0."""
        return max(self.remaining(), MINIMUM_TIMEOUT_SECONDS)

    def __iter__(self) -> Iterator[str]:
        """Yield the steps that httpx2 knows."""
        return iter(("connect", "read", "write", "pool"))

    def __len__(self) -> int:
        """Return the number of steps."""
        return 4

    def remaining(self) -> float:
        """Return the seconds left, below 0 after the deadline."""
        return self._end - time.monotonic()

    def attempt(self, wait: int = 0) -> CallDeadline:
        """Return the deadline of the next attempt, which leaves time for another if there is enough."""
        left = self.remaining()
        return CallDeadline(min(left, max(left / 2, MINIMUM_ATTEMPT_SECONDS + wait)))


class Body:
    """The body of an answer, of which one part after the other arrives."""

    def __init__(self, deadline: CallDeadline) -> None:
        """Begin empty."""
        self.content = bytearray()
        self._deadline = deadline

    def append(self, part: bytes) -> None:
        """Append a part; raises httpx2.ReadTimeout after the deadline, and UnexpectedAnswer if it becomes too large."""
        if self._deadline.remaining() < 0:
            raise httpx2.ReadTimeout("the body did not end in time")
        self.content += part
        if len(self.content) > MAXIMUM_ANSWER_BYTES:
            raise UnexpectedAnswer(f"the answer has more than {MAXIMUM_ANSWER_BYTES} bytes")


class CallSender:
    """Sends calls with the caller's token, in the process that created it."""

    def __init__(self, connection: SyncConnection | AsyncConnection, token: AsyncToken, seconds: float) -> None:
        """Send over this connection; `seconds` is the deadline of each call, with all its attempts and pauses.

        Raises ValueError for a deadline that no call can have.
        """
        if not 0 < seconds < math.inf:
            raise ValueError("timeout: give a number of seconds above 0")
        self.connection = connection
        self._token = token
        self._seconds = seconds
        self._process = os.getpid()

    async def send(self, call: Call) -> Answer:
        """Return the answer below 400; raises ProblemError, or Unreachable if there was none in time.

        Raises RuntimeError in another process, which would share the open connections, and after `close`.
        """
        if os.getpid() != self._process:
            raise RuntimeError("this client was created in another process: create one in each, after the fork")
        if self.connection.http.is_closed:
            raise RuntimeError("this client is closed: create another")
        deadline, pause, in_doubt = CallDeadline(self._seconds + call.wait), FIRST_PAUSE_SECONDS, False
        while True:
            outcome = await self._attempt(call, deadline.attempt(call.wait))
            if isinstance(outcome, Answer):
                return outcome
            if in_doubt and call.removes and isinstance(outcome.error, NOT_FOUND_ERRORS):
                return Answer(HTTPStatus.NO_CONTENT, {}, b"")
            in_doubt = in_doubt or outcome.in_doubt
            seconds = max(outcome.pause, random.uniform(pause / 2, pause))  # noqa: S311 - it spreads, and hides nothing
            if seconds >= deadline.remaining():
                raise outcome.error
            logger.debug("%s: again in %.2f s", call.operation, seconds)
            await self.connection.sleep(seconds)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    async def _attempt(self, call: Call, deadline: CallDeadline) -> Answer | Failure:
        token = await self._bearer(deadline["read"])
        if token is None:
            return _unanswered(call, httpx2.ConnectTimeout("the token did not arrive in time"))
        request, began = self._request(call, token, deadline), time.monotonic()
        try:
            answer = await self.connection.exchange(request, deadline)
        except httpx2.RequestError as error:
            logger.debug("%s: %s after %.3f s", call.operation, type(error).__name__, time.monotonic() - began)
            return _unanswered(call, error)
        seconds, request_id = time.monotonic() - began, answer.headers.get("X-Request-ID")
        logger.debug("%s: %d after %.3f s, request id %s", call.operation, answer.status, seconds, request_id)
        return answer if answer.status < HTTPStatus.BAD_REQUEST else _refused(call, answer)

    def _request(self, call: Call, token: str, deadline: CallDeadline) -> httpx2.Request:
        try:
            return self.connection.http.build_request(
                call.method,
                call.path,
                params=call.query or None,
                headers={"Authorization": f"Bearer {token}", **call.headers},
                content=call.body,
                extensions={"timeout": deadline},
            )
        except httpx2.InvalidURL as error:
            raise ValueError(f"these values do not fit into a URL: {error}") from None

    async def _bearer(self, seconds: float) -> str | None:
        """Return the caller's token, or None if it is awaited for longer.

        Raises ValueError if no request can have it, and what the caller's function raises.
        """
        given = self._token if isinstance(self._token, str) else self._token()
        token = given if isinstance(given, str) else await self.connection.within(seconds, given)
        return token if token is None else sendable("the token", token)


def sendable(name: str, value: str) -> str:
    """Return the value for a header; raises ValueError with this name if no header can have it (RFC 9110, 5.5)."""
    if not SENDABLE.fullmatch(value):
        raise ValueError(f"{name} is empty, or has a space, a line break or a letter beyond ASCII")
    return value


def segment(text: str) -> str:
    """Return the text as one segment of a path; `.` and `..` are escaped too, which would lead to another path.

    Raises ValueError for an empty text, which would be the path of the whole collection.
    """
    if not text:
        raise ValueError("an id is empty")
    return text.replace(".", "%2E") if text in {".", ".."} else quote(text, safe="")


def conditions(if_match: str | None) -> dict[str, str]:
    """Return the headers that make a write conditional on this ETag, or none if it is empty.

    Raises ValueError for None, which is the ETag of a customer of a list: a write without a condition was not meant.
    """
    if if_match is None:
        raise ValueError("if_match is None: customers of lists and batches have no etag; get the customer first")
    return {"If-Match": sendable("if_match", if_match)} if if_match else {}


def query_of(filters: Mapping[str, object]) -> dict[str, str]:
    """Return the filters as parameters of a query, without those that are None.

    Raises ValueError for a time without its offset.
    """
    entries: Any = filters.get("metadata") or {}
    plain = {name: value for name, value in filters.items() if name != "metadata" and value is not None}
    return {
        **{name: instant(value) if isinstance(value, datetime) else str(value) for name, value in plain.items()},
        **{f"metadata[{name}]": value for name, value in entries.items() if value is not None},
    }


def instant(moment: datetime) -> str:
    """Return the time in RFC 3339; raises ValueError for a time without its offset."""
    if moment.tzinfo is None:
        raise ValueError("give a time with its offset from UTC, as datetime.now(UTC) has it")
    return moment.isoformat()


def is_temporary(error: BaseException | None) -> bool:
    """Return whether another attempt may succeed after this error of httpx2."""
    return isinstance(error, TEMPORARY_ERRORS) and not _is_wrong_certificate(error)


def _is_wrong_certificate(error: BaseException | None) -> bool:
    """Return whether the error, or one that caused it, is a refused certificate or host name."""
    return error is not None and (
        isinstance(error, ssl.SSLCertVerificationError) or _is_wrong_certificate(error.__cause__)
    )


def _unanswered(call: Call, error: httpx2.RequestError) -> Failure:
    unreachable = Unreachable(f"{call.method}: {type(error).__name__}")
    unreachable.__cause__ = error
    unsent = isinstance(error, UNSENT_ERRORS)
    may_retry = is_temporary(error) and (unsent or call.repeatable)
    return Failure(unreachable, 0.0 if may_retry else NEVER, in_doubt=not unsent)


def _refused(call: Call, answer: Answer) -> Failure:
    """Return the failure of an answer of 400 or above; 429 comes before anything is done, and so is safe to repeat."""
    problem = error_of(answer.status, answer.headers, answer.body, time.time())
    temporary = answer.status in TEMPORARY_STATUSES
    may_retry = isinstance(problem, RateLimited | RequestInProgress) or (call.repeatable and temporary)
    return Failure(problem, (problem.retry_after or 0.0) if may_retry else NEVER, in_doubt=temporary)
