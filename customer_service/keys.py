"""The keys that verify tokens: one secret, one public key, or a JWK set that a server publishes."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import TYPE_CHECKING, Any, Protocol, cast

import jwt
import orjson
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from customer_service.errors import SettingsError, SigningKeysUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jwt.algorithms import AllowedPublicKeys

    from customer_service.settings import JwtSettings

MINIMUM_RSA_BITS = 2048  # RFC 7518, sections 3.3 and 3.5
CURVE_ALGORITHMS = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512", "secp256k1": "ES256K"}
SECRET_ALGORITHMS = ("HS256",)
RSA_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")

FETCH_TIMEOUT_SECONDS = 2.0
MAXIMUM_SET_BYTES = 1_000_000
REFRESH_SECONDS = 300.0
RETRY_SECONDS = 30.0
STALE_SECONDS = 24 * 3600.0
UNKNOWN_KID_WAIT_SECONDS = 0.25

logger = logging.getLogger(__name__)


class UnusableKey(Exception):
    """The key material is not one that tokens can be verified with; the message is the reason."""


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A key, parsed once, with the JWS algorithms that its kind allows."""

    material: AllowedPublicKeys | bytes
    algorithms: tuple[str, ...]

    def narrowed(self, allowed: tuple[str, ...]) -> VerificationKey:
        """Keep only the `allowed` algorithms, or all where none are named; raises UnusableKey if none is left."""
        kept = tuple(name for name in self.algorithms if not allowed or name in allowed)
        if not kept:
            raise UnusableKey(f"this key allows {', '.join(self.algorithms)}")
        return VerificationKey(self.material, kept)


class KeySource(Protocol):
    """Where TokenVerifier finds the key that a token's `kid` names."""

    def find(self, kid: str | None) -> VerificationKey | None:
        """Return the key, or None where there is none; raises SigningKeysUnavailable."""

    def ready(self) -> bool:
        """Whether tokens can be judged at this moment."""


@dataclass(frozen=True, slots=True)
class SingleKey:
    """The one key of `JWT_SECRET` or `JWT_PUBLIC_KEY`; a token's `kid` says nothing about it."""

    key: VerificationKey

    def find(self, kid: str | None) -> VerificationKey | None:  # noqa: ARG002 - the protocol's signature
        """Return the key."""
        return self.key

    def ready(self) -> bool:
        """Return True: nothing has to be fetched."""
        return True


class JwkSetKeys:
    """The keys of a JWK set at a URL (RFC 7517), fetched in the background and kept while the source is down.

    Known keys answer from memory for up to 24 hours after the last good fetch. An unknown `kid` asks for a
    fetch, at most one in 30 seconds whoever asks, and waits for it a moment. No lock is held while fetching.
    """

    def __init__(self, url: str, allowed: tuple[str, ...] = (), clock: Callable[[], float] = time.monotonic) -> None:
        """Remember where the set is; nothing is fetched before the first use."""
        self._url = url
        self._allowed = allowed
        self._clock = clock
        self._keys: Mapping[str | None, VerificationKey] = {}
        self._fetched_at: float | None = None
        self._attempted_at: float | None = None
        self._fetching = True
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def find(self, kid: str | None) -> VerificationKey | None:
        """Return the key named `kid`, or None; raises SigningKeysUnavailable where no set is at hand."""
        key = self._keys.get(kid) if self.ready() else None
        if key is not None:
            return key
        self._wait_for_fetch()
        if not self.ready():
            raise SigningKeysUnavailable
        return self._keys.get(kid)

    def ready(self) -> bool:
        """Whether a set fetched less than 24 hours ago is at hand; never waits."""
        if self._thread is None:
            self._start()
        return self._fetched_at is not None and self._clock() - self._fetched_at < STALE_SECONDS

    def _start(self) -> None:
        with self._changed:
            if self._thread is None:
                self._thread = threading.Thread(target=self._fetch_for_ever, name="jwks", daemon=True)
                self._thread.start()

    def _wait_for_fetch(self) -> None:
        """Wake the fetcher where a fetch is due, and wait a moment for what it finds."""
        with self._changed:
            patience = FETCH_TIMEOUT_SECONDS if self._attempted_at is None else UNKNOWN_KID_WAIT_SECONDS
            if self._attempted_at is not None and self._clock() - self._attempted_at >= RETRY_SECONDS:
                self._fetching = True
                self._changed.notify_all()
            self._changed.wait_for(lambda: not self._fetching, patience)

    def _fetch_for_ever(self) -> None:
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

    def _fetch(self) -> Mapping[str | None, VerificationKey] | None:
        try:
            return parse_jwk_set(fetch(self._url), self._allowed)
        except (OSError, HTTPException, ValueError, UnusableKey) as error:
            logger.warning("JWK set not usable: %s", type(error).__name__)
            return None


def key_source(settings: JwtSettings) -> KeySource:
    """Return the source of the keys that the settings name; raises SettingsError."""
    if settings.jwks_url is not None:
        return JwkSetKeys(settings.jwks_url, settings.algorithms)
    if settings.secret is not None:
        name, key = "JWT_SECRET", _secret(settings.secret)
    else:
        name, key = "JWT_PUBLIC_KEY", _public_key(settings.public_key or "")
    try:
        return SingleKey(key.narrowed(settings.algorithms))
    except UnusableKey as error:
        raise SettingsError(f"JWT_ALGORITHMS: {error} ({name})") from None


def fetch(url: str) -> bytes:
    """Return what the URL answers, without following redirects; raises OSError, HTTPException or ValueError.

    Connecting and all that follows each have FETCH_TIMEOUT_SECONDS, and the body at most MAXIMUM_SET_BYTES.
    """
    request = urllib.request.Request(url, headers={"Accept": "application/jwk-set+json, application/json"})  # noqa: S310 - JwtSettings admits only https and loopback http
    with urllib.request.build_opener(_Handler, _NoRedirect).open(request, timeout=FETCH_TIMEOUT_SECONDS) as response:
        body: bytes = response.read(MAXIMUM_SET_BYTES + 1)
    if len(body) > MAXIMUM_SET_BYTES:
        raise ValueError("the JWK set is too large")
    return body


def parse_jwk_set(text: bytes, allowed: tuple[str, ...] = ()) -> dict[str | None, VerificationKey]:
    """Return the keys of a JWK set by their `kid`, leaving out those that cannot verify a signature.

    Raises UnusableKey for a set that is not one, that has a symmetric key or one `kid` twice, or in which no
    key is left: who mixes these up is not to be trusted with the rest (RFC 8725, section 3.5).
    """
    document = orjson.loads(text)
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise UnusableKey("not a JWK set")
    keys: dict[str | None, VerificationKey] = {}
    for entry in entries:
        if entry.get("kty") == "oct":
            raise UnusableKey("the JWK set publishes a symmetric key")
        key = _signing_key(entry, allowed)
        if key is not None and entry.get("kid") in keys:
            raise UnusableKey("the JWK set has one kid twice")
        if key is not None:
            keys[entry.get("kid")] = key
    if not keys:
        raise UnusableKey("the JWK set has no key that verifies signatures")
    return keys


class _Connection(HTTPConnection):
    """Is hung up after FETCH_TIMEOUT_SECONDS: a socket's own timeout begins anew with every byte of a slow source."""

    def connect(self) -> None:
        """Connect, and set the time."""
        super().connect()
        timer = threading.Timer(FETCH_TIMEOUT_SECONDS, _hang_up, (self.sock,))
        timer.daemon = True
        timer.start()


class _SecureConnection(_Connection, HTTPSConnection):
    """The same over TLS."""


class _Handler(urllib.request.HTTPSHandler, urllib.request.HTTPHandler):
    """Opens URLs over connections that are hung up in time."""

    def http_open(self, request: urllib.request.Request) -> HTTPResponse:
        """Open a URL on this machine."""
        return self.do_open(_Connection, request)

    def https_open(self, request: urllib.request.Request) -> HTTPResponse:
        """Open any other URL."""
        return self.do_open(_SecureConnection, request)


def _hang_up(connection: socket.socket) -> None:
    with suppress(OSError):
        socket.socket.shutdown(connection, socket.SHUT_RDWR)  # an SSLSocket's own would change it under its reader


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Makes a redirect an HTTPError, as any other answer that is not the set."""

    def redirect_request(self, *_: object) -> None:
        """Return None: the redirect is not followed."""


def _signing_key(jwk: dict[str, Any], allowed: tuple[str, ...]) -> VerificationKey | None:
    """Return the key of a JWK that may verify signatures, or None (RFC 7517, sections 4.2 to 4.5)."""
    operations = jwk.get("key_ops", ["verify"])
    if jwk.get("use", "sig") != "sig" or not isinstance(operations, list) or "verify" not in operations:
        return None
    if "d" in jwk or not isinstance(jwk.get("kid"), str | None):
        return None
    members = {name: value for name, value in jwk.items() if name != "alg" and isinstance(value, str)}
    try:
        material = jwt.PyJWK(members, "EdDSA" if jwk.get("kty") == "OKP" else None).key
        key = VerificationKey(material, _algorithms(material))
        return key.narrowed(allowed).narrowed((jwk["alg"],) if "alg" in jwk else ())
    except (jwt.PyJWTError, UnusableKey, UnsupportedAlgorithm, ValueError, TypeError, KeyError):
        return None


def _secret(secret: str) -> VerificationKey:
    material = os.fsencode(secret)
    try:
        jwt.get_algorithm_by_name(SECRET_ALGORITHMS[0]).prepare_key(material)
    except jwt.InvalidKeyError:
        raise SettingsError("JWT_SECRET: is a public key; set JWT_PUBLIC_KEY instead") from None
    return VerificationKey(material, SECRET_ALGORITHMS)


def _public_key(pem: str) -> VerificationKey:
    try:
        material = load_pem_public_key(pem.encode())
        return VerificationKey(cast("AllowedPublicKeys", material), _algorithms(material))
    except (UnusableKey, UnsupportedAlgorithm, ValueError) as error:
        reason = str(error) if isinstance(error, UnusableKey) else "is not a public key in PEM"
        raise SettingsError(f"JWT_PUBLIC_KEY: {reason}") from None


def _algorithms(material: object) -> tuple[str, ...]:
    """Return the JWS algorithms that this kind of public key verifies; raises UnusableKey."""
    if isinstance(material, RSAPublicKey):
        if material.key_size < MINIMUM_RSA_BITS:
            raise UnusableKey(f"is an RSA key of fewer than {MINIMUM_RSA_BITS} bits")
        return RSA_ALGORITHMS
    if isinstance(material, EllipticCurvePublicKey) and material.curve.name in CURVE_ALGORITHMS:
        return (CURVE_ALGORITHMS[material.curve.name],)
    if isinstance(material, Ed25519PublicKey | Ed448PublicKey):
        return ("EdDSA",)
    raise UnusableKey("is a key of a kind that no supported algorithm verifies with")
