"""Private keys of every kind, and tokens with any header, payload and signature."""

from __future__ import annotations

import base64
import functools
import hmac
import json
import math
import time
from typing import TYPE_CHECKING, Any

import jwt
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from jwt.algorithms import get_default_algorithms

from tests.support import MEMBER, SECRET

if TYPE_CHECKING:
    from collections.abc import Callable

SPKI = PublicFormat.SubjectPublicKeyInfo

KINDS: dict[str, Callable[[], Any]] = {
    "RSA": lambda: rsa.generate_private_key(65537, 2048),
    "other RSA": lambda: rsa.generate_private_key(65537, 2048),
    "weak RSA": lambda: rsa.generate_private_key(65537, 1024),  # noqa: S505 - what the service has to refuse
    "P-256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "other P-256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "third P-256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "fourth P-256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "P-384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "P-521": lambda: ec.generate_private_key(ec.SECP521R1()),
    "secp256k1": lambda: ec.generate_private_key(ec.SECP256K1()),
    "P-224": lambda: ec.generate_private_key(ec.SECP224R1()),
    "brainpool": lambda: ec.generate_private_key(ec.BrainpoolP256R1()),
    "Ed25519": ed25519.Ed25519PrivateKey.generate,
    "Ed448": ed448.Ed448PrivateKey.generate,
    "X25519": x25519.X25519PrivateKey.generate,
    "DSA": lambda: dsa.generate_private_key(2048),
}

ALGORITHMS = {
    "RS256": "RSA",
    "RS384": "RSA",
    "RS512": "RSA",
    "PS256": "RSA",
    "PS384": "RSA",
    "PS512": "RSA",
    "ES256": "P-256",
    "ES384": "P-384",
    "ES512": "P-521",
    "ES256K": "secp256k1",
    "EdDSA": "Ed25519",
}
"""The kind of key that signs with each algorithm; EdDSA signs with Ed448 as well."""


@functools.cache
def private_key(kind: str) -> Any:
    """Return the tests' private key of this kind, made once."""
    return KINDS[kind]()


def public_pem(kind: str, form: PublicFormat = SPKI) -> str:
    """Return the public key of this kind in PEM."""
    pem: bytes = private_key(kind).public_key().public_bytes(Encoding.PEM, form)
    return pem.decode()


def roca_key() -> rsa.RSAPublicKey:
    """Return an RSA key of 2048 bits of the form that CVE-2017-15361 describes."""
    primorial = math.prod(number for number in range(2, 168) if all(number % each for each in range(2, number)))
    modulus = primorial * (2**2047 // primorial + 1) + pow(65537, 2017, primorial)
    return rsa.RSAPublicNumbers(65537, modulus).public_key()


def public_der(kind: str) -> bytes:
    """Return the public key of this kind in DER."""
    der: bytes = private_key(kind).public_key().public_bytes(Encoding.DER, SPKI)
    return der


def private_pem(kind: str) -> str:
    """Return the private key of this kind in PEM."""
    pem: bytes = private_key(kind).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem.decode()


def jwk(kind: str, **members: Any) -> dict[str, Any]:
    """Return the public key of this kind as a JWK, with more members."""
    return _jwk(private_key(kind).public_key(), kind) | members


def private_jwk(kind: str, **members: Any) -> dict[str, Any]:
    """Return the private key of this kind as a JWK, with more members."""
    return _jwk(private_key(kind), kind) | members


def _jwk(key: Any, kind: str) -> dict[str, Any]:
    algorithm: Any = get_default_algorithms()["EdDSA" if kind == "Ed448" else _algorithm(kind)]
    members: dict[str, Any] = algorithm.to_jwk(key, as_dict=True)
    members.pop("key_ops", None)
    return members


def _algorithm(kind: str) -> str:
    return next(name for name, signer in ALGORITHMS.items() if signer in kind)


def claims(**changes: Any) -> dict[str, Any]:
    """Return the claims of a valid token of the member, changed as given."""
    return {"sub": MEMBER, "exp": int(time.time()) + 86_400, **changes}


def base64url(data: bytes) -> str:
    """Encode without padding (RFC 7515, section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def last_bit(text: str) -> str:
    """Return base64url with its last bit, which carries no data, set."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    assert len(text) % 4 in (2, 3)
    return text[:-1] + alphabet[alphabet.index(text[-1]) ^ 1]


def segment(content: bytes | str | dict[str, Any]) -> str:
    """Return a segment of a token that holds these bytes, this text or this object."""
    if isinstance(content, dict):
        content = json.dumps(content)
    return base64url(content if isinstance(content, bytes) else content.encode())


def signed_text(message: str, secret: bytes = SECRET.encode(), digest: str = "sha256") -> str:
    """Sign any segments with an HMAC."""
    return f"{message}.{base64url(hmac.new(secret, message.encode(), digest).digest())}"


def forge(
    header: bytes | str | dict[str, Any] | None = None,
    payload: bytes | str | dict[str, Any] | None = None,
    secret: bytes = SECRET.encode(),
    digest: str = "sha256",
) -> str:
    """Return a token, truly signed with an HMAC, whose header and payload may be anything; valid as it stands."""
    head = {"alg": "HS256", "typ": "JWT"} if header is None else header
    return signed_text(f"{segment(head)}.{segment(claims() if payload is None else payload)}", secret, digest)


def issue(algorithm: str, kind: str | None = None, headers: dict[str, Any] | None = None, **changes: Any) -> str:
    """Return an honest issuer's token: signed with the private key of this kind, its claims changed as given."""
    return jwt.encode(claims(**changes), private_key(kind or ALGORITHMS[algorithm]), algorithm, headers)
