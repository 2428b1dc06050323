"""Only keys that can verify a signature safely are taken, from the settings or from a JWK set."""

from __future__ import annotations

import datetime
import logging
import re
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from customer_service.auth.jwks import JwkSetKeys
from customer_service.auth.keys import MAXIMUM_KEYS, MAXIMUM_KEYS_OF_A_KID, RSA_ALGORITHMS, UnusableKey, parse_jwk_set
from customer_service.auth.tokens import key_source
from customer_service.errors import SettingsError
from customer_service.settings import JwtSettings
from tests.support import SECRET
from tests.support.tokens import jwk, last_bit, private_jwk, private_key, private_pem, public_pem, roca_key

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

KEYS = {
    "RSA": RSA_ALGORITHMS,
    "P-256": ("ES256",),
    "P-384": ("ES384",),
    "P-521": ("ES512",),
    "secp256k1": ("ES256K",),
    "Ed25519": ("EdDSA", "Ed25519"),
    "Ed448": ("EdDSA", "Ed448"),
}


def certificate() -> str:
    key, name = private_key("RSA"), x509.Name([])
    today = datetime.datetime.now(datetime.UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, today, today + datetime.timedelta(1))
    return made.sign(key, SHA256()).public_bytes(Encoding.PEM).decode()


def pem_of(key: RSAPublicKey) -> str:
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def jwk_set(*keys: Any) -> bytes:
    return orjson.dumps({"keys": keys})


class TestSettings:
    @pytest.mark.parametrize(("kind", "algorithms"), KEYS.items(), ids=KEYS)
    def test_a_public_key_allows_the_algorithms_of_its_kind(self, kind: str, algorithms: tuple[str, ...]) -> None:
        source = key_source(JwtSettings(public_key=public_pem(kind)))
        (key,) = source.find("a key", "any")
        assert key.algorithms == algorithms
        assert source.ready()

    def test_an_rsa_key_may_stand_in_the_older_pem(self) -> None:
        (key,) = key_source(JwtSettings(public_key=public_pem("RSA", PublicFormat.PKCS1))).find(None, "RS256")
        assert key.algorithms == RSA_ALGORITHMS

    def test_a_secret_allows_hs256_only(self) -> None:
        (key,) = key_source(JwtSettings(secret=SECRET)).find(None, "HS256")
        assert (key.material, key.algorithms) == (SECRET.encode(), ("HS256",))

    def test_a_url_is_not_fetched_before_it_is_needed(self) -> None:
        source = key_source(JwtSettings(jwks_url="http://127.0.0.1:1/", algorithms=("RS256",)))
        assert isinstance(source, JwkSetKeys)
        assert source._thread is None
        assert source._allowed == ("RS256",)

    @pytest.mark.parametrize(
        ("make", "reason"),
        [
            (lambda: {"public_key": public_pem("weak RSA")}, "JWT_PUBLIC_KEY: is an RSA key of fewer than 2048 bits"),
            (lambda: {"public_key": pem_of(roca_key())}, "JWT_PUBLIC_KEY: is an RSA key that can be factored"),
            *(
                (lambda kind=kind: {"public_key": public_pem(kind)}, "JWT_PUBLIC_KEY: is a key of a kind that")
                for kind in ("P-224", "brainpool", "X25519", "DSA")
            ),
            *(
                (lambda kind=kind: {"public_key": private_pem(kind)}, "JWT_PUBLIC_KEY: is not a public key in PEM")
                for kind in ("RSA", "P-256", "Ed25519")
            ),
            (lambda: {"public_key": certificate()}, "JWT_PUBLIC_KEY: is not a public key in PEM"),
            (lambda: {"public_key": "s3cret"}, "JWT_PUBLIC_KEY: is not a public key in PEM"),
            (lambda: {"public_key": "s3cret \udcff ñ"}, "JWT_PUBLIC_KEY: is not a public key in PEM"),
            (lambda: {"public_key": public_pem("RSA")[:-60]}, "JWT_PUBLIC_KEY: is not a public key in PEM"),
            (dict, "JWT_PUBLIC_KEY: is not a public key in PEM"),
            (lambda: {"secret": public_pem("RSA")}, "JWT_SECRET: is a public key; set JWT_PUBLIC_KEY instead"),
            (lambda: {"secret": certificate()}, "JWT_SECRET: is a public key"),
            (lambda: {"secret": orjson.dumps(jwk("P-256")).decode()}, "JWT_SECRET: is a public key"),
            (lambda: {"secret": SECRET, "algorithms": ("RS256", "HS512")}, "JWT_ALGORITHMS: this key allows HS256"),
            (lambda: {"secret": SECRET, "algorithms": ("none",)}, "JWT_ALGORITHMS: this key allows HS256"),
            (
                lambda: {"public_key": public_pem("P-256"), "algorithms": ("HS256", "ES384")},
                "JWT_ALGORITHMS: this key allows ES256 (JWT_PUBLIC_KEY)",
            ),
        ],
        ids=[
            *(
                "1024 bits",
                "ROCA",
                "P-224",
                "brainpool",
                "X25519",
                "DSA",
                "private RSA",
                "private EC",
                "private Ed25519",
            ),
            *("certificate", "garbage", "not ASCII", "cut", "nothing", "PEM as secret", "certificate as secret"),
            *("JWK as secret", "algorithm of no secret", "none", "algorithm of another key"),
        ],
    )
    def test_a_setting_that_cannot_be_used_is_named_and_not_quoted(self, make: Any, reason: str) -> None:
        given = make()
        with pytest.raises(SettingsError, match=f"^{re.escape(reason)}") as refusal:
            key_source(JwtSettings(**given))
        message = str(refusal.value)
        lines = [line for value in given.values() if isinstance(value, str) for line in value.splitlines() if line]
        assert not [line for line in lines if line in message]
        assert refusal.value.__cause__ is None
        assert "\n" not in message


def algorithms_of(*entries: Any, allowed: tuple[str, ...] = ()) -> dict[str | None, list[tuple[str, ...]]]:
    """Return the algorithms of each usable key, by kid."""
    keys = parse_jwk_set(jwk_set(*entries), allowed).keys
    return {kid: [key.algorithms for key in alike] for kid, alike in keys.items()}


def dropped(*entries: Any, allowed: tuple[str, ...] = ()) -> list[tuple[int, str]]:
    """Return the level and the text of the line for each dropped key."""
    found = parse_jwk_set(jwk_set(*entries), allowed).dropped
    return [(reason.level, f"{name}: {reason}") for name, reason in found]


RSA, EC = RSA_ALGORITHMS, ("ES256",)
EDWARDS = ("EdDSA", "Ed25519")
PADDED = {name: jwk("RSA")[name] + "==" for name in ("n", "e")}

ACCEPTED: dict[str, tuple[list[Any], dict[str | None, list[tuple[str, ...]]]]] = {
    "use sig": ([jwk("RSA", use="sig")], {None: [RSA]}),
    "key_ops verify": ([jwk("RSA", key_ops=["verify"])], {None: [RSA]}),
    "key_ops sign and verify": ([jwk("RSA", key_ops=["sign", "verify"])], {None: [RSA]}),
    "use, key_ops and alg": ([jwk("RSA", use="sig", key_ops=["verify"], alg="RS256")], {None: [("RS256",)]}),
    "certificate members": ([jwk("RSA", x5c=["any"], x5u="https://attacker.example", ext=True)], {None: [RSA]}),
    "unknown members": ([jwk("RSA", kid="a", exp=1, iat="x", status={"a": []})], {"a": [RSA]}),
    "n and e padded": ([jwk("RSA", kid="a", **PADDED)], {"a": [RSA]}),
    "x and y padded": ([jwk("P-256", kid="a", x=jwk("P-256")["x"] + "=", y=jwk("P-256")["y"] + "=")], {"a": [EC]}),
    "x padded": ([jwk("Ed25519", kid="a", x=jwk("Ed25519")["x"] + "=")], {"a": [EDWARDS]}),
    "the same key twice": ([jwk("RSA", kid="a"), jwk("RSA", kid="a")], {"a": [RSA]}),
    "the same key twice, without kid": ([jwk("P-256"), jwk("P-256")], {None: [EC]}),
    "the same key under two kids": ([jwk("RSA", kid="a"), jwk("RSA", kid="b")], {"a": [RSA], "b": [RSA]}),
    "one kid for signature and encryption": (
        [jwk("RSA", kid="a", use="sig"), jwk("other RSA", kid="a", use="enc", alg="RSA-OAEP")],
        {"a": [RSA]},
    ),
    "one kid for RS256 and PS256": (
        [jwk("RSA", kid="a", alg="RS256"), jwk("RSA", kid="a", alg="PS256")],
        {"a": [("RS256",), ("PS256",)]},
    ),
    "one kid for RSA and EC": ([jwk("RSA", kid="a"), jwk("P-256", kid="a")], {"a": [RSA, EC]}),
    "one kid for two RSA keys": ([jwk("RSA", kid="a"), jwk("other RSA", kid="a")], {"a": [RSA, RSA]}),
    "a kid doubled by keys that are not used": (
        [jwk("RSA", kid="a", use="enc"), jwk("P-256", kid="a", use="enc"), jwk("P-384", kid="b")],
        {"b": [("ES384",)]},
    ),
    "several keys without kid": ([jwk("RSA"), jwk("P-256"), jwk("other P-256")], {None: [RSA, EC, EC]}),
    "an empty kid": ([jwk("RSA", kid=""), jwk("P-256")], {None: [RSA, EC]}),
    "null members": ([jwk("RSA", kid=None, use=None, key_ops=None, alg=None, d=None, k=None)], {None: [RSA]}),
    "alg Ed25519": ([jwk("Ed25519", kid="a", alg="Ed25519")], {"a": [EDWARDS]}),
    "alg EdDSA": ([jwk("Ed25519", kid="a", alg="EdDSA")], {"a": [EDWARDS]}),
    "alg Ed448": ([jwk("Ed448", kid="a", alg="Ed448")], {"a": [("EdDSA", "Ed448")]}),
    "alg ESP256": ([jwk("P-256", kid="a", alg="ESP256")], {"a": [EC]}),
    "alg ESP384": ([jwk("P-384", kid="a", alg="ESP384")], {"a": [("ES384",)]}),
    "alg ESP512": ([jwk("P-521", kid="a", alg="ESP512")], {"a": [("ES512",)]}),
    "alg ES256K": ([jwk("secp256k1", kid="a", alg="ES256K")], {"a": [("ES256K",)]}),
}
"""Key sets as issuers publish them, with the algorithms of each usable key by kid."""

WARNING, ERROR, INFO = logging.WARNING, logging.ERROR, logging.INFO
KEY_OPS = "its key_ops must have verify exactly once"
NOT_ONE_OF_RSA = f"its alg is not one of {', '.join(RSA)}"
NO_KEY = "its members describe no public key that is supported: "
SECRET_KEY = "it is a symmetric or private key, which must not be published"

DROPPED: list[tuple[dict[str, Any], int, str]] = [
    ({"use": "enc"}, INFO, "its use is not sig"),
    ({"use": "SIG"}, INFO, "its use is not sig"),
    ({"use": ["sig"]}, INFO, "its use is not sig"),
    ({"key_ops": []}, INFO, KEY_OPS),
    ({"key_ops": ["sign"]}, INFO, KEY_OPS),
    ({"key_ops": "verify"}, INFO, KEY_OPS),
    ({"key_ops": {"verify": True}}, INFO, KEY_OPS),
    ({"key_ops": ["verify", "verify"]}, INFO, KEY_OPS),
    ({"alg": "none"}, WARNING, NOT_ONE_OF_RSA),
    ({"alg": "HS256"}, WARNING, NOT_ONE_OF_RSA),
    ({"alg": "ES256"}, WARNING, NOT_ONE_OF_RSA),
    ({"alg": "ESP256"}, WARNING, NOT_ONE_OF_RSA),
    ({"alg": "Ed25519"}, WARNING, NOT_ONE_OF_RSA),
    ({"alg": "RSA-OAEP"}, WARNING, NOT_ONE_OF_RSA),
    ({"alg": ""}, WARNING, NOT_ONE_OF_RSA),
    ({"alg": ["RS256"]}, WARNING, NOT_ONE_OF_RSA),
    ({"alg": {"RS256": 1}}, WARNING, NOT_ONE_OF_RSA),
    ({"kty": None}, WARNING, f"{NO_KEY}kty None and crv None"),
    ({"kty": "rsa"}, WARNING, f"{NO_KEY}kty 'rsa' and crv None"),
    ({"kty": "x" * 500}, WARNING, f"{NO_KEY}kty '{'x' * 19} and crv None"),
    ({"kty": ["RSA"]}, WARNING, f"{NO_KEY}kty None and crv None"),
    ({"kty": "EC"}, WARNING, f"{NO_KEY}kty 'EC' and crv None"),
    ({"kty": "OKP", "crv": "X25519"}, WARNING, f"{NO_KEY}kty 'OKP' and crv 'X25519'"),
    ({"n": None}, WARNING, f"{NO_KEY}kty 'RSA' and crv None"),
    ({"n": 5}, WARNING, f"{NO_KEY}kty 'RSA' and crv None"),
    ({"n": "!"}, WARNING, "its n is not base64url"),
    ({"n": "AQAB"}, WARNING, f"{NO_KEY}kty 'RSA' and crv None"),
    ({"e": "AQ"}, WARNING, f"{NO_KEY}kty 'RSA' and crv None"),
    ({"e": ""}, WARNING, f"{NO_KEY}kty 'RSA' and crv None"),
    ({"e": "="}, WARNING, f"{NO_KEY}kty 'RSA' and crv None"),
    ({"e": "AQ=AB"}, WARNING, "its e is not base64url"),
    ({"e": "AQAB" * 200_000}, WARNING, f"{NO_KEY}kty 'RSA' and crv None"),
    ({"n": last_bit(jwk("RSA")["n"])}, WARNING, "its n is not base64url"),
    ({"n": " " + jwk("RSA")["n"]}, WARNING, "its n is not base64url"),
    ({"d": "AQAB"}, ERROR, SECRET_KEY),
    *(({name: "AQAB"}, ERROR, SECRET_KEY) for name in ("k", "p", "q", "dp", "dq", "qi")),
    ({"oth": []}, ERROR, SECRET_KEY),
    ({"kty": "oct"}, ERROR, SECRET_KEY),
]
"""What is wrong with a key: the members that are changed, the level of the line in the log, and what it says."""

NAMES = [f"{place} {'-'.join(changes)}" for place, (changes, *_) in enumerate(DROPPED)]
"""Names without the values, which differ from one process of a run to the next."""


class TestJwkSet:
    @pytest.mark.parametrize(("kind", "algorithms"), KEYS.items(), ids=KEYS)
    def test_a_key_allows_the_algorithms_of_its_kind(self, kind: str, algorithms: tuple[str, ...]) -> None:
        assert algorithms_of(jwk(kind, kid="one")) == {"one": [algorithms]}

    @pytest.mark.parametrize(("entries", "expected"), ACCEPTED.values(), ids=ACCEPTED)
    def test_what_issuers_publish_is_accepted(self, entries: list[Any], expected: dict[str | None, Any]) -> None:
        assert algorithms_of(*entries) == expected

    @pytest.mark.parametrize(("changes", "level", "reason"), DROPPED, ids=NAMES)
    def test_a_key_that_may_not_verify_is_dropped_alone(self, changes: dict[str, Any], level: int, reason: str) -> None:
        bad = {"kid": "bad", **jwk("RSA"), **changes}
        good = jwk("P-256", kid="good")
        for entries in ([bad, good], [good, bad]):
            assert algorithms_of(*entries) == {"good": [EC]}
            assert dropped(*entries) == [(level, f"kid 'bad': {reason}")]
        assert algorithms_of(bad) == {}

    @pytest.mark.parametrize("kid", [1, True, ["a"], {}, 1.5], ids=str)
    def test_a_key_whose_kid_is_not_text_is_dropped_alone(self, kid: object) -> None:
        entries = jwk("P-256", kid="good"), jwk("RSA", kid=kid)
        assert algorithms_of(*entries) == {"good": [EC]}
        assert dropped(*entries) == [(WARNING, "number 2, without kid: its kid is not a string")]

    @pytest.mark.parametrize("entry", [1, None, [], "key", True, 1.5], ids=str)
    def test_an_entry_that_is_not_an_object_is_dropped_alone(self, entry: object) -> None:
        assert algorithms_of(entry, jwk("P-256", kid="good")) == {"good": [EC]}
        assert dropped(entry, jwk("P-256")) == [(WARNING, "number 1, without kid: it is not a JSON object")]

    def test_the_line_names_the_kid_in_few_plain_characters(self) -> None:
        ((_, line),) = dropped(jwk("RSA", use="enc", kid="ñ\n\0" + "x" * 10_000))
        assert line.startswith("kid '\\xf1\\n\\x00xxx")
        assert len(line) < 150

    @pytest.mark.parametrize("kind", ["RSA", "P-256", "Ed25519", "Ed448"])
    def test_a_private_key_is_dropped_and_so_is_its_public_twin(self, kind: str) -> None:
        entries = jwk(kind, kid="twin"), private_jwk(kind, kid="private"), jwk("P-384", kid="good")
        assert algorithms_of(*entries) == {"good": [("ES384",)]}
        assert dropped(*entries) == [
            (ERROR, "kid 'twin': its private key is published in the same JWK set"),
            (ERROR, f"kid 'private': {SECRET_KEY}"),
        ]

    @pytest.mark.parametrize(("kind", "name"), [("P-256", "x"), ("P-521", "y"), ("Ed25519", "x"), ("Ed448", "x")])
    def test_a_number_in_another_base64_is_dropped(self, kind: str, name: str) -> None:
        number = jwk(kind)[name]
        wrong = [f"{number[:5]}\n{number[5:]}", f"{number[:4]}={number[4:]}", f" {number}", f"{number} ", f"{number}= "]
        if len(number) % 4:
            wrong.append(last_bit(number))
        for text in wrong:
            assert dropped(jwk(kind, **{name: text})) == [
                (WARNING, f"number 1, without kid: its {name} is not base64url")
            ]

    @pytest.mark.parametrize("changes", [{"crv": "P-384"}, {"crv": "P-224"}, {"x": "A" * 43}, {"y": None}], ids=str)
    def test_a_point_that_is_not_on_its_curve_is_dropped(self, changes: dict[str, Any]) -> None:
        assert algorithms_of(jwk("P-256", **changes)) == {}

    def test_a_weak_key_is_dropped(self) -> None:
        assert algorithms_of(jwk("weak RSA")) == {}

    def test_a_key_that_can_be_factored_is_dropped(self) -> None:
        weak = {**RSAAlgorithm.to_jwk(roca_key(), as_dict=True), "key_ops": ["verify"], "kid": "a"}
        assert dropped(weak) == [(WARNING, "kid 'a': is an RSA key that can be factored (CVE-2017-15361)")]

    @pytest.mark.parametrize(("kind", "alg"), [("Ed448", "Ed25519"), ("Ed25519", "Ed448"), ("P-256", "ESP384")])
    def test_an_alg_of_another_curve_is_dropped(self, kind: str, alg: str) -> None:
        assert algorithms_of(jwk(kind, alg=alg)) == {}

    def test_jwt_algorithms_and_alg_narrow_together(self) -> None:
        both = jwk("RSA", kid="rsa"), jwk("P-256", kid="ec")
        assert algorithms_of(*both, allowed=("PS256", "RS512")) == {"rsa": [("RS512", "PS256")]}
        assert dropped(*both, allowed=("PS256", "RS512")) == [(INFO, "kid 'ec': JWT_ALGORITHMS: this key allows ES256")]
        assert algorithms_of(jwk("RSA", alg="RS256"), allowed=("RS512",)) == {}
        assert algorithms_of(jwk("Ed25519", alg="Ed25519"), allowed=("EdDSA",)) == {None: [("EdDSA",)]}

    def test_a_token_is_tried_against_a_bounded_number_of_keys(self) -> None:
        alike = [_ec_key(number, kid="a") for number in range(1, MAXIMUM_KEYS_OF_A_KID + 3)]
        assert algorithms_of(*alike) == {"a": [EC] * MAXIMUM_KEYS_OF_A_KID}
        assert dropped(*alike) == [(WARNING, "kid 'a': more than 16 keys have this kid")] * 2

    def test_a_set_has_a_greatest_length(self) -> None:
        entries: list[dict[str, Any]] = [{}] * (MAXIMUM_KEYS - 1) + [
            jwk("P-256", kid="last"),
            jwk("P-384", kid="beyond"),
        ]
        assert algorithms_of(*entries) == {"last": [EC]}
        assert dropped(*entries)[-1] == (WARNING, "the rest: the JWK set has more than 1000 keys")
        assert dropped(*entries[:-1])[-1][1].startswith("number 999")

    @pytest.mark.parametrize("text", ["[]", "{}", "null", "1", '{"keys":{}}', '{"keys":null}', '{"Keys":[]}'])
    def test_what_is_not_a_set_is_refused(self, text: str) -> None:
        with pytest.raises(UnusableKey, match="not a JWK set"):
            parse_jwk_set(text.encode())

    def test_an_empty_set_has_no_keys(self) -> None:
        assert parse_jwk_set(jwk_set()) == ({}, [])

    @pytest.mark.parametrize(
        "text",
        [b"", b"\xff", b"<html>", b'{"keys":[NaN]}', b"[" * 100_000],
        ids=["empty", "not text", "a page", "NaN", "deep"],
    )
    def test_what_is_not_json_is_a_value_error(self, text: bytes) -> None:
        with pytest.raises(orjson.JSONDecodeError):
            parse_jwk_set(text)

    @pytest.mark.parametrize("depth", [10, 900, 1000, 1015, 1020])
    @pytest.mark.parametrize("name", ["x5c", "kid", "alg", "use", "key_ops", "kty", "n"])
    def test_a_deep_member_does_not_end_the_fetching(self, depth: int, name: str) -> None:
        text = jwk_set({"kty": "", name: "here"}).replace(b'"here"', b"[" * depth + b"]" * depth)
        assert parse_jwk_set(text).keys == {}


def _ec_key(number: int, **members: Any) -> dict[str, Any]:
    """Return the public key whose private key is this number, as a JWK."""
    return ECAlgorithm.to_jwk(ec.derive_private_key(number, ec.SECP256R1()).public_key(), as_dict=True) | members


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["AQAB", "A" * 43]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
CHOSEN = st.sampled_from(
    [
        "RSA",
        "EC",
        "OKP",
        "P-256",
        "P-384",
        "P-521",
        "secp256k1",
        "Ed25519",
        "Ed448",
        "sig",
        "RS256",
        "ES256",
        ["verify"],
    ]
)
MEMBERS = st.sampled_from(["kty", "crv", "x", "y", "n", "e", "d", "p", "alg", "use", "key_ops", "kid"])
JWKS = st.dictionaries(MEMBERS, CHOSEN | VALUES) | st.builds(
    lambda kind, changes: jwk(kind) | changes, st.sampled_from(list(KEYS)), st.dictionaries(MEMBERS, CHOSEN | VALUES)
)


class TestAnything:
    @settings(deadline=None, max_examples=300)
    @given(document=st.builds(lambda keys: {"keys": keys}, st.lists(JWKS, max_size=3) | VALUES) | VALUES)
    def test_json_gives_keys_or_a_refusal(self, document: Any) -> None:
        try:
            keys, dropped_keys = parse_jwk_set(_json(document))
        except (UnusableKey, ValueError):
            return
        found = [key.algorithms for alike in keys.values() for key in alike]
        assert all(each in (*KEYS.values(), *((name,) for name in RSA_ALGORITHMS)) for each in found)
        assert len(found) + len(dropped_keys) <= len(document["keys"])

    @settings(deadline=None)
    @given(text=st.binary(max_size=64))
    def test_bytes_give_a_refusal(self, text: bytes) -> None:
        with pytest.raises((UnusableKey, ValueError)):
            parse_jwk_set(text)


def _json(document: Any) -> bytes:
    try:
        return orjson.dumps(document)
    except TypeError:  # a lone surrogate, or an integer of more than 64 bits: not what orjson writes
        return repr(document).replace("'", '"').encode(errors="replace")
