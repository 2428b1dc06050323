"""Bearer tokens: strict verification of JSON Web Tokens (RFC 7519, RFC 8725), and tokens for development."""

from __future__ import annotations

import base64
import os
import re
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import jwt
import orjson
from jwt.algorithms import OKPAlgorithm

from customer_service.auth.jwks import JwkSetKeys
from customer_service.auth.keys import SECRET_ALGORITHMS, single_key
from customer_service.digests import digest
from customer_service.errors import ExpiredToken, InvalidToken, SettingsError
from customer_service.fiscal.characters import UNSTORABLE
from customer_service.repository import MAXIMUM_USER_ID_LENGTH
from customer_service.repository.expiring_cache import Cache

if TYPE_CHECKING:
    from jwt.types import Options

    from customer_service.auth.keys import KeySource, VerificationKey
    from customer_service.settings import JwtSettings

MAXIMUM_TOKEN_LENGTH = 8192
COMPACT_FORM = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)
SHOWN_CHARACTERS = 200
DECODE_OPTIONS: Options = {
    "require": ["exp", "sub"],
    "verify_iat": False,
    "verify_aud": False,  # TokenVerifier checks it, in the claim of the settings
    "enforce_minimum_key_length": True,
}

for _name in ("Ed25519", "Ed448"):  # the names of RFC 9864 for EdDSA with each curve
    with suppress(ValueError):  # raised by a release of PyJWT that knows the name
        jwt.register_algorithm(_name, OKPAlgorithm())


class VerifiedToken(NamedTuple):
    """The subject of a verified token, its end in seconds since 1970, and the key that verified it."""

    subject: str
    expires: float
    kid: str | None
    algorithm: str
    key: VerificationKey


class TokenVerifier:
    """Verifies tokens by the settings, and returns their subjects."""

    def __init__(self, settings: JwtSettings, keys: KeySource | None = None, cache_entries: int = 0) -> None:
        """Parse the keys, and cache up to so many verified tokens; raises SettingsError."""
        self.keys = keys or key_source(settings)
        self.verified: Cache[VerifiedToken] = Cache(cache_entries)
        self._expected = _expected_claims(settings)
        self._leeway = settings.leeway_seconds

    def verify(self, token: str) -> str:
        """Return the subject of a valid token.

        Raises InvalidToken, ExpiredToken or SigningKeysUnavailable.
        """
        if len(token) > MAXIMUM_TOKEN_LENGTH or not COMPACT_FORM.fullmatch(token):
            raise InvalidToken("not a JWS in compact form")
        key = digest(token.encode())
        cached = self.verified.get(key)
        if cached is not None and cached.expires > time.time() and self._has_key_of(cached):
            return cached.subject
        try:
            return self.verified.load(key, partial(self._verify_uncached, token)).subject
        except jwt.ExpiredSignatureError:
            raise ExpiredToken("exp is in the past") from None
        except jwt.PyJWTError as error:
            raise InvalidToken(type(error).__name__) from None

    def ready(self) -> bool:
        """Return whether tokens can be verified at this moment."""
        return self.keys.ready()

    def _has_key_of(self, token: VerifiedToken) -> bool:
        return any(key is token.key for key in self.keys.find(token.kid, token.algorithm))

    def _verify_uncached(self, token: str) -> VerifiedToken:
        header = _strict_object(token, 0)
        if "crit" in header or "b64" in header:
            raise InvalidToken("critical header parameters")
        kid, algorithm = header.get("kid"), header.get("alg")
        if not isinstance(kid, str | None):
            raise InvalidToken("kid is not a string")
        _require_strict_claims(token)
        keys = self.keys.find(kid, algorithm)
        if not keys:
            raise InvalidToken("unknown kid, or none of its keys fits the alg")
        key, claims = self._decode_with_any(token, keys)
        self._check(claims)
        return VerifiedToken(claims["sub"], int(claims["exp"]) + self._leeway, kid, cast("str", algorithm), key)

    def _decode_with_any(self, token: str, keys: tuple[VerificationKey, ...]) -> tuple[VerificationKey, dict[str, Any]]:
        """Return the key that the token is signed with, and its claims; raises PyJWTError."""
        *others, last = keys
        for key in others:
            with suppress(jwt.InvalidSignatureError):
                return key, self._decode(token, key)
        return last, self._decode(token, last)

    def _decode(self, token: str, key: VerificationKey) -> dict[str, Any]:
        return jwt.decode(token, key.material, key.algorithms, DECODE_OPTIONS, leeway=self._leeway)

    def _check(self, claims: dict[str, Any]) -> None:
        """Raise InvalidToken for an issuer, an audience or a subject that is not accepted."""
        for name, expected in self._expected.items():
            _check_name(name, claims.get(name), expected)
        if not is_valid_subject(claims["sub"]):
            raise InvalidToken("sub is empty, too long or has control characters")


def _expected_claims(settings: JwtSettings) -> dict[str, str]:
    """Return the claims that a token must have by the settings: the issuer and the audience."""
    expected = {"iss": settings.issuer, settings.audience_claim: settings.audience}
    return {name: value for name, value in expected.items() if value is not None}


def _check_name(claim: str, received: object, expected: str) -> None:
    """Raise InvalidToken unless the claim is the expected string, or a list of strings that contains it.

    `iss` is never a list. The message has the received value: the issuer signed it, so it is not an attacker's text.
    """
    is_list = isinstance(received, list) and claim != "iss" and all(isinstance(each, str) for each in received)
    if received == expected or (is_list and expected in cast("list[str]", received)):
        return
    shown = ascii(received) if is_list or isinstance(received, str) else f"of type {type(received).__name__}"
    raise InvalidToken(
        f"{claim} is {'absent' if received is None else shown[:SHOWN_CHARACTERS]}, expected {expected!a}"
    )


def is_valid_subject(text: str) -> bool:
    """Return whether this text may be the subject of a token."""
    return 0 < len(text) <= MAXIMUM_USER_ID_LENGTH and not UNSTORABLE.search(text)


def key_source(settings: JwtSettings) -> KeySource:
    """Return the source of the keys that the settings name; raises SettingsError."""
    if settings.jwks_url is not None:
        return JwkSetKeys(settings.jwks_url, settings.algorithms)
    return single_key(settings)


def _require_strict_claims(token: str) -> None:
    """Raise DecodeError unless the claims are strict JSON with times that are numbers.

    PyJWT would accept "1" and true as times. Nothing else is done with the claims before the signature is verified.
    """
    claims = _strict_object(token, 1)
    for name in ("exp", "nbf"):
        if name in claims and type(claims[name]) not in (int, float):
            raise jwt.DecodeError(f"{name} is not a number")


def _strict_object(token: str, place: int) -> dict[str, Any]:
    """Return the JSON object in a segment of the token.

    PyJWT would accept UTF-16, a byte order mark and NaN (RFC 7515, section 5.2).
    """
    try:
        value = orjson.loads(base64.urlsafe_b64decode(token.split(".")[place] + "=="))
    except ValueError:
        raise jwt.DecodeError("not JSON in base64url") from None
    if not isinstance(value, dict):
        raise jwt.DecodeError("not a JSON object")
    return value


def mint(settings: JwtSettings, subject: str, lifetime_seconds: int) -> str:
    """Return a token for `subject` that these settings accept.

    Raises SettingsError without a usable `JWT_SECRET`, and InvalidToken if no token for such a subject is accepted.
    """
    verifier = TokenVerifier(settings)
    token = sign(settings, subject, lifetime_seconds)
    verifier.verify(token)
    return token


def sign(settings: JwtSettings, subject: str, lifetime_seconds: int) -> str:
    """Return a token for `subject`, which may have expired; raises SettingsError without `JWT_SECRET`."""
    if settings.secret is None:
        raise SettingsError("JWT_SECRET: is not set, and a public key cannot sign; ask your issuer for a token")
    claims: dict[str, Any] = {"sub": subject, "exp": int(time.time()) + lifetime_seconds}
    claims |= _expected_claims(settings)
    return jwt.encode(claims, os.fsencode(settings.secret), SECRET_ALGORITHMS[0])
