"""The keys that verify tokens, as the settings or a JWK set hold them, and the algorithms that each allows."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast

import jwt
import orjson
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from customer_service.errors import SettingsError

if TYPE_CHECKING:
    from jwt.algorithms import AllowedPublicKeys

    from customer_service.settings import JwtSettings

MINIMUM_RSA_BITS = 2048  # RFC 7518, sections 3.3 and 3.5
CURVE_ALGORITHMS = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512", "secp256k1": "ES256K"}
SECRET_ALGORITHMS = ("HS256",)
RSA_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")


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


def single_key(settings: JwtSettings) -> SingleKey:
    """Return the key of `JWT_SECRET` or `JWT_PUBLIC_KEY`; raises SettingsError."""
    if settings.secret is not None:
        name, key = "JWT_SECRET", _secret(settings.secret)
    else:
        name, key = "JWT_PUBLIC_KEY", _public_key(settings.public_key or "")
    try:
        return SingleKey(key.narrowed(settings.algorithms))
    except UnusableKey as error:
        raise SettingsError(f"JWT_ALGORITHMS: {error} ({name})") from None


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
