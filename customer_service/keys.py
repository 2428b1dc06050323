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
from jwt.utils import base64url_decode, base64url_encode

from customer_service.errors import SettingsError

if TYPE_CHECKING:
    from jwt.algorithms import AllowedPublicKeys

    from customer_service.settings import JwtSettings

MINIMUM_RSA_BITS = 2048  # RFC 7518, sections 3.3 and 3.5
CURVE_ALGORITHMS = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512", "secp256k1": "ES256K"}
SECRET_ALGORITHMS = ("HS256",)
RSA_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
SECRET_MEMBERS = frozenset(("k", "d", "p", "q", "dp", "dq", "qi", "oth"))  # RFC 7518, sections 6.2.2, 6.3.2 and 6.4
NUMBERS = frozenset(("n", "e", "x", "y"))

ROCA_RESIDUES = {
    prime: {pow(65537, exponent, prime) for exponent in range(prime)}
    for prime in range(3, 168, 2)
    if all(prime % divisor for divisor in range(3, prime, 2))
}
"""For each small odd prime the powers of 65537: the moduli that chips with CVE-2017-15361 made are always one."""


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

    Raises UnusableKey for a set that is not one, that publishes a secret, that names two keys alike, or in which no
    key is left: who mixes these up is not to be trusted with the rest (RFC 8725, section 3.5).
    """
    entries = _entries(text)
    if any(entry.get("kty") == "oct" or entry.keys() & SECRET_MEMBERS for entry in entries):
        raise UnusableKey("the JWK set publishes a symmetric or private key")
    names = [entry["kid"] for entry in entries if isinstance(entry.get("kid"), str)]
    usable = [(entry.get("kid"), key) for entry in entries if (key := _signing_key(entry, allowed)) is not None]
    keys = dict(usable)
    if len(set(names)) < len(names) or len(keys) < len(usable):
        raise UnusableKey("the JWK set has one kid twice")
    if not keys:
        raise UnusableKey("the JWK set has no key that verifies signatures")
    return keys


def _entries(text: bytes) -> list[dict[str, Any]]:
    document = orjson.loads(text)
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise UnusableKey("not a JWK set")
    return entries


def _signing_key(jwk: dict[str, Any], allowed: tuple[str, ...]) -> VerificationKey | None:
    """Return the key of a JWK that may verify signatures, or None (RFC 7517, sections 4.2 to 4.5)."""
    operations = jwk.get("key_ops", ["verify"])
    if jwk.get("use", "sig") != "sig" or not isinstance(operations, list) or operations.count("verify") != 1:
        return None
    if not isinstance(jwk.get("kid"), str | None):
        return None
    members = {name: value for name, value in jwk.items() if name != "alg" and isinstance(value, str)}
    if not all(_is_canonical(members[name]) for name in NUMBERS & members.keys()):
        return None
    try:
        material = jwt.PyJWK(members, "EdDSA" if jwk.get("kty") == "OKP" else None).key
        key = VerificationKey(material, _algorithms(material))
        return key.narrowed(allowed).narrowed((jwk["alg"],) if "alg" in jwk else ())
    except (jwt.PyJWTError, UnusableKey, UnsupportedAlgorithm, ValueError, TypeError, KeyError):
        return None


def _is_canonical(text: str) -> bool:
    """Whether this is the one base64url of its bytes: no padding, no stray bits (RFC 7515, section 2)."""
    try:
        return base64url_encode(base64url_decode(text)) == text.encode()
    except ValueError:
        return False


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
        modulus = material.public_numbers().n
        if all(modulus % prime in residues for prime, residues in ROCA_RESIDUES.items()):
            raise UnusableKey("is an RSA key that can be factored (CVE-2017-15361)")
        return RSA_ALGORITHMS
    if isinstance(material, EllipticCurvePublicKey) and material.curve.name in CURVE_ALGORITHMS:
        return (CURVE_ALGORITHMS[material.curve.name],)
    if isinstance(material, Ed25519PublicKey | Ed448PublicKey):
        return ("EdDSA",)
    raise UnusableKey("is a key of a kind that no supported algorithm verifies with")
