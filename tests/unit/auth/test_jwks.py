"""JwkSetKeys over a real socket: what it fetches, how often, and how it answers while its source fails."""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from customer_service import __version__
from customer_service.auth import jwks
from customer_service.auth.jwks import RETRY_SECONDS, STALE_SECONDS, JwkSetKeys
from customer_service.auth.keys import VerificationKey
from customer_service.errors import SigningKeysUnavailable
from tests.support import issuer
from tests.support.issuer import JwksServer
from tests.support.tokens import jwk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from http.server import BaseHTTPRequestHandler
    from pathlib import Path

pytestmark = pytest.mark.timed

PATIENCE = 10.0
PROMPT_SECONDS = 0.25


class Clock:
    """A clock that only the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def _direct(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server of a test is reached without the machine's proxy."""
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def server() -> Iterator[JwksServer]:
    publisher = JwksServer(jwk("P-256", kid="one"))
    yield publisher
    publisher.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def source(server: JwksServer, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> JwkSetKeys:
    """The keys of the server; an unknown kid waits for a fetch however slow the machine is."""
    monkeypatch.setattr(jwks, "UNKNOWN_KID_WAIT_SECONDS", PATIENCE)
    return JwkSetKeys(server.url, clock=clock)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fetch has little time."""
    monkeypatch.setattr(jwks, "FETCH_TIMEOUT_SECONDS", 0.4)


def settle(source: JwkSetKeys) -> None:
    """Wait until nothing is being fetched."""
    with source._changed:
        assert source._changed.wait_for(lambda: not source._fetching, PATIENCE)


def refetch(source: JwkSetKeys, clock: Clock) -> None:
    """Make an unknown kid ask for a fetch, and wait for its end."""
    clock.now += RETRY_SECONDS
    source.find("unknown", "ES256")
    settle(source)


class TestFetching:
    def test_the_first_use_fetches(self, source: JwkSetKeys, server: JwksServer) -> None:
        assert server.requests == []
        (key,) = source.find("one", "ES256")
        assert key.algorithms == ("ES256",)
        assert server.requests == ["/keys"]
        assert source.ready()

    def test_being_asked_whether_it_is_ready_fetches_without_waiting(
        self, source: JwkSetKeys, server: JwksServer
    ) -> None:
        server.answer = issuer.silent
        started = time.perf_counter()
        assert not source.ready()
        assert time.perf_counter() - started < PROMPT_SECONDS
        server.closing.set()
        settle(source)
        assert server.requests == ["/keys"]

    def test_known_keys_answer_from_memory(self, source: JwkSetKeys, server: JwksServer, clock: Clock) -> None:
        for _ in range(200):
            assert source.find("one", "ES256")
            clock.now += 60
        assert len(server.requests) == 1

    def test_twenty_threads_at_first_use_fetch_once(self, source: JwkSetKeys, server: JwksServer) -> None:
        start = threading.Barrier(20)

        def find(_: int) -> tuple[VerificationKey, ...]:
            start.wait()
            return source.find("one", "ES256")

        with ThreadPoolExecutor(20) as pool:
            assert all(pool.map(find, range(20)))
        assert len(server.requests) == 1

    def test_a_thread_that_comes_second_starts_nothing(self, source: JwkSetKeys) -> None:
        source.find("one", "ES256")
        assert (thread := source._thread)
        source._start()
        assert source._thread is thread

    def test_a_fetcher_that_a_fork_left_behind_is_started_anew(self, source: JwkSetKeys, server: JwksServer) -> None:
        source.find("one", "ES256")
        source._thread = threading.Thread()  # one that does not run
        assert source.find("one", "ES256")
        settle(source)
        assert len(server.requests) == 2

    def test_jwt_algorithms_narrow_the_keys(self, server: JwksServer) -> None:
        server.keys = [jwk("RSA", kid="rsa"), jwk("P-256", kid="ec")]
        narrowed = JwkSetKeys(server.url, ("PS256",))
        (key,) = narrowed.find("rsa", "PS256")
        assert key.algorithms == ("PS256",)
        assert narrowed.find("ec", "ES256") == ()

    def test_keys_are_refreshed_in_the_background(
        self, source: JwkSetKeys, server: JwksServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(jwks, "REFRESH_SECONDS", 0.01)
        assert source.find("one", "ES256")
        server.keys = [jwk("P-384", kid="two")]
        deadline = time.monotonic() + PATIENCE
        while "two" not in source._keys and time.monotonic() < deadline:
            time.sleep(0.005)
        assert list(source._keys) == ["two"]

    def test_a_failed_fetch_is_tried_again_in_the_background(
        self, source: JwkSetKeys, server: JwksServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(jwks, "RETRY_SECONDS", 0.01)
        server.answer = issuer.refuse
        source.ready()
        settle(source)
        server.answer = issuer.publish
        deadline = time.monotonic() + PATIENCE
        while not source.ready() and time.monotonic() < deadline:
            time.sleep(0.005)
        assert source.ready()


class TestRotation:
    def test_a_new_kid_is_found_by_one_fetch(self, source: JwkSetKeys, server: JwksServer, clock: Clock) -> None:
        source.find("one", "ES256")
        server.keys = [jwk("P-384", kid="two")]
        clock.now += RETRY_SECONDS
        with ThreadPoolExecutor(20) as pool:
            assert all(pool.map(source.find, ["two"] * 20, ["ES384"] * 20))
        assert len(server.requests) == 2
        assert source.find("one", "ES256") == ()

    def test_unknown_kids_fetch_at_most_once_in_thirty_seconds(
        self, source: JwkSetKeys, server: JwksServer, clock: Clock
    ) -> None:
        source.find("one", "ES256")
        for elapsed, fetches in ((0.0, 1), (RETRY_SECONDS - 0.1, 1), (0.1, 2), (RETRY_SECONDS - 0.1, 2), (0.1, 3)):
            clock.now += elapsed
            with ThreadPoolExecutor(20) as pool:
                assert not any(pool.map(source.find, (f"{elapsed}-{number}" for number in range(200)), ["ES256"] * 200))
            assert len(server.requests) == fetches

    def test_unknown_kids_cost_no_time_once_a_fetch_was_made(self, source: JwkSetKeys) -> None:
        source.find("one", "ES256")
        started = time.perf_counter()
        for number in range(200):
            assert source.find(str(number), "ES256") == ()
        assert time.perf_counter() - started < PATIENCE / 2

    def test_a_set_replaced_amid_a_look_up_is_no_error(self, source: JwkSetKeys) -> None:
        source.find("one", "ES256")

        class Replaced(dict[str | None, tuple[VerificationKey, ...]]):
            def __contains__(self, kid: object) -> bool:
                source._keys = {}
                return super().__contains__(kid)

        source._keys = Replaced(source._keys)
        assert source.find("one", "ES256")


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("answer", issuer.BAD_ANSWERS, ids=lambda answer: answer.__name__)
class TestTrouble:
    def test_stale_keys_are_served(
        self, source: JwkSetKeys, server: JwksServer, clock: Clock, answer: issuer.Answer
    ) -> None:
        source.find("one", "ES256")
        server.answer = answer
        refetch(source, clock)
        assert len(server.requests) == 2
        assert source.ready()
        assert source.find("one", "ES256")
        server.answer = issuer.publish
        server.keys.append(jwk("P-384", kid="two"))
        clock.now += RETRY_SECONDS
        assert source.find("two", "ES384")

    def test_a_source_that_never_answered_well_is_unavailable(
        self, source: JwkSetKeys, server: JwksServer, clock: Clock, answer: issuer.Answer
    ) -> None:
        server.answer = answer
        started = time.perf_counter()
        for _ in range(2):
            with pytest.raises(SigningKeysUnavailable):
                source.find("one", "ES256")
        assert not source.ready()
        assert time.perf_counter() - started < PATIENCE / 2
        settle(source)
        server.answer = issuer.publish
        clock.now += RETRY_SECONDS
        assert source.find("one", "ES256")


def said(source: JwkSetKeys, caplog: pytest.LogCaptureFixture) -> list[tuple[int, str]]:
    """Return the level and the text of what the source's own thread logged."""
    assert source._thread
    return [(each.levelno, each.getMessage()) for each in caplog.records if each.thread == source._thread.ident]


NO_KEYS = (logging.WARNING, "JWK set not usable: the JWK set has no key that verifies signatures")


class TestOddSets:
    """One odd key takes no other with it, and the log says once which key is dropped and why."""

    @pytest.fixture(autouse=True)
    def _all_levels(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO, "customer_service.auth.jwks")

    @pytest.mark.parametrize(
        ("odd", "line"),
        [
            ({"kty": "oct", "kid": "odd", "k": "hush" * 8}, (logging.ERROR, "it is a symmetric or private key, which")),
            (jwk("RSA", kid="odd", alg="none"), (logging.WARNING, "its alg is not one of RS256")),
            (jwk("RSA", kid="odd", use="enc"), (logging.INFO, "its use is not sig")),
        ],
        ids=["secret", "alg none", "encryption"],
    )
    def test_an_odd_key_is_dropped_alone(
        self, source: JwkSetKeys, server: JwksServer, caplog: pytest.LogCaptureFixture, odd: Any, line: Any
    ) -> None:
        server.keys.append(odd)
        assert source.find("one", "ES256")
        assert source.find("odd", "RS256") == ()
        assert source.failures == 0
        ((level, text),) = said(source, caplog)
        assert level == line[0]
        assert text.startswith(f"JWK dropped, kid 'odd': {line[1]}")
        assert "hush" not in text

    def test_a_kid_that_becomes_double_changes_nothing(
        self, source: JwkSetKeys, server: JwksServer, clock: Clock, caplog: pytest.LogCaptureFixture
    ) -> None:
        source.find("one", "ES256")
        server.keys = [jwk("P-384", kid="two"), jwk("RSA", kid="one"), jwk("P-256", kid="one"), jwk("P-256", kid="one")]
        refetch(source, clock)
        assert [len(source.find("one", alg)) for alg in ("ES256", "RS256")] == [1, 1]
        assert source.find("two", "ES384")
        assert said(source, caplog) == []

    def test_a_key_that_stays_odd_is_logged_once(
        self, source: JwkSetKeys, server: JwksServer, clock: Clock, caplog: pytest.LogCaptureFixture
    ) -> None:
        server.keys.append(jwk("RSA", kid="odd", alg="none"))
        source.find("one", "ES256")
        (line,) = said(source, caplog)
        refetch(source, clock)
        assert said(source, caplog) == [line]
        (odd,) = [key for key in server.keys if key["kid"] == "odd"]
        server.keys.remove(odd)
        refetch(source, clock)
        server.keys.append(odd)
        refetch(source, clock)
        assert said(source, caplog) == [line, line]

    def test_without_any_usable_key_the_last_good_set_stays(
        self, source: JwkSetKeys, server: JwksServer, clock: Clock, caplog: pytest.LogCaptureFixture
    ) -> None:
        source.find("one", "ES256")
        server.keys = [jwk("P-384", kid="two", use="enc")]
        refetch(source, clock)
        assert source.find("one", "ES256")
        assert source.find("two", "ES384") == ()
        assert source.failures == 1
        assert said(source, caplog) == [(logging.INFO, "JWK dropped, kid 'two': its use is not sig"), NO_KEYS]


class TestChoice:
    """The keys that a token is tried against are those of its `kid` that fit its `alg`."""

    KEYS = (
        *(jwk("RSA", kid="a", alg="RS256"), jwk("other RSA", kid="a"), jwk("P-256", kid="a")),
        *(jwk("P-384"), jwk("P-256"), jwk("other P-256", kid="")),
    )

    @pytest.mark.parametrize(
        ("kid", "algorithm", "found"),
        [
            ("a", "RS256", 2),
            ("a", "PS256", 1),
            ("a", "ES256", 1),
            ("a", "ES384", 0),
            ("a", "HS256", 0),
            ("a", "none", 0),
            ("b", "RS256", 0),
            (None, "ES256", 2),
            ("", "ES256", 2),
            (None, "ES384", 1),
            (None, "RS256", 0),
            ("a", None, 0),
            ("a", ["RS256"], 0),
            ("a", {}, 0),
        ],
    )
    def test_the_keys(
        self, source: JwkSetKeys, server: JwksServer, kid: str | None, algorithm: object, found: int
    ) -> None:
        server.keys = list(self.KEYS)
        assert len(source.find(kid, algorithm)) == found


class TestRequest:
    def test_it_names_the_service(self, source: JwkSetKeys, server: JwksServer) -> None:
        agents: list[str | None] = []

        def strict(publisher: JwksServer, request: BaseHTTPRequestHandler) -> None:
            agents.append(request.headers["User-Agent"])
            issuer.publish(publisher, request)

        server.answer = strict
        assert source.find("one", "ES256")
        assert agents == [f"customer-service/{__version__}"]

    @pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "all_proxy"])
    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
    def test_a_key_set_on_this_machine_does_not_come_from_a_proxy(
        self, server: JwksServer, monkeypatch: pytest.MonkeyPatch, name: str, host: str
    ) -> None:
        proxy = JwksServer(jwk("P-384", kid="of the proxy"))
        try:
            for exempt in ("no_proxy", "NO_PROXY"):
                monkeypatch.delenv(exempt, raising=False)
            monkeypatch.setenv(name, proxy.url)
            source = JwkSetKeys(server.url.replace("127.0.0.1", host))
            assert source.find("one", "ES256")
            assert source.find("of the proxy", "ES384") == ()
            assert proxy.requests == []
        finally:
            proxy.close()


class TestOutage:
    def test_keys_are_served_for_a_day(self, source: JwkSetKeys, server: JwksServer, clock: Clock) -> None:
        source.find("one", "ES256")
        server.answer = issuer.refuse
        clock.now += STALE_SECONDS - 1
        assert source.ready()
        assert source.find("one", "ES256")
        clock.now += 1
        assert not source.ready()
        with pytest.raises(SigningKeysUnavailable):
            source.find("one", "ES256")
        server.answer = issuer.publish
        clock.now += RETRY_SECONDS
        assert source.find("one", "ES256")
        assert source.ready()

    def test_a_known_kid_does_not_wait_for_a_source_that_hangs(self, server: JwksServer, clock: Clock) -> None:
        source = JwkSetKeys(server.url, clock=clock)
        source.find("one", "ES256")
        server.answer = issuer.silent
        clock.now += RETRY_SECONDS
        started = time.perf_counter()
        assert source.find("unknown", "ES256") == ()
        assert time.perf_counter() - started < 4 * jwks.UNKNOWN_KID_WAIT_SECONDS
        assert source._fetching
        started = time.perf_counter()
        assert source.find("one", "ES256")
        assert source.ready()
        assert time.perf_counter() - started < PROMPT_SECONDS

    def test_a_port_without_a_listener_is_unavailable(self, server: JwksServer) -> None:
        server.close()
        with pytest.raises(SigningKeysUnavailable):
            JwkSetKeys(server.url).find("one", "ES256")

    @pytest.mark.parametrize("url", ["http://127.0.0.1:99999/", "http://127.0.0.1/a b", "https://ñ..x/"])
    def test_an_address_that_is_none_is_unavailable(self, url: str) -> None:
        with pytest.raises(SigningKeysUnavailable):
            JwkSetKeys(url).find("one", "ES256")


@pytest.fixture
def secure_server(tmp_path: Path) -> Iterator[Any]:
    """A server with a certificate, and the file that holds the certificate."""
    chain = tmp_path / "chain.pem"
    publisher = JwksServer(jwk("P-256", kid="one"), tls=issuer.certify(chain))
    yield publisher, chain
    publisher.close()


class TestTls:
    def test_a_certificate_that_is_trusted_is_enough(self, secure_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        server, chain = secure_server
        monkeypatch.setenv("SSL_CERT_FILE", str(chain))
        assert JwkSetKeys(server.url).find("one", "ES256")

    def test_a_certificate_that_is_not_trusted_is_refused(self, secure_server: Any) -> None:
        with pytest.raises(SigningKeysUnavailable):
            JwkSetKeys(secure_server[0].url).find("one", "ES256")
        assert secure_server[0].requests == []

    @pytest.mark.usefixtures("hasty")
    def test_a_slow_source_is_hung_up_on(self, secure_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        server, chain = secure_server
        monkeypatch.setenv("SSL_CERT_FILE", str(chain))
        server.answer = issuer.drip_header
        source = JwkSetKeys(server.url)
        with pytest.raises(SigningKeysUnavailable):
            source.find("one", "ES256")
        settle(source)
        assert server.requests == ["/keys"]
