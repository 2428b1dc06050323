"""The keys that verify tokens, from the settings or a JWK set, and the algorithms that each key allows."""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

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
    from collections.abc import Iterable

    from jwt.algorithms import AllowedPublicKeys

    from customer_service.settings import JwtSettings

MINIMUM_RSA_BITS = 2048  # RFC 7518, sections 3.3 and 3.5
CURVE_ALGORITHMS = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512", "secp256k1": "ES256K"}
SECRET_ALGORITHMS = ("HS256",)
RSA_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
SECRET_MEMBERS = frozenset(("k", "d", "p", "q", "dp", "dq", "qi", "oth"))  # RFC 7518, sections 6.2.2, 6.3.2 and 6.4
NUMBERS = frozenset(("n", "e", "x", "y"))
EDDSA = "EdDSA"
COSE_NAMES = {"ESP256": "ES256", "ESP384": "ES384", "ESP512": "ES512"}
"""The RFC 9864 names of algorithms whose name in a token's header is another."""

MAXIMUM_KEYS = 1000
"""How many entries of a JWK set are read: 1 MB could hold 300,000, each with a log line."""

MAXIMUM_KEYS_OF_A_KID = 16
"""The maximum number of keys that one token is tried against: each costs a verification."""

ROCA_RESIDUES = {
    prime: {pow(65537, exponent, prime) for exponent in range(prime)}
    for prime in range(3, 168, 2)
    if all(prime % divisor for divisor in range(3, prime, 2))
}
"""For each small odd prime, the residues of the powers of 65537.

The modulus of a key with CVE-2017-15361 has such a residue for every prime.
"""


class UnusableKey(Exception):
    """The key cannot verify tokens; the message is the reason."""

    level = logging.WARNING


class PublishedSecret(UnusableKey):
    """The issuer publishes a secret key: every reader of the JWK set can sign with it."""

    level = logging.ERROR


class OtherPurpose(UnusableKey):
    """The key is valid, but not meant for the verification of this service's tokens."""

    level = logging.INFO


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A parsed key with the JWS algorithms that its type allows."""

    material: AllowedPublicKeys | bytes
    algorithms: tuple[str, ...]

    def restricted_to(self, allowed: tuple[str, ...]) -> VerificationKey:
        """Return the key with only the `allowed` algorithms, or all if `allowed` is empty.

        Raises UnusableKey if none is left.
        """
        algorithms = tuple(name for name in self.algorithms if not allowed or name in allowed)
        if not algorithms:
            raise UnusableKey(f"this key allows {', '.join(self.algorithms)}")
        return VerificationKey(self.material, algorithms)


class DroppedKey(NamedTuple):
    """An entry of a JWK set that cannot verify tokens, with its name for the log and the reason."""

    name: str
    reason: UnusableKey


class JwkSet(NamedTuple):
    """The usable keys of a JWK set by their `kid`, None for those without, and the entries that were dropped."""

    keys: dict[str | None, tuple[VerificationKey, ...]]
    dropped: list[DroppedKey]


class KeySource(Protocol):
    """The source of the keys by which TokenVerifier verifies a token."""

    def find(self, kid: str | None, algorithm: object) -> tuple[VerificationKey, ...]:
        """Return the keys for the token's `kid` and `alg`, at most MAXIMUM_KEYS_OF_A_KID.

        Raises SigningKeysUnavailable.
        """

    def ready(self) -> bool:
        """Return whether tokens can be verified at this moment."""


class SingleKey:
    """The only key, of `JWT_SECRET` or `JWT_PUBLIC_KEY`; a token's `kid` is ignored."""

    def __init__(self, key: VerificationKey) -> None:
        """Use this key for every token."""
        self._found = (key,)

    def find(self, kid: str | None, algorithm: object) -> tuple[VerificationKey, ...]:  # noqa: ARG002 - the protocol's signature
        """Return the key."""
        return self._found

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
        return SingleKey(key.restricted_to(settings.algorithms))
    except UnusableKey as error:
        raise SettingsError(f"JWT_ALGORITHMS: {error} ({name})") from None


def parse_jwk_set(text: bytes, allowed: tuple[str, ...] = ()) -> JwkSet:
    """Return the keys of a JWK set (RFC 7517) that can verify a signature, and the entries that cannot.

    Each entry is checked on its own. Keys may share a `kid`, and the same key may occur twice. Raises ValueError if the
    text is not JSON, and UnusableKey if the JSON is not a JWK set.
    """
    entries = _entries(text)
    read = entries[:MAXIMUM_KEYS]
    compromised = _compromised_keys(read)
    keys: dict[str | None, list[VerificationKey]] = {}
    dropped: list[DroppedKey] = []
    for place, entry in enumerate(read, 1):
        try:
            jwk = _members(entry)
            key = _signing_key(jwk, allowed, compromised)
            _add(keys.setdefault(jwk.get("kid") or None, []), key)
        except UnusableKey as reason:
            dropped.append(DroppedKey(_name_of(entry, place), reason))
    if len(entries) > len(read):
        dropped.append(DroppedKey("the rest", UnusableKey(f"the JWK set has more than {MAXIMUM_KEYS} keys")))
    return JwkSet({kid: tuple(alike) for kid, alike in keys.items()}, dropped)


def _entries(text: bytes) -> list[Any]:
    document = orjson.loads(text)
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise UnusableKey("not a JWK set")
    return entries


def _members(entry: object) -> dict[str, Any]:
    """Return the members of an entry that are not null: some issuers write null for an absent member."""
    if not isinstance(entry, dict):
        raise UnusableKey("it is not a JSON object")
    return {name: value for name, value in entry.items() if value is not None}


def _name_of(entry: object, place: int) -> str:
    kid = entry.get("kid") if isinstance(entry, dict) else None
    return f"kid {kid!a:.100}" if kid and isinstance(kid, str) else f"number {place}, without kid"


def _add(alike: list[VerificationKey], key: VerificationKey) -> None:
    """Add a key to the keys of its `kid`, unless it is there already."""
    if key in alike:
        return
    if len(alike) == MAXIMUM_KEYS_OF_A_KID:
        raise UnusableKey(f"more than {MAXIMUM_KEYS_OF_A_KID} keys have this kid")
    alike.append(key)


def _signing_key(
    jwk: dict[str, Any], allowed: tuple[str, ...], compromised: list[AllowedPublicKeys]
) -> VerificationKey:
    """Return the key of a JWK that may verify signatures (RFC 7517, sections 4.2 to 4.5); raises UnusableKey."""
    if _is_secret(jwk):
        raise PublishedSecret("it is a symmetric or private key, which must not be published")
    if not isinstance(jwk.get("kid", ""), str):
        raise UnusableKey("its kid is not a string")
    _require_purpose(jwk)
    material = _material(jwk)
    if material in compromised:
        raise PublishedSecret("its private key is published in the same JWK set")
    key = _restricted_to_alg(VerificationKey(material, _algorithms(material)), jwk)
    try:
        return key.restricted_to(allowed)
    except UnusableKey as error:
        raise OtherPurpose(f"JWT_ALGORITHMS: {error}") from None


def _is_secret(jwk: dict[str, Any]) -> bool:
    return jwk.get("kty") == "oct" or not SECRET_MEMBERS.isdisjoint(jwk)


def _compromised_keys(entries: Iterable[Any]) -> list[AllowedPublicKeys]:
    """Return the public keys whose private key is published too, so that every reader of the set can sign."""
    keys = []
    for entry in entries:
        with suppress(UnusableKey):
            jwk = _members(entry)
            if _is_secret(jwk):
                keys.append(_material({name: value for name, value in jwk.items() if name not in SECRET_MEMBERS}))
    return keys


def _require_purpose(jwk: dict[str, Any]) -> None:
    if jwk.get("use", "sig") != "sig":
        raise OtherPurpose("its use is not sig")
    operations = jwk.get("key_ops", ["verify"])
    if not isinstance(operations, list) or operations.count("verify") != 1:
        raise OtherPurpose("its key_ops must have verify exactly once")


def _material(jwk: dict[str, Any]) -> AllowedPublicKeys:
    """Return the public key that the members describe; raises UnusableKey."""
    members = {name: value for name, value in jwk.items() if name != "alg" and isinstance(value, str)}
    for name in NUMBERS & members.keys():
        members[name] = members[name].rstrip("=")  # RFC 7515, section 2, omits the padding; some issuers do not
        if not _is_canonical(members[name]):
            raise UnusableKey(f"its {name} is not base64url")
    try:
        return cast("AllowedPublicKeys", jwt.PyJWK(members, EDDSA if members.get("kty") == "OKP" else None).key)
    except (jwt.PyJWTError, UnsupportedAlgorithm, ValueError, TypeError, KeyError, OverflowError):
        kind = f"kty {members.get('kty')!a:.20} and crv {members.get('crv')!a:.20}"
        raise UnusableKey(f"its members describe no public key that is supported: {kind}") from None


def _restricted_to_alg(key: VerificationKey, jwk: dict[str, Any]) -> VerificationKey:
    """Return the key with the algorithm of the JWK's `alg`; raises UnusableKey if the key's type does not allow it."""
    declared = jwk.get("alg", key.algorithms[0])
    name = COSE_NAMES.get(declared, declared) if isinstance(declared, str) else None
    if name not in key.algorithms:
        raise UnusableKey(f"its alg is not one of {', '.join(key.algorithms)}")
    return key if "alg" not in jwk or EDDSA in key.algorithms else key.restricted_to((name,))


def _is_canonical(text: str) -> bool:
    """Return whether this is the canonical base64url of its bytes, without unused bits."""
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
    """Return the JWS algorithms that this type of public key verifies; raises UnusableKey."""
    if isinstance(material, RSAPublicKey):
        if material.key_size < MINIMUM_RSA_BITS:
            raise UnusableKey(f"is an RSA key of fewer than {MINIMUM_RSA_BITS} bits")
        modulus = material.public_numbers().n
        if all(modulus % prime in residues for prime, residues in ROCA_RESIDUES.items()):
            raise UnusableKey("is an RSA key that can be factored (CVE-2017-15361)")
        return RSA_ALGORITHMS
    if isinstance(material, EllipticCurvePublicKey) and material.curve.name in CURVE_ALGORITHMS:
        return (CURVE_ALGORITHMS[material.curve.name],)
    if isinstance(material, Ed25519PublicKey):
        return (EDDSA, "Ed25519")
    if isinstance(material, Ed448PublicKey):
        return (EDDSA, "Ed448")
    raise UnusableKey("is a key of a kind that no supported algorithm verifies with")
