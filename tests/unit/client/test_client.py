"""The client against scripted responses: what it retries, until when, and which errors it raises."""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import re
import socket
import ssl
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any, cast

import httpx2
import pytest

from customer_service import __version__
from customer_service.client import (
    BadRequest,
    ClientError,
    Conflict,
    CursorExpired,
    CustomerClient,
    CustomerInput,
    CustomerNotFound,
    DuplicateTaxId,
    Finding,
    Forbidden,
    KeyReused,
    NotAMember,
    NotFound,
    ProblemError,
    RateLimited,
    RequestInProgress,
    ServerError,
    Unauthorized,
    Unavailable,
    UnexpectedAnswer,
    Unprocessable,
    Unreachable,
    UpsertResult,
    ValidationFailed,
    VersionMismatch,
    calls,
    connections,
    customer_cache,
    following,
    operations,
)
from customer_service.client.calls import CallDeadline
from customer_service.repository.idempotency import TAKEOVER_SECONDS
from tests.support import CUSTOMER_ID, EXAMPLE, NEW_CUSTOMER, ORGANIZATION, OTHER_CUSTOMER_ID, own_records
from tests.support.awaited_client import AwaitedClient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

NEW = cast("CustomerInput", NEW_CUSTOMER)
Outcome = httpx2.Response | Exception
FOUND = {"ETag": '"1"'}


def found(**changes: Any) -> httpx2.Response:
    return httpx2.Response(200, json=EXAMPLE | changes, headers=FOUND)


def refused(status: int, slug: str = "", **headers: str) -> httpx2.Response:
    body = {"type": f"urn:problem-type:{slug}", "status": status, "detail": "No.", "requestId": "r-1"}
    sent = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
    return httpx2.Response(status, json=body, headers=sent)


class Clock:
    """Time that passes only by sleeping and by what an outcome is said to take."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.pauses: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


class Script:
    """Answers with these outcomes, one after the other, the last for ever."""

    def __init__(self, *outcomes: Outcome, clock: Clock | None = None, takes: float = 0.0) -> None:
        self.outcomes = list(outcomes)
        self.requests: list[httpx2.Request] = []
        self.clock = clock
        self.takes = takes

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        if self.clock:
            self.clock.now += self.takes
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        if isinstance(outcome, Exception):
            raise outcome
        return httpx2.Response(outcome.status_code, headers=outcome.headers, content=outcome.content)


class AsyncClock:
    """asyncio whose sleep is that of a clock."""

    timeout = staticmethod(asyncio.timeout)

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    async def sleep(self, seconds: float) -> None:
        self.clock.sleep(seconds)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(calls, "time", clock)
    monkeypatch.setattr(connections, "time", clock)
    monkeypatch.setattr(connections, "asyncio", AsyncClock(clock))
    return clock


@pytest.fixture(autouse=True, params=[CustomerClient, AwaitedClient])
def kind_of_client(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run each test with both clients: they follow the same rules."""
    monkeypatch.setitem(CLIENTS, "of the test", request.param)


CLIENTS: dict[str, Any] = {}


def client_at(base_url: str, **options: Any) -> Any:
    return CLIENTS["of the test"](base_url, **{"token": "secret-token", "organization_id": ORGANIZATION, **options})


def client_of(script: Callable[[httpx2.Request], httpx2.Response], **options: Any) -> Any:
    return client_at("http://service.test/api", transport=httpx2.MockTransport(script), **options)


VERSION: dict[str, Any] = {
    "version": 0,
    "updatedAt": None,
    "updatedBy": None,
    "requestId": None,
    "change": "created",
    "changed": [],
    "of a newer service": 1,
}
RETENTION: dict[str, Any] = {"lastInvoicedOn": None, "retainUntil": None, "hold": False, "reason": None, "newer": 1}
OPERATIONS: dict[str, tuple[Callable[[CustomerClient], object], Outcome]] = {
    "get": (lambda client: client.get(CUSTOMER_ID), found()),
    "get_by_external_id": (lambda client: client.get_by_external_id("x"), found()),
    "search": (
        lambda client: list(client.search()),
        httpx2.Response(200, json={"data": [EXAMPLE], "nextCursor": None}),
    ),
    "batch_get": (lambda client: client.batch_get(["x"]), httpx2.Response(200, json={"data": [], "notFound": ["x"]})),
    "batch_upsert": (
        lambda client: client.batch_upsert([NEW]),
        httpx2.Response(200, json={"results": [{"index": 0, "status": "unchanged", "id": "x", "etag": '"1"'}]}),
    ),
    "create": (lambda client: client.create(NEW), found()),
    "put": (lambda client: client.put_by_external_id("x", NEW), found()),
    "delete": (lambda client: client.delete(CUSTOMER_ID), httpx2.Response(204)),
    "guarded update": (lambda client: client.update(CUSTOMER_ID, {}, if_match='"1"'), found()),
    "guarded restore": (lambda client: client.restore(CUSTOMER_ID, if_match='"1"'), found()),
    "validate": (
        lambda client: client.validate_tax_info(NEW),
        httpx2.Response(200, json={"isValid": True, "errors": [], "warnings": []}),
    ),
    "versions": (
        lambda client: list(client.versions(CUSTOMER_ID)),
        httpx2.Response(200, json={"data": [VERSION], "nextCursor": None}),
    ),
    "get_version": (lambda client: client.get_version(CUSTOMER_ID, 1), found()),
    "get as of": (lambda client: client.get(CUSTOMER_ID, as_of=datetime(2026, 1, 1, tzinfo=UTC)), found()),
    "get_retention": (lambda client: client.get_retention(CUSTOMER_ID), httpx2.Response(200, json=RETENTION)),
    "put_retention": (
        lambda client: client.put_retention(CUSTOMER_ID, hold=False),
        httpx2.Response(200, json=RETENTION),
    ),
    "get_erasure": (lambda client: client.get_erasure(CUSTOMER_ID), httpx2.Response(200, json={"state": "none"})),
    "erase": (
        lambda client: client.erase(CUSTOMER_ID),
        httpx2.Response(200, json={"state": "erased", "of a newer service": 1}),
    ),
    "list_members": (lambda client: client.list_members(), httpx2.Response(200, json={"data": []})),
    "put_member": (
        lambda client: client.put_member("x", "viewer"),
        httpx2.Response(200, json={"userId": "x", "role": "viewer"}),
    ),
    "delete_member": (lambda client: client.delete_member("x"), httpx2.Response(204)),
}
UNGUARDED: dict[str, Callable[[CustomerClient], object]] = {
    "update": lambda client: client.update(CUSTOMER_ID, {"phone": None}),
    "restore": lambda client: client.restore(CUSTOMER_ID),
}
PASSING: tuple[Outcome, ...] = (
    httpx2.ReadError("reset"),
    httpx2.ReadTimeout("silent"),
    httpx2.RemoteProtocolError("cut off"),
    refused(502),
    refused(503, "database-unavailable", Retry_After="1"),
    refused(504),
)
BEFORE_ANYTHING: tuple[Outcome, ...] = (
    httpx2.ConnectError("refused"),
    httpx2.ConnectTimeout("silent"),
    refused(429, "rate-limited", Retry_After="1"),
)


@pytest.mark.usefixtures("clock")
class TestRepetition:
    """Only what is safe is sent twice."""

    @pytest.mark.parametrize("name", OPERATIONS)
    @pytest.mark.parametrize("failure", [*PASSING, *BEFORE_ANYTHING], ids=repr)
    def test_what_is_safe_is_sent_again(self, name: str, failure: Outcome) -> None:
        ask, answer = OPERATIONS[name]
        script = Script(failure, failure, answer)
        ask(client_of(script))
        first, *others = [(each.method, each.url, each.headers, each.content) for each in script.requests]
        assert others == [first, first]

    @pytest.mark.parametrize("name", UNGUARDED)
    @pytest.mark.parametrize("failure", PASSING, ids=repr)
    def test_an_unguarded_write_is_not(self, name: str, failure: Outcome) -> None:
        script = Script(failure, found())
        with pytest.raises(Unreachable if isinstance(failure, Exception) else ServerError):
            UNGUARDED[name](client_of(script))
        assert len(script.requests) == 1

    @pytest.mark.parametrize("name", UNGUARDED)
    @pytest.mark.parametrize("failure", BEFORE_ANYTHING, ids=repr)
    def test_a_write_that_certainly_had_no_effect_is_sent_again(self, name: str, failure: Outcome) -> None:
        script = Script(failure, found())
        UNGUARDED[name](client_of(script))
        assert len(script.requests) == 2

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 412, 413, 422, 500, 501])
    def test_a_refusal_is_final(self, status: int) -> None:
        script = Script(refused(status))
        with pytest.raises(ProblemError):
            client_of(script).get(CUSTOMER_ID)
        assert len(script.requests) == 1

    @pytest.mark.parametrize("failure", [httpx2.UnsupportedProtocol("ftp"), httpx2.DecodingError("gzip")], ids=repr)
    def test_nor_is_repeated_what_would_fail_again(self, failure: Exception) -> None:
        script = Script(failure)
        with pytest.raises(Unreachable):
            client_of(script).get(CUSTOMER_ID)
        assert len(script.requests) == 1

    def test_a_creation_waits_for_its_first_attempt(self, clock: Clock) -> None:
        began, keys = clock.now, set[str]()

        def respond(request: httpx2.Request) -> httpx2.Response:
            keys.add(request.headers["Idempotency-Key"])
            if clock.now == began:
                raise httpx2.ReadError("reset")
            is_done = clock.now >= began + TAKEOVER_SECONDS
            return found() if is_done else refused(409, "request-in-progress", Retry_After="1")

        client_of(respond).create(NEW)
        assert len(keys) == 1
        assert clock.now >= began + TAKEOVER_SECONDS

    def test_each_creation_has_a_key_of_its_own_unless_given(self) -> None:
        script = Script(found())
        client = client_of(script)
        client.create(NEW)
        client.create(NEW)
        client.create(NEW, idempotency_key="order-1")
        first, second, given = [each.headers["Idempotency-Key"] for each in script.requests]
        assert first != second
        assert given == "order-1"

    @pytest.mark.parametrize("lost", [httpx2.ReadError("reset"), refused(503)], ids=repr)
    @pytest.mark.parametrize("slug", ["customer-not-found", "member-not-found"])
    def test_a_deletion_whose_answer_was_lost_is_done(self, lost: Outcome, slug: str) -> None:
        assert client_of(Script(lost, refused(404, slug))).delete(CUSTOMER_ID) is None

    def test_a_deletion_of_nothing_is_not(self) -> None:
        with pytest.raises(CustomerNotFound):
            client_of(Script(httpx2.ConnectError("refused"), refused(404, "customer-not-found"))).delete(CUSTOMER_ID)
        with pytest.raises(NotFound):
            client_of(Script(httpx2.ReadError("reset"), refused(404, "not-found"))).delete(CUSTOMER_ID)
        with pytest.raises(CustomerNotFound):
            client_of(Script(httpx2.ReadError("reset"), refused(404, "customer-not-found"))).get(CUSTOMER_ID)

    def test_nor_is_a_removal_of_what_belongs_to_a_customer(self) -> None:
        """The customer is missing: a first attempt that succeeded leaves it as it is."""
        with pytest.raises(CustomerNotFound):
            client_of(Script(refused(503), refused(404, "customer-not-found"))).delete_sat_validation(CUSTOMER_ID)

    def test_an_error_of_the_tokens_function_is_no_lost_answer(self) -> None:
        def token() -> str:
            if tokens:
                return tokens.pop()
            raise httpx2.ReadError("the issuer")

        tokens: list[str] = []
        script = Script(refused(404, "customer-not-found"))
        with pytest.raises(httpx2.ReadError, match="the issuer"):
            client_of(script, token=token).delete(CUSTOMER_ID)
        assert script.requests == []

    def test_each_request_names_the_client_and_asks_for_no_compression(self) -> None:
        script = Script(found())
        client_of(script).get(CUSTOMER_ID)
        headers = script.requests[0].headers
        assert (headers["User-Agent"], headers["Accept-Encoding"]) == (
            f"customer-service-client/{__version__}",
            "identity",
        )

    def test_each_attempt_asks_for_a_token(self) -> None:
        tokens = iter(["first", "second"])
        script = Script(refused(503), found())
        client_of(script, token=lambda: next(tokens)).get(CUSTOMER_ID)
        assert [each.headers["Authorization"] for each in script.requests] == ["Bearer first", "Bearer second"]


@pytest.mark.usefixtures("clock")
class TestDeadline:
    """All attempts and pauses of a call share one."""

    def test_pauses_grow_and_differ(self, clock: Clock) -> None:
        with pytest.raises(Unreachable):
            client_of(Script(httpx2.ConnectError("refused"))).get(CUSTOMER_ID)
        bounds = [0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0]
        assert all(bound / 2 <= pause <= bound for pause, bound in zip(clock.pauses, bounds, strict=False))
        assert len(set(clock.pauses)) == len(clock.pauses)
        assert 1000 + operations.TIMEOUT_SECONDS - 2 <= clock.now <= 1000 + operations.TIMEOUT_SECONDS

    def test_the_last_failure_is_raised(self) -> None:
        script = Script(httpx2.ReadError("reset"), refused(503, "database-unavailable"))
        with pytest.raises(Unavailable, match=r"503 database-unavailable · No\. · id r-1"):
            client_of(script, timeout=1).get(CUSTOMER_ID)

    def test_an_attempt_leaves_time_for_another(self, clock: Clock) -> None:
        deadline = CallDeadline(20)
        assert deadline.attempt()["read"] == 10
        clock.now += 16
        assert deadline.attempt()["read"] == calls.MINIMUM_ATTEMPT_SECONDS
        clock.now += 3
        assert deadline.attempt()["read"] == 1
        clock.now += 3
        assert deadline["read"] == calls.MINIMUM_TIMEOUT_SECONDS
        assert {name: deadline[name] for name in deadline}.keys() == httpx2.Timeout(1).as_dict().keys()
        assert len(deadline) == 4

    @pytest.mark.parametrize("status", [429, 503])
    def test_retry_after_is_a_least_pause(self, clock: Clock, status: int) -> None:
        client_of(Script(refused(status, Retry_After="3"), found())).get(CUSTOMER_ID)
        assert clock.pauses == [3]

    def test_it_may_be_a_date(self, clock: Clock) -> None:
        at = datetime.fromtimestamp(clock.now, UTC) + timedelta(seconds=5)
        client_of(Script(refused(503, Retry_After=format_datetime(at, usegmt=True)), found())).get(CUSTOMER_ID)
        assert clock.pauses == [5]

    @pytest.mark.parametrize(
        "strange", ["soon", "-1", "²", "99999999999 Jan", f"Mon, 20 Nov 1995 19:12:08 +{'9' * 19}"]
    )
    def test_what_cannot_be_read_is_passed_over(self, clock: Clock, strange: str) -> None:
        client_of(Script(refused(503, Retry_After=strange), found())).get(CUSTOMER_ID)
        assert clock.pauses[0] <= 0.1

    def test_a_pause_beyond_the_deadline_is_not_made(self, clock: Clock) -> None:
        script = Script(refused(429, "rate-limited", Retry_After="60"))
        with pytest.raises(RateLimited) as raised:
            client_of(script).get(CUSTOMER_ID)
        assert (raised.value.retry_after, clock.pauses, len(script.requests)) == (60, [], 1)

    def test_what_an_attempt_takes_counts(self, clock: Clock) -> None:
        script = Script(httpx2.ReadTimeout("silent"), clock=clock, takes=4)
        with pytest.raises(Unreachable):
            client_of(script, timeout=10).get(CUSTOMER_ID)
        assert len(script.requests) == 3

    def test_a_body_that_drips_in_is_cut_off(self, clock: Clock) -> None:
        class Dripping(httpx2.SyncByteStream, httpx2.AsyncByteStream):
            async def __aiter__(self) -> AsyncIterator[bytes]:
                for part in self:
                    yield part

            def __iter__(self) -> Iterator[bytes]:
                for _ in range(100):
                    clock.now += 1
                    yield b" "

        with pytest.raises(Unreachable, match="GET: ReadTimeout"):
            client_of(lambda _: httpx2.Response(200, stream=Dripping()), timeout=10).get(CUSTOMER_ID)
        assert clock.now <= 1012


BODY_BEGINS = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"


@pytest.mark.timed
@pytest.mark.parametrize(("head", "drop"), [(b"", b""), (BODY_BEGINS, b" ")])
def test_a_server_that_hangs_is_left_in_time(head: bytes, drop: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        over = threading.Event()
        threading.Thread(target=hang, args=(listener, over, head, drop), daemon=True).start()
        with client_at(f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=1) as client:
            began = time.monotonic()
            with pytest.raises(Unreachable):
                client.get(CUSTOMER_ID)
            assert 0.9 < time.monotonic() - began < 2
        over.set()


def hang(listener: socket.socket, over: threading.Event, head: bytes, drop: bytes) -> None:
    connection, _ = listener.accept()
    with connection, suppress(OSError):
        connection.recv(65536)
        connection.sendall(head)
        while not over.wait(0.05):
            connection.sendall(drop)


@pytest.mark.usefixtures("clock")
class TestErrors:
    """Each is of a class that a program can act on, and says nothing of a customer."""

    @pytest.mark.parametrize(
        ("status", "slug", "kind"),
        [
            (400, "bad-request", BadRequest),
            (401, "invalid-token", Unauthorized),
            (403, "not-a-member", NotAMember),
            (403, "another", Forbidden),
            (404, "customer-not-found", CustomerNotFound),
            (405, "method-not-allowed", ProblemError),
            (409, "duplicate-tax-id", DuplicateTaxId),
            (409, "another", Conflict),
            (412, "version-mismatch", VersionMismatch),
            (422, "validation-error", ValidationFailed),
            (422, "idempotency-key-reused", KeyReused),
            (422, "another", Unprocessable),
            (500, "internal-error", ServerError),
            (599, "", ServerError),
        ],
    )
    def test_their_classes(self, status: int, slug: str, kind: type[ProblemError]) -> None:
        with pytest.raises(ProblemError) as raised:
            client_of(Script(refused(status, slug))).get(CUSTOMER_ID)
        assert type(raised.value) is kind
        assert (raised.value.status, raised.value.slug, raised.value.request_id) == (status, slug, "r-1")

    def test_what_they_carry(self) -> None:
        finding = {"path": "/taxId", "code": "invalid-rfc", "message": "Give an RFC.", "newer": 1}
        body = {"type": "urn:problem-type:validation-error", "detail": "No.", "requestId": "r-1", "errors": [finding]}
        with pytest.raises(ValidationFailed) as raised:
            client_of(Script(httpx2.Response(422, json=body | {"existing": "/customers/1"}))).create(NEW)
        error: ProblemError = pickle.loads(pickle.dumps(raised.value))  # noqa: S301 - processes hand errors on
        assert error.errors == (Finding("/taxId", "invalid-rfc", "Give an RFC."),)
        assert (error.detail, error.existing, error.retry_after) == ("No.", "/customers/1", None)
        assert str(error) == "422 validation-error · No. · /taxId invalid-rfc · id r-1"

    def test_their_message_is_one_line(self) -> None:
        """A proxy may have sent the body."""
        foreign = httpx2.Response(400, json={"type": "x", "detail": "line 1\nline 2 \x1b[31m"})
        with pytest.raises(BadRequest) as caught:
            client_of(Script(foreign)).get(CUSTOMER_ID)
        assert str(caught.value) == "400 x · line 1 line 2 [31m"

    @pytest.mark.parametrize(
        "body",
        [
            b"<html>",
            b"",
            b"[]",
            b'{"type": 1, "errors": 1}',
            b'{"errors": ["x"]}',
            b'{"errors": [{}]}',
            b"\xff",
            b"[" * 200_000,
        ],
    )
    def test_a_proxy_may_answer(self, body: bytes) -> None:
        response = httpx2.Response(404, content=body, headers={"X-Request-ID": "r-2"})
        with pytest.raises(NotFound, match="404 · id r-2") as raised:
            client_of(Script(response)).get(CUSTOMER_ID)
        assert (raised.value.slug, raised.value.errors, raised.value.existing) == ("", (), None)

    def test_unknown_fields_of_a_newer_service_are_ignored(self) -> None:
        address = {**NEW["address"], "newer": 1}
        assert client_of(Script(found(newer=1, address=address))).get(CUSTOMER_ID).legalName == "Dunder Mifflin"

    @pytest.mark.parametrize(
        "answer",
        [
            httpx2.Response(200, text="<html>"),
            httpx2.Response(200, json=[]),
            httpx2.Response(200, content=b"[" * 200_000),
            httpx2.Response(200, json={}),
            httpx2.Response(302, headers={"Location": "http://elsewhere.test/"}),
            found(address=None),
            found(createdAt="yesterday"),
            found(legalName=5),
            found(phone=[]),
            found(metadata=None),
            found(id=OTHER_CUSTOMER_ID),
            found(organizationId="another"),
        ],
    )
    def test_what_is_not_the_contract_is_no_customer(self, answer: httpx2.Response) -> None:
        with pytest.raises(UnexpectedAnswer):
            client_of(Script(answer)).get(CUSTOMER_ID)

    @pytest.mark.parametrize(
        "ask",
        [
            lambda client: client.get(CUSTOMER_ID, as_of=datetime.now(UTC)),
            lambda client: client.get_version(CUSTOMER_ID, 1),
            lambda client: client.update(CUSTOMER_ID, {}),
            lambda client: client.restore(CUSTOMER_ID),
            lambda client: client.put_sat_validation(CUSTOMER_ID, {"checkedAt": datetime.now(UTC)}),
        ],
    )
    def test_another_customer_is_not_returned(self, ask: Callable[[Any], object]) -> None:
        """A proxy that mixes up its answers would show one customer in the place of another."""
        with pytest.raises(UnexpectedAnswer, match="not the customer that was requested"):
            ask(client_of(Script(found(id=OTHER_CUSTOMER_ID))))

    @pytest.mark.parametrize(
        "ask",
        [
            lambda client: client.create(NEW),
            lambda client: client.get_by_external_id("x"),
            lambda client: client.put_by_external_id("x", NEW),
        ],
    )
    def test_a_customer_of_another_organization_is_not_returned(self, ask: Callable[[Any], object]) -> None:
        with pytest.raises(UnexpectedAnswer, match="not the customer that was requested"):
            ask(client_of(Script(found(organizationId="another"))))

    def test_an_id_may_be_in_capitals(self) -> None:
        assert client_of(Script(found())).get(CUSTOMER_ID.upper()).id == CUSTOMER_ID

    @pytest.mark.parametrize("ask", [lambda client: client.pages(), lambda client: client.versions("x")])
    def test_a_cursor_that_is_none(self, ask: Callable[[Any], Iterator[object]]) -> None:
        with pytest.raises(UnexpectedAnswer):
            next(ask(client_of(Script(httpx2.Response(200, json={"data": [], "nextCursor": 5})))))

    def test_a_body_that_is_too_large(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(calls, "MAXIMUM_ANSWER_BYTES", len(found().content))
        client_of(Script(found())).get(CUSTOMER_ID)
        with pytest.raises(UnexpectedAnswer, match="the answer has more than"):
            client_of(Script(found(newer="x"))).get(CUSTOMER_ID)

    @pytest.mark.parametrize(("status", "error"), [(200, UnexpectedAnswer), (404, NotFound)])
    def test_a_body_that_is_compressed_without_request_is_not_read(self, status: int, error: type[ClientError]) -> None:
        def respond(_: httpx2.Request) -> httpx2.Response:
            class Unread(httpx2.SyncByteStream, httpx2.AsyncByteStream):
                def __iter__(self) -> Iterator[bytes]:
                    pytest.fail("it was read")

                def __aiter__(self) -> AsyncIterator[bytes]:
                    pytest.fail("it was read")

            return httpx2.Response(status, headers={"Content-Encoding": "gzip, gzip"}, stream=Unread())

        with pytest.raises(error):
            client_of(respond).get(CUSTOMER_ID)

    @pytest.mark.parametrize("answer", [httpx2.Response(200, text="<html>"), httpx2.Response(302)])
    def test_nor_a_deletion(self, answer: httpx2.Response) -> None:
        client = client_of(Script(answer))
        with pytest.raises(UnexpectedAnswer):
            client.delete(CUSTOMER_ID)
        with pytest.raises(UnexpectedAnswer):
            client.delete_member("x")

    def test_a_token_is_in_no_error(self) -> None:
        for outcome in (httpx2.ConnectError("refused"), refused(401), httpx2.Response(200)):
            with pytest.raises(ClientError) as raised:
                client_of(Script(outcome)).get(CUSTOMER_ID)
            assert "secret-token" not in repr(raised.value) + str(raised.value)


@pytest.mark.usefixtures("clock")
class TestMemory:
    """A customer is sent again only if it has changed."""

    def test_an_unchanged_customer_comes_from_memory(self) -> None:
        script = Script(found(), httpx2.Response(304, headers=FOUND), found(legalName="Sabre"))
        client = client_of(script)
        first, second, third = (client.get(CUSTOMER_ID) for _ in range(3))
        assert first == second
        assert third.legalName == "Sabre"
        assert [each.headers.get("If-None-Match") for each in script.requests] == [None, '"1"', '"1"']

    def test_what_was_written_is_remembered(self) -> None:
        script = Script(found())
        client = client_of(script)
        client.create(NEW)
        client.get(CUSTOMER_ID)
        assert script.requests[1].headers["If-None-Match"] == '"1"'

    def test_the_least_used_are_forgotten(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(customer_cache, "CACHED_CUSTOMERS", 2)
        asked: list[str] = []

        def answer(request: httpx2.Request) -> httpx2.Response:
            asked.append(request.headers.get("If-None-Match", ""))
            return httpx2.Response(304) if asked[-1] else found(id=request.url.path.rpartition("/")[2])

        client = client_of(answer)
        for customer_id in ("a", "b", "a", "c", "a", "b"):
            client.get(customer_id)
        assert asked == ["", "", '"1"', "", '"1"', ""]

    def test_an_answer_without_an_etag_is_asked_for_whole(self) -> None:
        script = Script(httpx2.Response(200, json=EXAMPLE))
        client = client_of(script)
        assert client.get(CUSTOMER_ID) == client.get(CUSTOMER_ID)
        assert "If-None-Match" not in script.requests[1].headers

    @pytest.mark.parametrize("end", [refused(404, "customer-not-found"), httpx2.Response(204)], ids=["gone", "deleted"])
    def test_a_customer_that_is_gone_is_removed(self, end: httpx2.Response) -> None:
        script = Script(found(), end, found())
        client = client_of(script)
        client.get(CUSTOMER_ID)
        with suppress(CustomerNotFound):
            client.delete(CUSTOMER_ID) if end.status_code == 204 else client.get(CUSTOMER_ID)
        client.get(CUSTOMER_ID)
        assert "If-None-Match" not in script.requests[2].headers

    def test_a_callers_change_of_the_metadata_stays_its_own(self) -> None:
        script = Script(found(metadata={"a": "1"}), httpx2.Response(304))
        client = client_of(script)
        for _ in range(3):
            customer = client.get(CUSTOMER_ID)
            assert customer.metadata == {"a": "1"}
            customer.metadata["a"] = "2"

    def test_a_304_that_was_not_asked_for_is_no_customer(self) -> None:
        with pytest.raises(UnexpectedAnswer):
            client_of(Script(httpx2.Response(304))).get(CUSTOMER_ID)


@pytest.mark.usefixtures("clock")
class TestRequests:
    """What is sent."""

    @pytest.mark.parametrize(
        ("given", "segment"),
        [("a/b", "a%2Fb"), ("..", "%2E%2E"), (".", "%2E"), ("a b?c#d%2F", "a%20b%3Fc%23d%252F"), ("ñ", "%C3%B1")],
    )
    def test_an_id_stays_one_segment(self, given: str, segment: str) -> None:
        script = Script(found(organizationId=given))
        client_of(script, organization_id=given).get_by_external_id(given)
        path = f"/api/organizations/{segment}/customers/by-external-id/{segment}"
        assert script.requests[0].url.raw_path.decode() == path

    @pytest.mark.parametrize("ask", ["get", "get_by_external_id", "delete", "erase", "delete_member"])
    def test_an_empty_id_is_refused(self, ask: str) -> None:
        """Its path would be that of all customers."""
        script = Script(found())
        with pytest.raises(ValueError, match="an id is empty"):
            getattr(client_of(script), ask)("")
        assert script.requests == []

    @pytest.mark.parametrize("etag", ['"1"\r\nX: y', '"ñ"', " "])
    def test_a_condition_that_cannot_be_sent(self, etag: str) -> None:
        with pytest.raises(ValueError, match="if_match is empty, or has a space"):
            client_of(Script(found())).delete(CUSTOMER_ID, if_match=etag)

    @pytest.mark.parametrize("timeout", [0, -1, float("inf"), float("nan")])
    def test_a_deadline_that_is_none(self, timeout: float) -> None:
        with pytest.raises(ValueError, match="timeout: give a number"):
            client_of(Script(found()), timeout=timeout)

    @pytest.mark.parametrize(
        "base_url", ["", "localhost:3001", "ftp://localhost", "http://", "/api", "http://[::1", "http://x:port"]
    )
    def test_an_address_that_is_none(self, base_url: str) -> None:
        with pytest.raises(ValueError, match="base_url: give an address"):
            client_at(base_url)

    def test_a_client_of_another_process(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Parent and child would read one another's answers from one connection."""
        script = Script(found())
        client = client_of(script)
        client.get(CUSTOMER_ID)
        monkeypatch.setattr(os, "getpid", lambda: -1)
        with pytest.raises(RuntimeError, match="create one in each, after the fork"):
            client.get(CUSTOMER_ID)
        assert len(script.requests) == 1

    def test_a_client_that_is_closed(self) -> None:
        with client_of(Script(found())) as client:
            client.get(CUSTOMER_ID)
        with pytest.raises(RuntimeError, match="this client is closed"):
            client.get(CUSTOMER_ID)

    def test_a_patch_is_one(self) -> None:
        script = Script(found())
        client_of(script).update(CUSTOMER_ID, {"phone": None}, if_match='"1"')
        request = script.requests[0]
        assert (request.method, request.headers["Content-Type"]) == ("PATCH", "application/merge-patch+json")
        assert (request.headers["If-Match"], json.loads(request.content)) == ('"1"', {"phone": None})

    @pytest.mark.parametrize("name", ["update", "put_by_external_id", "delete", "delete_sat_validation"])
    def test_a_condition_of_none_is_refused(self, name: str) -> None:
        """A customer of a list has no ETag: its change would overwrite what others changed meanwhile."""
        script = Script(found())
        values = [] if name.startswith("delete") else [NEW]
        with pytest.raises(ValueError, match="get the customer first"):
            getattr(client_of(script), name)("x", *values, if_match=None)
        assert script.requests == []

    def test_a_restore_after_a_lost_answer_has_no_condition(self) -> None:
        script = Script(found())
        client_of(script).restore(CUSTOMER_ID, if_match=None)
        assert "If-Match" not in script.requests[0].headers

    @pytest.mark.parametrize("key", ["", " ", "pedido ñ", "a\r\nb"])
    def test_an_idempotency_key_that_cannot_be_sent(self, key: str) -> None:
        script = Script(found())
        with pytest.raises(ValueError, match="the idempotency key is empty, or has"):
            client_of(script).create(NEW, idempotency_key=key)
        assert script.requests == []

    def test_a_last_invoice_may_be_a_datetime(self) -> None:
        script = Script(httpx2.Response(200, json=RETENTION))
        client_of(script).put_retention(CUSTOMER_ID, last_invoiced_on=datetime(2025, 1, 31, 23, tzinfo=UTC))
        assert json.loads(script.requests[0].content) == {"lastInvoicedOn": "2025-01-31"}

    def test_a_time_needs_its_offset(self) -> None:
        naive = datetime(2025, 1, 1)  # noqa: DTZ001 - what is refused
        with pytest.raises(ValueError, match="offset"):
            next(client_of(Script(found())).pages({"createdAt[gte]": naive}))

    def test_a_key_that_stays_in_progress_raises(self) -> None:
        with pytest.raises(RequestInProgress):
            client_of(Script(refused(409, "request-in-progress")), timeout=2).create(NEW)


UPSERTED = {"index": 0, "status": "created", "id": "x", "etag": '"1"'}


@pytest.mark.usefixtures("clock")
class TestBatchUpsert:
    def test_nothing_is_not_sent(self) -> None:
        script = Script(found())
        assert (client_of(script).batch_upsert(iter([])), script.requests) == ((), [])

    def test_each_customer_has_its_result(self) -> None:
        finding = {"path": "/taxId", "code": "invalid-rfc", "message": "Give an RFC."}
        invalid = {"type": "urn:problem-type:validation-error", "title": "Invalid", "status": 422, "detail": "No."}
        duplicate = {"type": "urn:problem-type:duplicate-tax-id", "status": 409, "detail": "No.", "existing": "/c/1"}
        answers = [
            UPSERTED,
            {"index": 1, "status": "failed", "problem": invalid | {"errors": [finding]}},
            {"index": 2, "status": "failed", "problem": duplicate},
        ]
        first, second, third = client_of(Script(httpx2.Response(200, json={"results": answers}))).batch_upsert(
            [NEW] * 3
        )
        assert first == UpsertResult(0, "created", "x", '"1"', None)
        assert (second.status, second.id, second.etag) == ("failed", None, None)
        assert type(second.problem) is ValidationFailed
        assert second.problem.errors == (Finding(**finding),)
        assert type(third.problem) is DuplicateTaxId
        assert (third.problem.status, third.problem.existing) == (409, "/c/1")

    def test_any_number_is_sent_by_hundreds(self) -> None:
        sizes: list[int] = []

        def answer(request: httpx2.Request) -> httpx2.Response:
            sizes.append(len(json.loads(request.content)["customers"]))
            return httpx2.Response(200, json={"results": [UPSERTED | {"index": index} for index in range(sizes[-1])]})

        results = client_of(answer).batch_upsert(NEW for _ in range(201))
        assert (sizes, [each.index for each in results]) == ([100, 100, 1], list(range(201)))

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"results": [{}]},
            {"results": [{"index": 0, "status": "failed"}]},
            {"results": []},
            {"results": [UPSERTED | {"index": 1}]},
            {"results": [UPSERTED, UPSERTED]},
        ],
    )
    def test_what_is_not_the_contract_is_no_result(self, body: object) -> None:
        with pytest.raises(UnexpectedAnswer):
            client_of(Script(httpx2.Response(200, json=body))).batch_upsert([NEW])


@pytest.mark.usefixtures("clock")
class TestLog:
    """Attempts are logged at debug level, without data."""

    def test_each_attempt_is_a_line(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level("DEBUG", "customer_service.client")
        answer = httpx2.Response(200, json=EXAMPLE, headers={"X-Request-ID": "r-2"})
        client_of(Script(httpx2.ReadError("reset"), refused(503, Retry_After="1"), answer)).get_by_external_id(
            "private"
        )
        messages = [record.getMessage() for record in own_records(caplog.records)]
        lines = [line for line in messages if "again" not in line]
        assert lines == [
            "get_by_external_id: ReadError after 0.000 s",
            "get_by_external_id: 503 after 0.000 s, request id None",
            "get_by_external_id: 200 after 0.000 s, request id r-2",
        ]
        assert messages[3] == "get_by_external_id: again in 1.00 s"

    @pytest.mark.parametrize("name", OPERATIONS)
    def test_nothing_of_a_customer_or_a_token_is_in_it(self, name: str, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level("DEBUG")
        ask, answer = OPERATIONS[name]
        ask(client_of(Script(refused(503), answer)))
        records = [record for record in own_records(caplog.records) if record.name != "asyncio"]
        assert {record.name for record in records} == {"customer_service.client"}
        line = re.compile(r"\w+: (again in [\d.]+ s|\d+ after [\d.]+ s, request id None)")
        assert all(line.fullmatch(record.getMessage()) for record in records)

    def test_it_is_silent_unless_asked(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level("INFO")
        client_of(Script(refused(503), found())).get(CUSTOMER_ID)
        assert own_records(caplog.records) == []


def page_of(cursor: str, *kinds: str, has_more: bool = False) -> httpx2.Response:
    """Return a page of changes."""
    changes = [{"type": kind, "id": "x", "customer": EXAMPLE if kind == "changed" else None} for kind in kinds]
    return httpx2.Response(200, json={"data": changes, "cursor": cursor, "hasMore": has_more})


class TestFollowing:
    """Page after page, and across errors that pass."""

    @pytest.fixture
    def clock(self, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Clock:
        monkeypatch.setattr(following, "time", clock)
        return clock

    def test_the_pages_come_behind_one_another(self, clock: Clock) -> None:
        script = Script(
            page_of("1", "changed", has_more=True), page_of("2", has_more=True), page_of("3", "deleted", "unreadable")
        )
        pages = client_of(script).follow()
        first, second, third = (next(pages) for _ in range(3))
        assert [(change.type, change.id, change.customer and change.customer.id) for change in first.data] == [
            ("changed", "x", CUSTOMER_ID)
        ]
        assert (second.data, second.hasMore, [change.customer for change in third.data]) == ((), True, [None, None])
        assert [dict(request.url.params) for request in script.requests] == [
            {"wait": "20"},
            {"wait": "20", "cursor": "1"},
            {"wait": "20", "cursor": "2"},
        ]
        assert clock.pauses == []

    def test_it_goes_on_behind_a_cursor(self, clock: Clock) -> None:
        script = Script(page_of("2"))
        next(client_of(script).follow("1"))
        assert script.requests[0].url.params["cursor"] == "1"
        assert clock.pauses == []

    @pytest.mark.parametrize(("takes", "pauses"), [(0.0, [1.0]), (20.0, [])])
    def test_an_empty_page_that_came_too_early_is_not_asked_for_again_at_once(
        self, clock: Clock, takes: float, pauses: list[float]
    ) -> None:
        pages = client_of(Script(page_of("1"), clock=clock, takes=takes)).follow()
        next(pages)
        next(pages)
        assert clock.pauses == pauses

    @pytest.mark.parametrize("outcome", [*PASSING, *BEFORE_ANYTHING])
    def test_what_passes_is_waited_for(self, clock: Clock, outcome: Outcome) -> None:
        """Beyond the deadline of a call, with pauses that grow, and from the last cursor that it got."""
        script = Script(page_of("1", "deleted"), *[outcome] * 300, page_of("2"), clock=clock)
        pages = client_of(script).follow()
        assert [next(pages).cursor, next(pages).cursor] == ["1", "2"]
        assert {request.url.params["cursor"] for request in script.requests[1:]} == {"1"}
        assert clock.now > 1000 + 2 * (operations.TIMEOUT_SECONDS + following.WAIT_SECONDS)
        assert max(clock.pauses) <= following.LONGEST_FOLLOW_PAUSE_SECONDS
        assert max(clock.pauses) > following.PAUSE_SECONDS

    def test_a_cursor_that_no_url_can_hold(self, clock: Clock) -> None:
        with pytest.raises(ValueError, match="these values do not fit into a URL"):
            next(client_of(Script(page_of("1"))).follow("x" * 70_000))
        assert clock.pauses == []

    @pytest.mark.parametrize("given", ["9" * 400, "9" * 30, "Fri, 31 Dec 9999 23:59:59 GMT"])
    def test_a_proxy_cannot_stop_it_for_ever(self, clock: Clock, given: str) -> None:
        script = Script(page_of("1", "deleted"), refused(503, retry_after=given), page_of("2"), clock=clock)
        pages = client_of(script).follow()
        assert [next(pages).cursor, next(pages).cursor] == ["1", "2"]
        assert clock.pauses == [3600]

    @pytest.mark.parametrize(
        ("outcome", "error"),
        [
            (refused(410, "cursor-expired"), CursorExpired),
            (refused(401, "invalid-token"), Unauthorized),
            (refused(403, "not-a-member"), NotAMember),
            (refused(422, "validation-error"), ValidationFailed),
            (refused(500, "internal-error"), ServerError),
            (refused(501, "changes-unsupported"), ServerError),
            (httpx2.Response(200, json={"data": []}), UnexpectedAnswer),
            (httpx2.UnsupportedProtocol("no scheme"), Unreachable),
            (httpx2.DecodingError("no gzip"), Unreachable),
        ],
    )
    def test_a_permanent_error_is_raised(self, clock: Clock, outcome: Outcome, error: type[ClientError]) -> None:
        pages = client_of(Script(page_of("1", "deleted"), outcome)).follow()
        next(pages)
        with pytest.raises(error):
            next(pages)
        assert clock.pauses == []

    def test_a_wrong_certificate_is_raised(self, clock: Clock) -> None:
        wrong = httpx2.ConnectError("verify failed")
        wrong.__cause__ = ssl.SSLCertVerificationError("it has expired")
        with pytest.raises(Unreachable):
            next(client_of(Script(wrong)).follow())
        assert clock.pauses == []

    def test_each_outage_is_logged_once(self, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
        lost = httpx2.ConnectError("refused")
        pages = client_of(
            Script(*[lost] * 200, page_of("1", "deleted"), *[lost] * 200, page_of("2"), clock=clock)
        ).follow()
        assert [next(pages).cursor, next(pages).cursor] == ["1", "2"]
        lines = [each.getMessage() for each in own_records(caplog.records) if each.levelname == "WARNING"]
        assert lines == ["follow: GET: ConnectError; it tries again until it is answered"] * 2

    def test_an_answer_is_awaited_for_longer_than_the_service_waits(self, clock: Clock) -> None:
        script = Script(page_of("1"), clock=clock)
        next(client_of(script, timeout=2).follow())
        (request,) = script.requests
        assert request.extensions["timeout"]["read"] > following.WAIT_SECONDS
