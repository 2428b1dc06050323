"""An unusable key in a JWK set affects no other key: each usable key verifies its own tokens, and only those.

Every shape of a key set is a row, with the answer to a token. Beside the keys of the row each set has an honest one,
whose tokens are accepted beside any other keys.
"""

from __future__ import annotations

import logging
import warnings
from typing import TYPE_CHECKING, Any

import mongomock
import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from jwt import InsecureKeyLengthWarning
from jwt.algorithms import ECAlgorithm

from customer_service.app import create_app
from customer_service.auth.keys import MAXIMUM_KEYS_OF_A_KID
from customer_service.settings.jwt import ANY_AUDIENCE
from tests.support import issuer, problem, serve, settings, url
from tests.support.issuer import JwksServer
from tests.support.tokens import base64url, claims, forge, issue, jwk, private_jwk, public_der, public_pem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flask.testing import FlaskClient

    Open = Callable[..., FlaskClient]

pytestmark = pytest.mark.timed

HONEST = jwk("P-384", kid="honest")
EXPIRED = 'Bearer error="invalid_token", error_description="The token expired."'
REFUSED = 'Bearer error="invalid_token"'
SHARED_SECRET = b"a secret that the issuer publishes by mistake"


def named(algorithm: str, kid: str | None, kind: str | None = None, **changes: Any) -> str:
    """Return a token whose header has this `alg` and `kid`, signed by the key of this kind."""
    header = {"alg": algorithm} if kid is None else {"alg": algorithm, "kid": kid}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InsecureKeyLengthWarning)  # a weak key signs too
        return issue("EdDSA" if algorithm in {"Ed25519", "Ed448"} else algorithm, kind, header, **changes)


def many(count: int) -> list[dict[str, Any]]:
    """Return so many public keys of one kid; the last is the one of the tests."""
    made = (ec.derive_private_key(number, ec.SECP256R1()).public_key() for number in range(1, count))
    return [*(ECAlgorithm.to_jwk(key, as_dict=True) | {"kid": "a"} for key in made), jwk("P-256", kid="a")]


def padded(kind: str, *names: str) -> dict[str, Any]:
    """Return a public key whose numbers have the padding that some issuers write."""
    key = jwk(kind, kid="a")
    return key | {name: key[name] + "=" * (-len(key[name]) % 4 or 1) for name in names}


BOTH_USES = [jwk("RSA", kid="a", use="sig"), jwk("other RSA", kid="a", use="enc", alg="RSA-OAEP")]
BOTH_ALGORITHMS = [jwk("RSA", kid="a", alg="RS256"), jwk("other RSA", kid="a", alg="PS256")]
BOTH_KINDS = [jwk("RSA", kid="a"), jwk("P-256", kid="a")]
TWO_ALIKE = [jwk("RSA", kid="a"), jwk("other RSA", kid="a")]
NAMELESS = [jwk("RSA"), jwk("P-256"), jwk("other P-256"), jwk("other RSA", use="enc")]
NULLS = jwk("RSA", kid="a", use=None, key_ops=None, alg=None, x5c=None, d=None, k=None)
FULL = MAXIMUM_KEYS_OF_A_KID

ACCEPTED: dict[str, tuple[list[Any], str]] = {
    "n and e padded": ([padded("RSA", "n", "e")], named("RS256", "a")),
    "x and y padded": ([padded("P-256", "x", "y")], named("ES256", "a")),
    "the same key twice": ([jwk("RSA", kid="a"), jwk("RSA", kid="a")], named("RS256", "a")),
    "one kid for signature and encryption": (BOTH_USES, named("RS256", "a")),
    "one kid for RS256 and PS256: RS256": (BOTH_ALGORITHMS, named("RS256", "a")),
    "one kid for RS256 and PS256: PS256": (BOTH_ALGORITHMS, named("PS256", "a", "other RSA")),
    "one kid for RSA and EC: RSA": (BOTH_KINDS, named("RS256", "a")),
    "one kid for RSA and EC: EC": (BOTH_KINDS, named("ES256", "a")),
    "one kid for two RSA keys: the first": (TWO_ALIKE, named("RS256", "a")),
    "one kid for two RSA keys: the second": (TWO_ALIKE, named("RS256", "a", "other RSA")),
    "a kid doubled by keys that are not used": (
        [jwk("RSA", kid="b", use="enc"), jwk("P-256", kid="b", use="enc"), jwk("P-256", kid="a")],
        named("ES256", "a"),
    ),
    "keys without kid: RSA": (NAMELESS, named("RS256", None)),
    "keys without kid: the second EC": (NAMELESS, named("ES256", None, "other P-256")),
    "keys without kid: an empty one in the token": (NAMELESS, named("ES256", "", "other P-256")),
    "an empty kid in the set": ([jwk("P-256", kid="")], named("ES256", None)),
    "a kid that is null": ([jwk("P-256", kid=None)], named("ES256", None)),
    "null members": ([NULLS], named("RS256", "a")),
    "alg Ed25519, EdDSA in the token": ([jwk("Ed25519", kid="a", alg="Ed25519")], named("EdDSA", "a")),
    "alg Ed25519, the same in the token": ([jwk("Ed25519", kid="a", alg="Ed25519")], named("Ed25519", "a")),
    "alg EdDSA, Ed25519 in the token": ([jwk("Ed25519", kid="a", alg="EdDSA")], named("Ed25519", "a")),
    "alg Ed448": ([jwk("Ed448", kid="a", alg="Ed448")], named("Ed448", "a", "Ed448")),
    "alg ESP256": ([jwk("P-256", kid="a", alg="ESP256")], named("ES256", "a")),
    "alg ESP512": ([jwk("P-521", kid="a", alg="ESP512")], named("ES512", "a")),
    "as many keys of one kid as are tried": (many(FULL), named("ES256", "a")),
    "the members of a certificate": ([jwk("RSA", kid="a", x5c=["x"], x5t="x", x5u="http://x")], named("RS256", "a")),
    **{
        f"beside {name}": ([odd, jwk("P-256", kid="a")], named("ES256", "a"))
        for name, odd in {
            "a private key": private_jwk("RSA", kid="b"),
            "a secret": {"kty": "oct", "kid": "b", "k": base64url(SHARED_SECRET)},
            "a weak key": jwk("weak RSA", kid="a"),
            "a point off its curve": jwk("P-256", kid="a", x="A" * 43),
            "alg none": jwk("RSA", kid="a", alg="none"),
            "a kty of tomorrow": {"kty": "AKP", "alg": "ML-DSA-65", "kid": "b", "pub": "AAAA"},
            "a key for key agreement": {"kty": "OKP", "crv": "X25519", "kid": "b", "x": "A" * 43},
            "a kid that is a number": jwk("RSA", kid=7),
            "a text": "key",
            "null": None,
            "an empty object": {},
        }.items()
    },
}
"""The keys that the issuer publishes, and a token that is accepted."""


def confusions(kind: str) -> Iterator[tuple[str, str]]:
    """A secret's signature made with a published key, in every form of it."""
    forms = {
        "PEM": public_pem(kind).encode(),
        "DER": public_der(kind),
        "JWK": orjson.dumps(jwk(kind)),
        "JWK with kid": orjson.dumps(jwk(kind, kid="a")),
        "number": jwk(kind)["n" if kind == "RSA" else "x"].encode(),
        "nothing": b"",
    }
    for form, secret in forms.items():
        for algorithm in ("HS256", "RS256", "none"):
            yield f"{algorithm} by the {kind} key as {form}", forge({"alg": algorithm, "kid": "a"}, secret=secret)


OWN_KEY = {"jwk": jwk("other P-256"), "jku": "http://127.0.0.1:1/", "x5u": "http://127.0.0.1:1/", "kid": "a"}

ATTACKS: dict[str, tuple[list[Any], str, str]] = {
    "signed by a published private key": ([private_jwk("P-256", kid="a")], named("ES256", "a"), REFUSED),
    "signed by one, under its public twin's kid": (
        [private_jwk("P-256", kid="b"), jwk("P-256", kid="a")],
        named("ES256", "a"),
        REFUSED,
    ),
    "signed by a published secret": (
        [{"kty": "oct", "kid": "a", "alg": "HS256", "k": base64url(SHARED_SECRET)}],
        forge({"alg": "HS256", "kid": "a"}, secret=SHARED_SECRET),
        REFUSED,
    ),
    **{name: (BOTH_KINDS, token, REFUSED) for kind in ("RSA", "P-256") for name, token in confusions(kind)},
    "no signature": (BOTH_KINDS, f"{forge({'alg': 'none', 'kid': 'a'}).rpartition('.')[0]}.AAAA", REFUSED),
    "another kid's key": ([jwk("RSA", kid="a"), jwk("P-256", kid="b")], named("ES256", "a"), REFUSED),
    "another kid's key of the same kind": (
        [jwk("P-256", kid="a"), jwk("other P-256", kid="b")],
        named("ES256", "a", "other P-256"),
        REFUSED,
    ),
    "the key for PS256 as RS256": (BOTH_ALGORITHMS, named("RS256", "a", "other RSA"), REFUSED),
    "the key for RS256 as RS512": ([jwk("RSA", kid="a", alg="RS256")], named("RS512", "a"), REFUSED),
    "the key for encryption": (BOTH_USES, named("RS256", "a", "other RSA"), REFUSED),
    "a weak key": ([jwk("weak RSA", kid="a")], named("RS256", "a", "weak RSA"), REFUSED),
    "an unknown key": (TWO_ALIKE + NAMELESS, named("ES256", None, "third P-256"), REFUSED),
    "no kid, though each key has one": (BOTH_KINDS, named("ES256", None), REFUSED),
    "a kid, though no key has one": (NAMELESS, named("ES256", "a"), REFUSED),
    "a key beyond those that are tried": (many(FULL + 1), named("ES256", "a"), REFUSED),
    "Ed448 in the token for Ed25519": ([jwk("Ed25519", kid="a")], named("Ed448", "a"), REFUSED),
    "its own key in the header": (BOTH_KINDS, issue("ES256", "other P-256", OWN_KEY), REFUSED),
    "expired": (BOTH_KINDS, named("ES256", "a", exp=1), EXPIRED),
    "expired, by the second key": (TWO_ALIKE, named("RS256", "a", "other RSA", exp=1), EXPIRED),
    "expired, by an unknown key": (BOTH_KINDS, named("ES256", "a", "third P-256", exp=1), REFUSED),
}
"""The keys that the issuer publishes, a token that is refused, and the challenge of the answer."""

UNUSABLE = {
    "no key": {"keys": []},
    "only a key for encryption": {"keys": [jwk("RSA", kid="a", use="enc")]},
    "only a private key": {"keys": [private_jwk("P-256", kid="a")]},
    "only odd keys": {"keys": [None, 1, {}, {"kty": "RSA"}]},
    "no set": {"Keys": [jwk("P-256", kid="a")]},
    "a list": [jwk("P-256", kid="a")],
}
"""What holds no key that verifies: no token can be judged by it."""


@pytest.fixture
def publisher(monkeypatch: pytest.MonkeyPatch) -> Iterator[JwksServer]:
    monkeypatch.setattr("customer_service.auth.jwks.UNKNOWN_KID_WAIT_SECONDS", 10.0)
    running = JwksServer()
    yield running
    running.close()


@pytest.fixture
def client(publisher: JwksServer) -> FlaskClient:
    """A client of a service whose keys are the publisher's, which it has not fetched yet."""
    return serve(mongomock.MongoClient().customers, settings(jwks_url=publisher.url)).client


def read(client: FlaskClient, token: str) -> Any:
    return client.get(url(), headers={"Authorization": f"Bearer {token}"})


@pytest.mark.parametrize(("keys", "token"), ACCEPTED.values(), ids=ACCEPTED)
def test_what_issuers_publish_is_accepted(
    publisher: JwksServer, client: FlaskClient, keys: list[Any], token: str
) -> None:
    publisher.keys = [*keys, HONEST]
    assert read(client, token).status_code == 200
    assert read(client, named("ES384", "honest")).status_code == 200
    assert len(publisher.requests) == 1


@pytest.mark.parametrize(("keys", "token", "challenge"), ATTACKS.values(), ids=ATTACKS)
def test_an_attack_is_refused(
    publisher: JwksServer, client: FlaskClient, keys: list[Any], token: str, challenge: str
) -> None:
    publisher.keys = [*keys, HONEST]
    refused = read(client, token)
    assert problem(refused, 401, "invalid-token")["detail"] == "Authentication required."
    assert refused.headers.getlist("WWW-Authenticate") == [challenge]
    assert read(client, named("ES384", "honest")).status_code == 200
    assert len(publisher.requests) == 1


@pytest.mark.parametrize("document", UNUSABLE.values(), ids=UNUSABLE)
def test_without_a_usable_key_no_token_is_judged(publisher: JwksServer, client: FlaskClient, document: Any) -> None:
    publisher.answer = lambda _, request: issuer.send(request, orjson.dumps(document))
    body = problem(read(client, named("ES256", "a")), 503, "signing-keys-unavailable")
    assert body["detail"] == "No key that verifies tokens is available. Try again."


def test_what_became_odd_takes_nothing_away(
    publisher: JwksServer, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher.keys = [jwk("P-256", kid="a")]
    assert read(client, named("ES256", "a")).status_code == 200
    monkeypatch.setattr("customer_service.auth.jwks.RETRY_SECONDS", 0.0)
    publisher.keys += [private_jwk("RSA", kid="a"), {"kty": "oct", "k": "AAAA"}, jwk("P-256", kid="a"), HONEST]
    assert read(client, named("ES384", "honest")).status_code == 200
    assert read(client, named("ES256", "a")).status_code == 200


@pytest.mark.parametrize(
    ("given", "warned"),
    [({}, True), ({"issuer": "https://issuer.example"}, False), ({"audience": "customers"}, False)],
    ids=["neither", "issuer", "audience"],
)
def test_a_start_that_accepts_any_audience_is_warned_of(
    caplog: pytest.LogCaptureFixture, given: dict[str, str], warned: bool
) -> None:
    create_app(settings(jwks_url="http://127.0.0.1:1/none", **given), mongomock.MongoClient().customers)
    lines = [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]
    assert (ANY_AUDIENCE in lines) is warned


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"iss": "https://issuer.example/"}, "iss is 'https://issuer.example/', expected 'https://issuer.example'"),
        ({"aud": ["a", "b"]}, "aud is ['a', 'b'], expected 'customers'"),
    ],
    ids=["issuer", "audience"],
)
def test_the_log_has_a_wrong_issuer_or_audience_beside_the_right_one(
    publisher: JwksServer, capsys: pytest.CaptureFixture[str], given: dict[str, Any], reason: str
) -> None:
    publisher.keys = [HONEST]
    configured = settings(jwks_url=publisher.url, issuer="https://issuer.example", audience="customers")
    service = serve(mongomock.MongoClient().customers, configured)
    right = {"iss": "https://issuer.example", "aud": "customers"}
    assert read(service.client, named("ES384", "honest", **right)).status_code == 200
    assert read(service.client, named("ES384", "honest", **right | given)).status_code == 401
    line = orjson.loads(capsys.readouterr().out.splitlines()[-1])
    assert (line["error"], line["reason"]) == ("InvalidToken", reason)
    assert claims()["sub"] not in str(line)
