"""Bearer tokens: JSON web tokens verified strictly (RFC 7519, RFC 8725), and minted for development."""

from __future__ import annotations

import base64
import os
import re
import time
from functools import partial
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple

import jwt
import orjson

from customer_service.cache import Cache
from customer_service.errors import InvalidToken, SettingsError
from customer_service.jwks import JwkSetKeys
from customer_service.keys import SECRET_ALGORITHMS, single_key

if TYPE_CHECKING:
    from customer_service.keys import KeySource, VerificationKey
    from customer_service.settings import JwtSettings

MAXIMUM_TOKEN_LENGTH = 8192
MAXIMUM_SUBJECT_LENGTH = 256
COMPACT_FORM = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)
CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class Verified(NamedTuple):
    """Whose token it is, until when (in seconds since 1970), and the key that says so."""

    subject: str
    expires: float
    kid: str | None
    key: VerificationKey


class TokenVerifier:
    """Tells whose token it is, and accepts only what the settings allow."""

    def __init__(self, settings: JwtSettings, keys: KeySource | None = None, remembered: int = 0) -> None:
        """Parse the keys once, and remember so many tokens that were verified; raises SettingsError."""
        self.keys = keys or key_source(settings)
        self.verified: Cache[Verified] = Cache(remembered)
        self._issuer = settings.issuer
        self._audience = settings.audience
        self._leeway = settings.leeway_seconds
        self._jwt = _StrictJWT(
            {
                "require": ["exp", "sub"],
                "verify_iat": False,
                "verify_aud": settings.audience is not None,
                "enforce_minimum_key_length": True,
            }
        )

    def verify(self, token: str) -> str:
        """Return the subject of a valid token, 1 to 256 characters; raises InvalidToken or SigningKeysUnavailable."""
        if len(token) > MAXIMUM_TOKEN_LENGTH or not COMPACT_FORM.fullmatch(token):
            raise InvalidToken("not a JWS in compact form")
        digest = blake2b(token.encode(), digest_size=16).digest()
        known = self.verified.get(digest)
        if known is not None and known.expires > time.time() and self.keys.find(known.kid) is known.key:
            return known.subject
        try:
            return self.verified.load(digest, partial(self._judge, token)).subject
        except jwt.PyJWTError as error:
            raise InvalidToken(type(error).__name__) from None

    def ready(self) -> bool:
        """Whether tokens can be judged at this moment."""
        return self.keys.ready()

    def _judge(self, token: str) -> Verified:
        header = _header(token)
        if "crit" in header or "b64" in header:
            raise InvalidToken("critical header parameters")
        if not isinstance(header.get("kid"), str | None):
            raise InvalidToken("kid is not a string")
        key = self.keys.find(header.get("kid"))
        if key is None:
            raise InvalidToken("unknown kid")
        claims = self._jwt.decode(
            token,
            key.material,
            algorithms=key.algorithms,
            audience=self._audience,
            issuer=self._issuer,
            leeway=self._leeway,
        )
        subject: str = claims["sub"]
        if not is_subject(subject):
            raise InvalidToken("sub is empty, too long or has control characters")
        return Verified(subject, int(claims["exp"]) + self._leeway, header.get("kid"), key)


def is_subject(text: str) -> bool:
    """Whether a token may name its user so."""
    return 0 < len(text) <= MAXIMUM_SUBJECT_LENGTH and not CONTROL_CHARACTER.search(text)


def key_source(settings: JwtSettings) -> KeySource:
    """Return the source of the keys that the settings name; raises SettingsError."""
    if settings.jwks_url is not None:
        return JwkSetKeys(settings.jwks_url, settings.algorithms)
    return single_key(settings)


class _StrictJWT(jwt.PyJWT):
    """PyJWT, with claims in strict JSON and times that are numbers: it would take "1" and true for a time."""

    def _decode_payload(self, decoded: dict[str, Any]) -> dict[str, Any]:
        claims = _strict_object(decoded["payload"])
        for name in ("exp", "nbf"):
            if name in claims and type(claims[name]) not in (int, float):
                raise jwt.DecodeError(f"{name} is not a number")
        return claims


def _header(token: str) -> dict[str, Any]:
    """Return the header, in strict JSON: PyJWT would take UTF-16, a byte order mark and NaN (RFC 7515, section 5.2)."""
    segment = token.partition(".")[0]
    try:
        return _strict_object(base64.urlsafe_b64decode(segment + "=="))
    except ValueError:
        raise jwt.DecodeError("the header is not base64url") from None


def _strict_object(text: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(text)
    except ValueError:
        raise jwt.DecodeError("not JSON") from None
    if not isinstance(value, dict):
        raise jwt.DecodeError("not a JSON object")
    return value


def mint(settings: JwtSettings, subject: str, lifetime_seconds: int) -> str:
    """Return a token for `subject` that these settings accept.

    Raises SettingsError without a usable `JWT_SECRET`, and InvalidToken where no token for such a subject is accepted.
    """
    if settings.secret is None:
        raise SettingsError("JWT_SECRET: is not set, and a public key cannot sign; ask your issuer for a token")
    verifier = TokenVerifier(settings)
    claims: dict[str, Any] = {"sub": subject, "exp": int(time.time()) + lifetime_seconds}
    if settings.issuer is not None:
        claims["iss"] = settings.issuer
    if settings.audience is not None:
        claims["aud"] = settings.audience
    token = jwt.encode(claims, os.fsencode(settings.secret), SECRET_ALGORITHMS[0])
    verifier.verify(token)
    return token
