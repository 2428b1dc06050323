"""TokenVerifier accepts only what the configured issuer signs for this service; mint makes such tokens."""

from __future__ import annotations

import time
from datetime import datetime, tzinfo
from typing import Any

import jwt
import pytest

from customer_service.auth import tokens
from customer_service.auth.keys import VerificationKey
from customer_service.auth.tokens import TokenVerifier, mint
from customer_service.errors import ExpiredToken, InvalidToken, SettingsError, SigningKeysUnavailable
from customer_service.settings import JwtSettings
from tests.support import MEMBER, SECRET
from tests.support.tokens import ALGORITHMS, claims, forge, issue, private_key, public_pem

NOW = 1_900_000_000
SIGNERS = [*ALGORITHMS.items(), ("EdDSA", "Ed448")]
ISSUER = "https://issuer.example"
AUDIENCE = "customer-service"


def verifier(**jwt_settings: Any) -> TokenVerifier:
    return TokenVerifier(
        JwtSettings(**(jwt_settings if "public_key" in jwt_settings else {"secret": SECRET, **jwt_settings}))
    )


@pytest.fixture
def frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time is NOW."""

    class Frozen(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Frozen:
            return cls.fromtimestamp(NOW, tz)

    monkeypatch.setattr("jwt.api_jwt.datetime", Frozen)
    monkeypatch.setattr(time, "time", lambda: float(NOW))


class TestSignatures:
    def test_a_secret_verifies_hs256(self) -> None:
        assert verifier().verify(forge()) == MEMBER

    def test_a_secret_that_is_not_text_verifies_hs256(self) -> None:
        """An environment variable of any bytes reaches Python with surrogates for those that are not UTF-8."""
        raw = b"\xff\xfe" * 16
        secret = raw.decode("utf-8", "surrogateescape")
        assert verifier(secret=secret).verify(forge(secret=raw)) == MEMBER

    @pytest.mark.parametrize(("algorithm", "kind"), SIGNERS, ids=lambda name: name)
    def test_a_public_key_verifies(self, algorithm: str, kind: str) -> None:
        assert verifier(public_key=public_pem(kind)).verify(issue(algorithm, kind)) == MEMBER

    @pytest.mark.parametrize(("algorithm", "kind"), SIGNERS, ids=lambda name: name)
    @pytest.mark.parametrize("size", [1, 32, 64, 114, 132, 256, 4000])
    def test_a_signature_of_any_size_is_refused(self, algorithm: str, kind: str, size: int) -> None:
        message = issue(algorithm, kind).rpartition(".")[0]
        with pytest.raises(InvalidToken):
            verifier(public_key=public_pem(kind)).verify(f"{message}.{'A' * (size // 3 * 4 or 4)}")

    @pytest.mark.parametrize(("algorithm", "kind"), SIGNERS, ids=lambda name: name)
    def test_a_changed_claim_is_refused(self, algorithm: str, kind: str) -> None:
        header, _, signature = issue(algorithm, kind).split(".")
        other = issue(algorithm, kind, sub="another-user").split(".")[1]
        with pytest.raises(InvalidToken, match="InvalidSignatureError"):
            verifier(public_key=public_pem(kind)).verify(f"{header}.{other}.{signature}")

    @pytest.mark.parametrize("algorithm", [name for name, kind in ALGORITHMS.items() if kind == "RSA"])
    def test_jwt_algorithms_narrows_what_an_rsa_key_verifies(self, algorithm: str) -> None:
        narrowed = verifier(public_key=public_pem("RSA"), algorithms=(algorithm,))
        assert narrowed.verify(issue(algorithm)) == MEMBER
        for other in ("RS256", "RS512", "PS256", "PS512"):
            if other != algorithm:
                with pytest.raises(InvalidToken, match="InvalidAlgorithmError"):
                    narrowed.verify(issue(other))

    @pytest.mark.parametrize("kid", ["", "any", "../../dev/null"])
    def test_a_kid_says_nothing_about_the_only_key(self, kid: str) -> None:
        assert verifier().verify(forge({"alg": "HS256", "kid": kid})) == MEMBER

    def test_a_verifier_of_one_key_is_always_ready(self) -> None:
        assert verifier().ready()


class TestForm:
    def test_a_token_has_a_greatest_length(self, monkeypatch: pytest.MonkeyPatch) -> None:
        token = forge()
        monkeypatch.setattr(tokens, "MAXIMUM_TOKEN_LENGTH", len(token))
        assert verifier().verify(token) == MEMBER
        monkeypatch.setattr(tokens, "MAXIMUM_TOKEN_LENGTH", len(token) - 1)
        with pytest.raises(InvalidToken, match="compact form"):
            verifier().verify(token)

    def test_the_greatest_length_is_what_a_server_takes_as_a_header(self) -> None:
        assert verifier().verify(forge({"alg": "HS256", "x": "x" * 5900})) == MEMBER
        with pytest.raises(InvalidToken, match="compact form"):
            verifier().verify(forge({"alg": "HS256", "x": "x" * 6100}))

    @pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
    def test_json_in_any_encoding_but_utf8_is_refused(self, encoding: str) -> None:
        with pytest.raises(InvalidToken, match="DecodeError"):
            verifier().verify(forge('{"alg":"HS256"}'.encode(encoding)))
        with pytest.raises(InvalidToken, match="DecodeError"):
            verifier().verify(forge(payload=f'{{"sub":"a","exp":{NOW}}}'.encode(encoding)))

    @pytest.mark.parametrize("member", ["NaN", "Infinity", '"\\ud800"', "01", "'x'"])
    def test_json_that_only_python_takes_is_refused(self, member: str) -> None:
        with pytest.raises(InvalidToken, match="DecodeError"):
            verifier().verify(forge(f'{{"alg":"HS256","x":{member}}}'))

    def test_a_header_of_five_characters_is_refused(self) -> None:
        with pytest.raises(InvalidToken, match="DecodeError"):
            verifier().verify("AAAAA.AAAA.AAAA")

    @pytest.mark.parametrize("secret", ["right", "wrong"])
    def test_a_refusal_contains_nothing_of_the_token(self, secret: str) -> None:
        token = forge(
            payload=claims(sub="s3cret\0", aud=["s3cret"]), secret=SECRET.encode() + b"!" * (secret == "wrong")
        )
        with pytest.raises(InvalidToken) as refusal:
            verifier().verify(token)
        assert "s3cret" not in str(refusal.value)
        assert refusal.value.__cause__ is None
        assert refusal.value.__suppress_context__ or refusal.value.__context__ is None


class _Keys:
    """Keys by their kid, as a JWK set has them."""

    def __init__(self, *, reachable: bool = True) -> None:
        self.reachable = reachable
        self.asked: list[str | None] = []

    def find(self, kid: str | None, algorithm: object) -> tuple[VerificationKey, ...]:  # noqa: ARG002 - the protocol's signature
        self.asked.append(kid)
        if not self.reachable:
            raise SigningKeysUnavailable
        return (VerificationKey(private_key("P-256").public_key(), ("ES256",)),) if kid == "one" else ()

    def ready(self) -> bool:
        return self.reachable


class TestKeysByName:
    def test_the_kid_names_the_key(self) -> None:
        keys = _Keys()
        assert TokenVerifier(JwtSettings(), keys).verify(issue("ES256", headers={"kid": "one"})) == MEMBER
        assert keys.asked == ["one"]

    @pytest.mark.parametrize("headers", [{}, {"kid": "two"}, {"kid": ""}, {"kid": "one\0"}], ids=str)
    def test_a_kid_that_names_none_is_refused(self, headers: dict[str, str]) -> None:
        with pytest.raises(InvalidToken, match="unknown kid"):
            TokenVerifier(JwtSettings(), _Keys()).verify(issue("ES256", headers=headers))

    @pytest.mark.parametrize("kid", [1, True, 1.5, [], ["one"], {}, {"one": "one"}], ids=str)
    def test_a_kid_that_is_not_text_is_not_looked_up(self, kid: object) -> None:
        keys = _Keys()
        with pytest.raises(InvalidToken):
            TokenVerifier(JwtSettings(), keys).verify(forge({"alg": "ES256", "kid": kid}))
        assert keys.asked == []

    def test_a_token_is_not_judged_without_keys(self) -> None:
        judge = TokenVerifier(JwtSettings(), _Keys(reachable=False))
        assert not judge.ready()
        with pytest.raises(SigningKeysUnavailable):
            judge.verify(issue("ES256", headers={"kid": "one"}))


class _Several:
    """Three keys that fit every token, in this order."""

    KINDS = ("other P-256", "P-256", "third P-256")

    def __init__(self) -> None:
        self.keys = tuple(VerificationKey(private_key(kind).public_key(), ("ES256",)) for kind in self.KINDS)

    def find(self, kid: str | None, algorithm: object) -> tuple[VerificationKey, ...]:  # noqa: ARG002 - the protocol's signature
        return self.keys

    def ready(self) -> bool:
        return True


class TestSeveralKeys:
    @pytest.mark.parametrize("kind", _Several.KINDS)
    def test_each_is_tried_and_the_right_one_is_remembered(self, kind: str) -> None:
        keys = _Several()
        judge = TokenVerifier(JwtSettings(), keys, 10)
        token = issue("ES256", kind)
        assert judge.verify(token) == MEMBER
        keys.keys = tuple(key for key, each in zip(keys.keys, keys.KINDS, strict=True) if each == kind)
        assert judge.verify(token) == MEMBER
        assert judge.verified.hits == 1

    def test_a_token_of_none_of_them_is_refused(self) -> None:
        with pytest.raises(InvalidToken, match="InvalidSignatureError"):
            TokenVerifier(JwtSettings(), _Several()).verify(issue("ES256", "fourth P-256"))

    @pytest.mark.parametrize("kind", _Several.KINDS)
    def test_what_is_wrong_with_its_claims_is_judged_once_its_key_is_found(self, kind: str) -> None:
        judge = TokenVerifier(JwtSettings(issuer=ISSUER), _Several())
        with pytest.raises(ExpiredToken):
            judge.verify(issue("ES256", kind, exp=1))
        with pytest.raises(InvalidToken, match="iss is absent"):
            judge.verify(issue("ES256", kind))


class TestNamesOfRfc9864:
    """A token may call EdDSA by its curve, as newer issuers do."""

    @pytest.mark.parametrize("kind", ["Ed25519", "Ed448"])
    @pytest.mark.parametrize("algorithm", ["EdDSA", "curve"])
    def test_both_names_verify(self, kind: str, algorithm: str) -> None:
        alg = kind if algorithm == "curve" else algorithm
        token = issue("EdDSA", kind, headers={"alg": alg})
        assert jwt.get_unverified_header(token)["alg"] == alg
        assert verifier(public_key=public_pem(kind)).verify(token) == MEMBER

    @pytest.mark.parametrize(("kind", "alg"), [("Ed25519", "Ed448"), ("Ed448", "Ed25519")])
    def test_the_name_of_the_other_curve_is_refused(self, kind: str, alg: str) -> None:
        with pytest.raises(InvalidToken, match="InvalidAlgorithmError"):
            verifier(public_key=public_pem(kind)).verify(issue("EdDSA", kind, headers={"alg": alg}))

    def test_jwt_algorithms_can_allow_one_name_alone(self) -> None:
        narrowed = verifier(public_key=public_pem("Ed25519"), algorithms=("Ed25519",))
        assert narrowed.verify(issue("EdDSA", headers={"alg": "Ed25519"})) == MEMBER
        with pytest.raises(InvalidToken, match="InvalidAlgorithmError"):
            narrowed.verify(issue("EdDSA"))


@pytest.mark.usefixtures("frozen")
class TestExpired:
    def test_a_token_that_was_valid_is_expired(self) -> None:
        with pytest.raises(ExpiredToken, match=r"^exp is in the past$"):
            verifier().verify(forge(payload=claims(exp=NOW)))

    @pytest.mark.parametrize(
        "token",
        [
            forge(payload=claims(exp=NOW), secret=b"another secret, of 32 bytes or more too"),
            forge(payload=claims(exp="never")),
            forge(payload=claims(exp=None)),
            forge(payload=claims(exp=True)),
            forge(payload=claims(exp="1")),
            forge(payload=claims(exp=NOW + 99, nbf=NOW + 9)),
        ],
        ids=["forged", "text", "null", "true", "number as text", "not yet valid"],
    )
    def test_another_is_not(self, token: str) -> None:
        with pytest.raises(InvalidToken) as refusal:
            verifier().verify(token)
        assert type(refusal.value) is InvalidToken


@pytest.mark.usefixtures("frozen")
class TestTimes:
    @pytest.mark.parametrize(
        ("leeway", "times", "accepted"),
        [
            (0, {"exp": NOW + 1}, True),
            (0, {"exp": NOW}, False),
            (0, {"exp": NOW + 0.9}, False),
            (0, {"exp": NOW + 1.5}, True),
            (30, {"exp": NOW - 29}, True),
            (30, {"exp": NOW - 30}, False),
            (0, {"exp": 10**30}, True),
            (0, {"nbf": NOW}, True),
            (0, {"nbf": NOW - 0.5}, True),
            (0, {"nbf": NOW + 1}, False),
            (0, {"nbf": NOW + 2}, False),
            (5, {"nbf": NOW + 2}, True),
            (30, {"nbf": NOW + 30}, True),
            (30, {"nbf": NOW + 31}, False),
            (0, {"nbf": None}, False),
            (0, {"iat": NOW + 86_400}, True),
            (0, {"iat": "soon"}, True),
        ],
        ids=str,
    )
    def test_a_token_is_accepted_in_its_time(self, leeway: int, times: dict[str, Any], accepted: bool) -> None:
        judge = verifier(leeway_seconds=leeway)
        token = forge(payload=claims(**times))
        if accepted:
            assert judge.verify(token) == MEMBER
        else:
            with pytest.raises(InvalidToken):
                judge.verify(token)


class TestIssuerAndAudience:
    @pytest.mark.parametrize("given", [{}, {"aud": "any"}, {"aud": ["a", "b"]}, {"aud": 7}, {"iss": 7}], ids=str)
    def test_any_is_accepted_if_none_is_set(self, given: dict[str, Any]) -> None:
        assert verifier().verify(forge(payload=claims(**given))) == MEMBER

    @pytest.mark.parametrize("audience", [AUDIENCE, [AUDIENCE], ["other", AUDIENCE]], ids=str)
    def test_the_right_ones_are_accepted(self, audience: object) -> None:
        judge = verifier(issuer=ISSUER, audience=AUDIENCE)
        assert judge.verify(forge(payload=claims(iss=ISSUER, aud=audience))) == MEMBER

    @pytest.mark.parametrize("claim", ["iss", "aud"])
    @pytest.mark.parametrize(
        "spoil",
        [
            lambda _: None,
            lambda _: "",
            lambda right: right[:-1],
            lambda right: right + "/",
            lambda right: right + "\0",
            lambda right: " " + right,
            lambda right: right.upper(),
            list,
            lambda right: {right: right},
            lambda right: [right, 1],
            lambda _: [],
            lambda _: True,
        ],
        ids=["null", "empty", "prefix", "slash", "NUL", "space", "case", "letters", "object", "number", "[]", "true"],
    )
    def test_anything_else_is_refused(self, claim: str, spoil: Any) -> None:
        right = {"iss": ISSUER, "aud": AUDIENCE}
        judge = verifier(issuer=ISSUER, audience=AUDIENCE)
        for wrong in (right | {claim: spoil(right[claim])}, {name: right[name] for name in right if name != claim}):
            with pytest.raises(InvalidToken):
                judge.verify(forge(payload=claims(**wrong)))


class TestReason:
    """The log says what was expected and what was received, once the token's signature is known to be right."""

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"iss": ISSUER + "/"}, f"iss is '{ISSUER}/', expected '{ISSUER}'"),
            ({"iss": None}, f"iss is absent, expected '{ISSUER}'"),
            ({"iss": [ISSUER]}, f"iss is of type list, expected '{ISSUER}'"),
            ({"iss": 1}, f"iss is of type int, expected '{ISSUER}'"),
            ({"iss": "ñ\0"}, f"iss is '\\xf1\\x00', expected '{ISSUER}'"),
            ({"aud": "other"}, f"aud is 'other', expected '{AUDIENCE}'"),
            ({"aud": ["a", "b"]}, f"aud is ['a', 'b'], expected '{AUDIENCE}'"),
            ({"aud": []}, f"aud is [], expected '{AUDIENCE}'"),
            ({"aud": [AUDIENCE, 1]}, f"aud is of type list, expected '{AUDIENCE}'"),
            ({"aud": {AUDIENCE: 1}}, f"aud is of type dict, expected '{AUDIENCE}'"),
            ({"aud": "x" * 900}, f"aud is '{'x' * 199}, expected '{AUDIENCE}'"),
        ],
        ids=lambda value: str(value)[:40],
    )
    def test_a_wrong_issuer_or_audience_is_named(self, changes: dict[str, Any], reason: str) -> None:
        token = forge(payload=claims(**{"iss": ISSUER, "aud": AUDIENCE, **changes}))
        with pytest.raises(InvalidToken) as refusal:
            verifier(issuer=ISSUER, audience=AUDIENCE).verify(token)
        assert str(refusal.value) == reason

    def test_nothing_of_a_forged_token_is_named(self) -> None:
        token = forge(payload=claims(iss="s3cret"), secret=b"another secret, of 32 bytes or more too")
        with pytest.raises(InvalidToken, match=r"^InvalidSignatureError$"):
            verifier(issuer=ISSUER).verify(token)


class TestAudienceClaim:
    """Access tokens of Amazon Cognito have `client_id`, and no `aud`."""

    @pytest.mark.parametrize(
        ("given", "accepted"),
        [
            ({"client_id": AUDIENCE}, True),
            ({"client_id": AUDIENCE, "aud": "other"}, True),
            ({"client_id": [AUDIENCE]}, True),
            ({"aud": AUDIENCE}, False),
            ({"client_id": "other", "aud": AUDIENCE}, False),
            ({"client_id": None, "aud": AUDIENCE}, False),
            ({"client_id": ""}, False),
            ({}, False),
        ],
        ids=str,
    )
    def test_the_claim_that_the_settings_name_is_checked(self, given: dict[str, Any], accepted: bool) -> None:
        judge = verifier(audience=AUDIENCE, audience_claim="client_id")
        token = forge(payload=claims(**given))
        if accepted:
            assert judge.verify(token) == MEMBER
        else:
            with pytest.raises(InvalidToken, match=r"^client_id is "):
                judge.verify(token)

    def test_what_is_minted_has_the_claim(self) -> None:
        settings = JwtSettings(secret=SECRET, audience=AUDIENCE, audience_claim="client_id")
        minted = jwt.decode(mint(settings, MEMBER, 60), options={"verify_signature": False})
        assert minted["client_id"] == AUDIENCE
        assert "aud" not in minted


class TestSubject:
    @pytest.mark.parametrize("subject", ["a", "x" * 256, "ñ", "😀" * 256, "auth0|1", " "], ids=ascii)
    def test_a_name_is_returned_as_it_is(self, subject: str) -> None:
        assert verifier().verify(forge(payload=claims(sub=subject))) == subject

    @pytest.mark.parametrize("subject", ["", "x" * 257, "a\0", "a\n", "\x7f", "\x85", "\ud800", 1, ["a"]], ids=ascii)
    def test_anything_else_is_refused(self, subject: object) -> None:
        with pytest.raises(InvalidToken):
            verifier().verify(forge(payload=claims(sub=subject)))


class TestMint:
    @pytest.mark.parametrize("issuer", [None, ISSUER], ids=["any issuer", "issuer"])
    @pytest.mark.parametrize("audience", [None, AUDIENCE], ids=["any audience", "audience"])
    @pytest.mark.parametrize("secret", [SECRET, "\udcff\udcfe" * 16], ids=["text", "bytes"])
    def test_what_is_minted_is_accepted(self, issuer: str | None, audience: str | None, secret: str) -> None:
        settings = JwtSettings(secret=secret, issuer=issuer, audience=audience)
        assert TokenVerifier(settings).verify(mint(settings, MEMBER, 60)) == MEMBER

    @pytest.mark.usefixtures("frozen")
    @pytest.mark.parametrize("lifetime", [0, -60])
    def test_a_token_without_a_lifetime_is_refused(self, lifetime: int) -> None:
        assert mint(JwtSettings(secret=SECRET), MEMBER, 1)
        with pytest.raises(InvalidToken):
            mint(JwtSettings(secret=SECRET), MEMBER, lifetime)

    @pytest.mark.parametrize("subject", ["", "x" * 257, "a\0b", "a\nb", "\udcff"], ids=ascii)
    def test_a_bad_subject_is_refused(self, subject: str) -> None:
        with pytest.raises(InvalidToken):
            mint(JwtSettings(secret=SECRET), subject, 60)

    def test_a_public_key_cannot_mint(self) -> None:
        with pytest.raises(SettingsError, match=r"^JWT_SECRET: is not set"):
            mint(JwtSettings(public_key=public_pem("P-256")), MEMBER, 60)

    def test_a_public_key_in_the_secrets_place_cannot_mint(self) -> None:
        with pytest.raises(SettingsError, match=r"^JWT_SECRET: is a public key"):
            mint(JwtSettings(secret=public_pem("P-256")), MEMBER, 60)

    def test_an_algorithm_that_the_secret_does_not_allow_cannot_mint(self) -> None:
        with pytest.raises(SettingsError, match=r"^JWT_ALGORITHMS:"):
            mint(JwtSettings(secret=SECRET, algorithms=("RS256",)), MEMBER, 60)


class TestCache:
    """A verified token is not verified again while it would be accepted again."""

    @pytest.fixture
    def verifications(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """Collect the tokens that are verified without the cache."""
        verify, seen = TokenVerifier._verify_uncached, []

        def verifying(self: TokenVerifier, token: str) -> tokens.VerifiedToken:
            seen.append(token)
            return verify(self, token)

        monkeypatch.setattr(TokenVerifier, "_verify_uncached", verifying)
        return seen

    def caching(self, entries: int = 10, **jwt_settings: Any) -> TokenVerifier:
        return TokenVerifier(JwtSettings(secret=SECRET, **jwt_settings), cache_entries=entries)

    def test_once(self, verifications: list[str]) -> None:
        token, caching = forge(), self.caching()
        assert {caching.verify(token) for _ in range(3)} == {MEMBER}
        assert verifications == [token]

    def test_never(self, verifications: list[str]) -> None:
        token, forgetful = forge(), self.caching(0)
        assert {forgetful.verify(token) for _ in range(2)} == {MEMBER}
        assert verifications == [token] * 2

    def test_not_in_clear(self) -> None:
        token, caching = forge(), self.caching()
        caching.verify(token)
        assert token.rpartition(".")[2] not in str(vars(caching.verified))

    def test_no_other_token(self, verifications: list[str]) -> None:
        token, caching = forge(), self.caching()
        caching.verify(token)
        for place in (-40, -60, -80):
            other = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
            with pytest.raises(InvalidToken):
                caching.verify(other)
        assert len(verifications) == 4

    def test_no_refusal(self, verifications: list[str]) -> None:
        caching, bad = self.caching(), forge(secret=b"another secret, of 32 bytes or more too")
        for _ in range(2):
            with pytest.raises(InvalidToken):
                caching.verify(bad)
        assert len(verifications) == 2

    @pytest.mark.usefixtures("frozen")
    @pytest.mark.parametrize("leeway", [0, 5])
    def test_until_it_expires(self, verifications: list[str], monkeypatch: pytest.MonkeyPatch, leeway: int) -> None:
        caching, token = self.caching(leeway_seconds=leeway), forge(payload={"sub": MEMBER, "exp": NOW + 10.7})
        caching.verify(token)
        monkeypatch.setattr(time, "time", lambda: NOW + 9.9 + leeway)
        caching.verify(token)
        assert len(verifications) == 1
        monkeypatch.setattr(time, "time", lambda: NOW + 10.0 + leeway)
        caching.verify(token)  # the other clock stands still: only that it is verified again is tested
        assert len(verifications) == 2

    def test_while_its_key_is_good(self, verifications: list[str]) -> None:
        first, again = (VerificationKey(SECRET.encode(), ("HS256",)) for _ in range(2))

        class Keys:
            """A source whose keys are changed."""

            key: VerificationKey | None = first

            def find(self, kid: str | None, algorithm: object) -> tuple[VerificationKey, ...]:  # noqa: ARG002 - the protocol's
                return (self.key,) if self.key else ()

            def ready(self) -> bool:
                return True

        keys, token = Keys(), forge()
        caching = TokenVerifier(JwtSettings(), keys, 10)
        caching.verify(token)
        keys.key = again
        assert caching.verify(token) == MEMBER
        assert len(verifications) == 2
        keys.key = None
        with pytest.raises(InvalidToken):
            caching.verify(token)
