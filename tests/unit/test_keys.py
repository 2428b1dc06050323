"""Only keys that can verify a signature safely are taken, from the settings or from a JWK set."""

from __future__ import annotations

import datetime
import re
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from jwt.algorithms import RSAAlgorithm

from customer_service.errors import SettingsError
from customer_service.jwks import JwkSetKeys
from customer_service.keys import RSA_ALGORITHMS, UnusableKey, parse_jwk_set
from customer_service.settings import JwtSettings
from customer_service.tokens import key_source
from tests.forge import jwk, last_bit, private_jwk, private_key, private_pem, public_pem, roca_key
from tests.support import SECRET

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

KEYS = {
    "RSA": RSA_ALGORITHMS,
    "P-256": ("ES256",),
    "P-384": ("ES384",),
    "P-521": ("ES512",),
    "secp256k1": ("ES256K",),
    "Ed25519": ("EdDSA",),
    "Ed448": ("EdDSA",),
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
        key = source.find("whatever")
        assert key is not None
        assert key.algorithms == algorithms
        assert source.ready()

    def test_an_rsa_key_may_stand_in_the_older_pem(self) -> None:
        key = key_source(JwtSettings(public_key=public_pem("RSA", PublicFormat.PKCS1))).find(None)
        assert key is not None
        assert key.algorithms == RSA_ALGORITHMS

    def test_a_secret_allows_hs256_only(self) -> None:
        key = key_source(JwtSettings(secret=SECRET)).find(None)
        assert key is not None
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


class TestJwkSet:
    @pytest.mark.parametrize(("kind", "algorithms"), KEYS.items(), ids=KEYS)
    def test_a_key_allows_the_algorithms_of_its_kind(self, kind: str, algorithms: tuple[str, ...]) -> None:
        keys = parse_jwk_set(jwk_set(jwk(kind, kid="one")))
        assert {kid: key.algorithms for kid, key in keys.items()} == {"one": algorithms}

    @pytest.mark.parametrize(
        "members",
        [
            {},
            {"use": "sig"},
            {"key_ops": ["verify"]},
            {"key_ops": ["sign", "verify"]},
            {"use": "sig", "key_ops": ["verify"], "alg": "RS256"},
            {"kid": None},
            {"x5c": ["anything"], "x5u": "https://attacker.example", "ext": True},
        ],
        ids=str,
    )
    def test_a_key_that_may_verify_is_taken(self, members: dict[str, Any]) -> None:
        assert list(parse_jwk_set(jwk_set(jwk("RSA", **members)))) == [None]

    @pytest.mark.parametrize(
        "members",
        [
            {"use": "enc"},
            {"use": "SIG"},
            {"use": None},
            {"use": ["sig"]},
            {"key_ops": []},
            {"key_ops": ["sign"]},
            {"key_ops": "verify"},
            {"key_ops": None},
            {"key_ops": {"verify": True}},
            {"kid": 1},
            {"kid": ["a"]},
            {"kid": {}},
            {"alg": "none"},
            {"alg": "HS256"},
            {"alg": "ES256"},
            {"alg": "RSA-OAEP"},
            {"alg": None},
            {"alg": ["RS256"]},
            {"kty": None},
            {"kty": "rsa"},
            {"kty": ["RSA"]},
            {"n": 5},
            {"n": "!"},
            {"n": "AQAB"},
            {"e": "AQ"},
            {"e": ""},
            {"e": "AQAB="},
            {"n": jwk("RSA")["n"] + "=="},
            {"n": last_bit(jwk("RSA")["n"])},
            {"n": " " + jwk("RSA")["n"]},
            {"key_ops": ["verify", "verify"]},
        ],
        ids="-".join,  # their values differ from one process to the next
    )
    def test_a_key_that_may_not_verify_is_left_out(self, members: dict[str, Any]) -> None:
        left_out = {"kid": "bad", **jwk("RSA"), **members}
        assert list(parse_jwk_set(jwk_set(left_out, jwk("P-256", kid="good")))) == ["good"]
        with pytest.raises(UnusableKey, match="no key that verifies"):
            parse_jwk_set(jwk_set(left_out))

    @pytest.mark.parametrize("kind", ["RSA", "P-256", "Ed25519", "Ed448"])
    def test_a_set_with_a_private_key_is_refused(self, kind: str) -> None:
        with pytest.raises(UnusableKey, match="symmetric or private"):
            parse_jwk_set(jwk_set(jwk("RSA", kid="good"), private_jwk(kind, kid="private")))

    @pytest.mark.parametrize("name", ["k", "d", "p", "q", "dp", "dq", "qi", "oth"])
    @pytest.mark.parametrize("value", [None, "AQAB", []], ids=str)
    def test_a_set_with_a_private_member_is_refused(self, name: str, value: object) -> None:
        with pytest.raises(UnusableKey, match="symmetric or private"):
            parse_jwk_set(jwk_set(jwk("P-256", kid="good"), jwk("RSA", kid="bad", **{name: value})))

    @pytest.mark.parametrize(("kind", "name"), [("P-256", "x"), ("P-521", "y"), ("Ed25519", "x"), ("Ed448", "x")])
    def test_a_number_in_another_base64_is_left_out(self, kind: str, name: str) -> None:
        number = jwk(kind)[name]
        wrong = [
            number + "=" * (-len(number) % 4 or 4),
            f"{number[:5]}\n{number[5:]}",
            number.replace("A", "A ", 1) + " ",
        ]
        if len(number) % 4:
            wrong.append(last_bit(number))
        for text in wrong:
            with pytest.raises(UnusableKey, match="no key that verifies"):
                parse_jwk_set(jwk_set(jwk(kind, **{name: text})))

    @pytest.mark.parametrize("changes", [{"crv": "P-384"}, {"crv": "P-224"}, {"x": "A" * 43}, {"y": None}], ids=str)
    def test_a_point_that_is_not_on_its_curve_is_left_out(self, changes: dict[str, Any]) -> None:
        with pytest.raises(UnusableKey, match="no key that verifies"):
            parse_jwk_set(jwk_set(jwk("P-256", **changes)))

    def test_a_weak_key_is_left_out(self) -> None:
        with pytest.raises(UnusableKey, match="no key that verifies"):
            parse_jwk_set(jwk_set(jwk("weak RSA")))

    def test_a_key_that_can_be_factored_is_left_out(self) -> None:
        weak = RSAAlgorithm.to_jwk(roca_key(), as_dict=True)
        with pytest.raises(UnusableKey, match="no key that verifies"):
            parse_jwk_set(jwk_set({**weak, "key_ops": ["verify"]}))

    def test_jwt_algorithms_and_alg_narrow_together(self) -> None:
        both = jwk_set(jwk("RSA", kid="rsa"), jwk("P-256", kid="ec"))
        assert {kid: key.algorithms for kid, key in parse_jwk_set(both, ("PS256", "RS512")).items()} == {
            "rsa": ("RS512", "PS256")
        }
        with pytest.raises(UnusableKey, match="no key that verifies"):
            parse_jwk_set(jwk_set(jwk("RSA", alg="RS256")), ("RS512",))

    def test_a_set_with_a_symmetric_key_is_refused(self) -> None:
        with pytest.raises(UnusableKey, match="symmetric"):
            parse_jwk_set(jwk_set(jwk("RSA", kid="good"), {"kty": "oct", "k": "AAAA", "use": "enc"}))

    @pytest.mark.parametrize("name", [{"kid": "one"}, {}], ids=["named", "nameless"])
    def test_a_set_with_one_kid_twice_is_refused(self, name: dict[str, str]) -> None:
        with pytest.raises(UnusableKey, match="kid twice"):
            parse_jwk_set(jwk_set(jwk("RSA", **name), jwk("P-256", **name)))

    def test_a_kid_is_not_shared_even_with_a_key_that_is_left_out(self) -> None:
        with pytest.raises(UnusableKey, match="kid twice"):
            parse_jwk_set(jwk_set(jwk("RSA", kid="one", use="enc"), jwk("P-256", kid="one")))

    def test_nameless_keys_that_are_left_out_confuse_nobody(self) -> None:
        nameless = [jwk("RSA", use="enc"), jwk("P-256", use="enc"), jwk("P-384")]
        assert list(parse_jwk_set(jwk_set(*nameless))) == [None]

    @pytest.mark.parametrize(
        "text",
        ["[]", "{}", "null", "1", '{"keys":{}}', '{"keys":null}', '{"keys":[1]}', '{"keys":[[]]}', '{"Keys":[]}'],
    )
    def test_what_is_not_a_set_is_refused(self, text: str) -> None:
        with pytest.raises(UnusableKey, match="not a JWK set"):
            parse_jwk_set(text.encode())

    def test_an_empty_set_is_refused(self) -> None:
        with pytest.raises(UnusableKey, match="no key that verifies"):
            parse_jwk_set(jwk_set())

    @pytest.mark.parametrize(
        "text",
        [b"", b"\xff", b"<html>", b'{"keys":[NaN]}', b"[" * 100_000],
        ids=["empty", "not text", "a page", "NaN", "deep"],
    )
    def test_what_is_not_json_is_a_value_error(self, text: bytes) -> None:
        with pytest.raises(orjson.JSONDecodeError):
            parse_jwk_set(text)

    @pytest.mark.parametrize("depth", [10, 900, 1000, 1015, 1020])
    @pytest.mark.parametrize("start", [{"kty": ""}, {"kty": "OKP"}, {}, {"kty": "RSA"}], ids=str)
    def test_a_deep_member_does_not_end_the_fetching(self, depth: int, start: dict[str, str]) -> None:
        text = jwk_set(start | {"x5c": "here"}).replace(b'"here"', b"[" * depth + b"]" * depth)
        with pytest.raises(UnusableKey):
            parse_jwk_set(text)


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
            keys = parse_jwk_set(_json(document))
        except (UnusableKey, ValueError):
            return
        assert all(key.algorithms in (*KEYS.values(), *((name,) for name in RSA_ALGORITHMS)) for key in keys.values())

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
