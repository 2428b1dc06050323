"""The JWK set of an issuer: fetched in the background, and used for a day while its source is down."""

from __future__ import annotations

import logging
import socket
import threading
import time
import urllib.request
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import TYPE_CHECKING

from customer_service import __version__
from customer_service.auth.keys import UnusableKey, VerificationKey, parse_jwk_set
from customer_service.errors import SigningKeysUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from customer_service.auth.keys import DroppedKey

    KeysByKid = Mapping[str | None, tuple[VerificationKey, ...]]

FETCH_TIMEOUT_SECONDS = 2.0
MAXIMUM_SET_BYTES = 1_000_000
REFRESH_SECONDS = 300.0
RETRY_SECONDS = 30.0
STALE_SECONDS = 24 * 3600.0
UNKNOWN_KID_WAIT_SECONDS = 0.25
FETCH_HEADERS = {
    "Accept": "application/jwk-set+json, application/json",
    "User-Agent": f"customer-service/{__version__}",  # Python's own is refused by a common CDN
}

logger = logging.getLogger(__name__)


class JwkSetKeys:
    """The keys of the JWK set at a URL (RFC 7517), fetched by a background thread.

    design: known keys are used for STALE_SECONDS after the last successful fetch, without waiting. An unknown `kid`
    causes a fetch, at most one in RETRY_SECONDS for all callers together, and waits for it for
    UNKNOWN_KID_WAIT_SECONDS. No lock is held while fetching. `failures` counts the fetches without a usable set.
    """

    def __init__(self, url: str, allowed: tuple[str, ...] = (), clock: Callable[[], float] = time.monotonic) -> None:
        """Use the set at this URL; nothing is fetched before the first use."""
        self.failures = 0
        self._url = url
        self._allowed = allowed
        self._clock = clock
        self._keys: KeysByKid = {}
        self._reported: frozenset[str] = frozenset()
        self._fetched_at: float | None = None
        self._attempted_at: float | None = None
        self._fetching = True
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def find(self, kid: str | None, algorithm: object) -> tuple[VerificationKey, ...]:
        """Return the keys for a token's `kid` and `alg`; raises SigningKeysUnavailable if there is no set.

        For a token without `kid`, or with an empty one, these are the keys without `kid`.
        """
        found = self._fitting(kid, algorithm) if self.ready() else ()
        if found:
            return found
        self._wait_for_fetch()
        if not self.ready():
            raise SigningKeysUnavailable
        return self._fitting(kid, algorithm)

    def ready(self) -> bool:
        """Return whether a set was fetched in the last STALE_SECONDS, without waiting."""
        if not self._runs():
            self._start()
        return self.age() < STALE_SECONDS

    def age(self) -> float:
        """Return how many seconds ago the set was fetched; infinity if it never was."""
        return float("inf") if self._fetched_at is None else self._clock() - self._fetched_at

    def _fitting(self, kid: str | None, algorithm: object) -> tuple[VerificationKey, ...]:
        return tuple(key for key in self._keys.get(kid or None, ()) if algorithm in key.algorithms)

    def _runs(self) -> bool:
        """Return whether the fetching thread is alive; a forked process does not have it."""
        return self._thread is not None and self._thread.is_alive()

    def _start(self) -> None:
        with self._changed:
            if not self._runs():
                self._fetching = True
                self._thread = threading.Thread(target=self._fetch_forever, name="jwks", daemon=True)
                self._thread.start()

    def _wait_for_fetch(self) -> None:
        """Wake the fetching thread if a fetch is due, and wait a moment for its result."""
        with self._changed:
            timeout = FETCH_TIMEOUT_SECONDS if self._attempted_at is None else UNKNOWN_KID_WAIT_SECONDS
            if self._attempted_at is not None and self._clock() - self._attempted_at >= RETRY_SECONDS:
                self._fetching = True
                self._changed.notify_all()
            self._changed.wait_for(lambda: not self._fetching, timeout)

    def _fetch_forever(self) -> None:
        while True:
            keys = self._fetch()
            with self._changed:
                self._attempted_at = self._clock()
                if keys is not None:
                    self._keys, self._fetched_at = keys, self._attempted_at
                self._fetching = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._fetching, RETRY_SECONDS if keys is None else REFRESH_SECONDS)
                self._fetching = True

    def _fetch(self) -> KeysByKid | None:
        try:
            keys, dropped = parse_jwk_set(fetch(self._url), self._allowed)
            self._report(dropped)
            if not keys:
                raise UnusableKey("the JWK set has no key that verifies signatures")  # noqa: TRY301 - as parse_jwk_set's own
        except (OSError, HTTPException, ValueError, UnusableKey) as error:
            self.failures += 1
            logger.warning("JWK set not usable: %s", error if isinstance(error, UnusableKey) else type(error).__name__)
            return None
        return keys

    def _report(self, dropped: Iterable[DroppedKey]) -> None:
        """Log each dropped key once while it is published."""
        lines = {f"{name}: {reason}": reason.level for name, reason in dropped}
        for line, level in lines.items():
            if line not in self._reported:
                logger.log(level, "JWK dropped, %s", line)
        self._reported = frozenset(lines)


def fetch(url: str) -> bytes:
    """Return the body of the URL, without following redirects; raises OSError, HTTPException or ValueError.

    The transfer may take FETCH_TIMEOUT_SECONDS; each step of connecting has the same timeout. The body has at most
    MAXIMUM_SET_BYTES.
    """
    request = urllib.request.Request(url, headers=FETCH_HEADERS)  # noqa: S310 - JwtSettings admits only https and loopback http
    handlers = [_Handler(), _NoRedirect()]
    if request.type == "http":  # on this machine: a proxy from the environment could return its own keys
        handlers.append(urllib.request.ProxyHandler({}))
    with urllib.request.build_opener(*handlers).open(request, timeout=FETCH_TIMEOUT_SECONDS) as response:
        body: bytes = response.read(MAXIMUM_SET_BYTES + 1)
    if len(body) > MAXIMUM_SET_BYTES:
        raise ValueError("the JWK set is too large")
    return body


class _Connection(HTTPConnection):
    """A connection that is closed after FETCH_TIMEOUT_SECONDS: a socket's own timeout restarts with every byte."""

    def connect(self) -> None:
        """Connect, and start the timer."""
        super().connect()
        timer = threading.Timer(FETCH_TIMEOUT_SECONDS, _shut_down, (self.sock,))
        timer.daemon = True
        timer.start()


class _SecureConnection(_Connection, HTTPSConnection):
    """The same over TLS."""


class _Handler(urllib.request.HTTPSHandler, urllib.request.HTTPHandler):
    """Opens URLs over connections with a total timeout."""

    def http_open(self, request: urllib.request.Request) -> HTTPResponse:
        """Open a URL on this machine."""
        return self.do_open(_Connection, request)

    def https_open(self, request: urllib.request.Request) -> HTTPResponse:
        """Open any other URL."""
        return self.do_open(_SecureConnection, request)


def _shut_down(connection: socket.socket) -> None:
    with suppress(OSError):
        socket.socket.shutdown(connection, socket.SHUT_RDWR)  # an SSLSocket's own would change it under its reader


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Makes a redirect an HTTPError, as any other response that is not the set."""

    def redirect_request(self, *_: object) -> None:
        """Return None: the redirect is not followed."""
