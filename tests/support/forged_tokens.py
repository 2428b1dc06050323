"""Every forged or malformed Authorization header of the tests, by name."""

from __future__ import annotations

import base64
import time
from typing import TYPE_CHECKING, Any

import orjson
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import PublicFormat

from tests.support import MEMBER
from tests.support.tokens import (
    base64url,
    claims,
    forge,
    issue,
    jwk,
    last_bit,
    public_der,
    public_pem,
    segment,
    signed_text,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

ISSUER = "https://issuer.example"
AUDIENCE = "customer-service"
NOW = int(time.time())
HEADER = segment({"alg": "HS256", "typ": "JWT"})
PAYLOAD = segment(claims())
VALID = forge()
SIGNATURE = VALID.rpartition(".")[2]
BODY = VALID.rpartition(".")[0]
DEEP = 100_000


def raw(name: str, value: str) -> str:
    """Return a signed token whose claim holds this text as it is."""
    members = {"sub": f'"{MEMBER}"', "exp": str(NOW + 86_400)} | {name: value}
    return forge(payload="{" + ",".join(f'"{key}":{text}' for key, text in members.items()) + "}")


def without(name: str) -> str:
    """Return a signed token that lacks the claim."""
    return forge(payload={key: value for key, value in claims().items() if key != name})


def no_algorithm() -> Iterator[tuple[str, str]]:
    """An `alg` of none, in every spelling; signed with nothing, anything and the secret itself."""
    for name in ("none", "None", "NONE", "nOnE", "none ", "\tnone", "none\0", "", "HS256\0", "hs256", "HS256 "):
        header = {"alg": name, "typ": "JWT"}
        yield f"alg {name!a}, no signature", f"{segment(header)}.{PAYLOAD}."
        yield f"alg {name!a}, any signature", f"{segment(header)}.{PAYLOAD}.AAAA"
        yield f"alg {name!a}, signed", forge(header)
    for other in (None, True, 0, [], ["HS256"], {}, {"HS256": 1}):
        yield f"alg {other!a}, signed", forge({"alg": other})
    yield "no alg", forge({"typ": "JWT"})
    yield "HS384 with the secret", forge({"alg": "HS384"}, digest="sha384")
    yield "HS512 with the secret", forge({"alg": "HS512"}, digest="sha512")
    for asymmetric in ("RS256", "ES256", "EdDSA", "PS256"):
        yield f"{asymmetric} for a secret", forge({"alg": asymmetric})
    yield "another secret", forge(secret=b"another secret of 32 bytes or more!")
    yield "the empty secret", forge(secret=b"")


def headers() -> Iterator[tuple[str, str]]:
    """Headers that name the attacker's key, ask for what is not supported, or are none."""
    for kid in ("../../../../dev/null", "/dev/null", "key.pem", "' UNION SELECT 'x'; --", "| id", "", "$ne"):
        yield f"kid {kid!a}, signed with nothing", forge({"alg": "HS256", "kid": kid}, secret=b"")
        yield f"kid {kid!a}, signed with itself", forge({"alg": "HS256", "kid": kid}, secret=kid.encode() * 32)
    for odd in ({"$ne": ""}, [], ["a"], 1, True, None, 1.5):
        yield f"kid {odd!a}, signed", forge({"alg": "HS256", "kid": odd})
    key = jwk("P-256")
    for name in ("jku", "x5u"):
        for alg in ("ES256", "HS256"):
            attack = {"alg": alg, name: "http://127.0.0.1:1/keys", "kid": "mine"}
            yield (
                f"{name}, {alg}",
                issue("ES256", headers=attack) if alg == "ES256" else forge(attack, secret=b"x" * 32),
            )
    yield "jwk of the attacker", issue("ES256", headers={"jwk": key})
    yield (
        "jwk of an attacker's secret",
        forge({"alg": "HS256", "jwk": {"kty": "oct", "k": base64url(b"x" * 32)}}, secret=b"x" * 32),
    )
    yield "x5c of the attacker", issue("RS256", headers={"x5c": [base64.b64encode(public_der("RSA")).decode()]})
    crits: tuple[Any, ...] = (["exp"], ["unknown"], [], ["b64"], None, "b64", {}, [1])
    for crit in crits:
        yield f"crit {crit!a}", forge({"alg": "HS256", "crit": crit, "unknown": 1})
    for b64 in (False, True, None, "false"):
        yield f"b64 {b64!a}", forge({"alg": "HS256", "b64": b64})
        yield f"b64 {b64!a}, critical", forge({"alg": "HS256", "b64": b64, "crit": ["b64"]})
    plain = segment({"alg": "HS256", "b64": False, "crit": ["b64"]})
    yield "b64 false, a plain payload", signed_text(plain + "." + orjson.dumps(claims()).decode())
    yield "b64 false, no payload", signed_text(plain + ".")
    yield "alg twice, none last", forge('{"alg":"HS256","alg":"none"}')
    yield "crit in a second spelling", forge('{"alg":"HS256","\\u0063rit":["x"]}')
    yield "deep header", forge("[" * DEEP)
    yield "deep member", forge('{"alg":"HS256","x":' + "[" * 2500 + "]" * 2500 + "}")
    for encoding in ("utf-16", "utf-16-le", "utf-32", "utf-8-sig"):
        yield f"header in {encoding}", forge('{"alg":"HS256"}'.encode(encoding))
    for text in ("[]", '["HS256"]', '"HS256"', "1", "null", "", " ", "{", '{"alg":"HS256"}x', "{'alg':'HS256'}"):
        yield f"header {text!a}", forge(text)
    yield "header of bytes", forge(b"\xff\xfe\xfd")
    yield "NaN in the header", forge('{"alg":"HS256","x":NaN}')


def timeless(text: str) -> str:
    """Return the text as it is in every run: processes that share the tests out must have the same names for them."""
    return text.replace(f"{NOW + 999}", "<soon>").replace(f"{NOW - 1}", "<past>")


def payloads() -> Iterator[tuple[str, str]]:
    """Claims that are missing, past, of another type, or no JSON; all signed."""
    for name in ("exp", "sub"):
        yield f"no {name}", without(name)
        yield f"{name} null", raw(name, "null")
    for text in ("NaN", "Infinity", "-Infinity", "1e400", "-1e400", "-1", "0", "-0.0", "true", "false", "[9e9]", "{}"):
        yield f"exp {text}", raw("exp", text)
    for text in (
        f'"{NOW + 999}"',
        '"9999999999"',
        '" 9e9"',
        '""',
        '"never"',
        f"{NOW - 1}",
        f"[{NOW + 999}]",
        "1" * 5000,
    ):
        yield f"exp {timeless(text)[:20]}", raw("exp", text)
    yield "exp twice, past last", forge(payload=f'{{"sub":"{MEMBER}","exp":{NOW + 999},"exp":1}}')
    for text in (f"{NOW + 999}", '"1"', "true", "null", "[]", "{}", "NaN", "1e400", '"later"', "1e300"):
        yield f"nbf {timeless(text)}", raw("nbf", text)
    for text in (
        '""',
        '"\\u0000"',
        f'"{MEMBER}\\u0000"',
        f'"{MEMBER}\\n"',
        '"\\ud800"',
        '"\\ud83d"',
        '"\\u007f"',
        '"\\u0085"',
    ):
        yield f"sub {text}", raw("sub", text)
    for text in ('{"$ne":""}', '{"$gt":""}', f'["{MEMBER}"]', "1", "true", "[]", "{}", "1e400"):
        yield f"sub {text}", raw("sub", text)
    yield "sub of 257 characters", raw("sub", '"' + "x" * 257 + '"')
    yield "sub of 257 wide characters", raw("sub", '"' + "😀" * 257 + '"')
    yield "sub of 1 MB", raw("sub", '"' + "x" * 1_000_000 + '"')
    yield "sub twice, empty last", forge(payload=f'{{"sub":"{MEMBER}","exp":{NOW + 999},"sub":""}}')
    yield "jti a number", raw("jti", "1")
    yield "deep payload", forge(payload="[" * DEEP)
    yield "deep claim", raw("x", "[" * 2500 + "]" * 2500)
    for encoding in ("utf-16", "utf-32", "utf-8-sig"):
        yield f"payload in {encoding}", forge(payload=orjson.dumps(claims()).decode().encode(encoding))
    for text in ("[]", '"sub"', "1", "null", "", "{", "{}", '{"sub":"a",}', "{'sub':'a'}", "\0"):
        yield f"payload {text!a}", forge(payload=text)
    yield "payload of bytes", forge(payload=b"\xff\xfe\xfd")


def names() -> Iterator[tuple[str, str]]:
    """Wrong issuers and audiences, for a service that has one of each; all signed."""
    right = {"iss": ISSUER, "aud": AUDIENCE}
    for claim, value in right.items():
        yield f"no {claim}", forge(payload=claims(**{key: text for key, text in right.items() if key != claim}))
        wrongs: tuple[Any, ...] = (
            *(None, "", "other", value[:-1], value[1:], value + "/", value + "\0", value + " ", value.upper(), 1, True),
            *({value: 1}, [], [value[:-1]], [[value]], [value, 1], {"$ne": ""}, ["other", value[:1]], list(value)),
        )
        for wrong in wrongs:
            yield f"{claim} {wrong!a}"[:40], forge(payload=claims(**right | {claim: wrong}))
    yield "iss in a list", forge(payload=claims(iss=[ISSUER], aud=AUDIENCE))


def cognito() -> Iterator[tuple[str, str]]:
    """Wrong audiences, for a service whose audience stands in `client_id`; all signed."""
    for other in ({}, {"aud": AUDIENCE}, {"aud": AUDIENCE, "client_id": "other"}, {"scope": AUDIENCE}):
        yield f"no client_id, {other!a}", forge(payload=claims(**other))
    wrongs: tuple[Any, ...] = (None, "", "other", AUDIENCE[:-1], AUDIENCE + " ", AUDIENCE.upper(), 1, True, [], {})
    for wrong in wrongs:
        yield f"client_id {wrong!a}", forge(payload=claims(aud=AUDIENCE, client_id=wrong))


def forms() -> Iterator[tuple[str, str]]:
    """A valid token cut, padded, spaced, re-encoded, or with its signature spoiled."""
    for count in (1, 2, 4, 5, 6):
        yield f"{count} segments", ".".join([*VALID.split("."), SIGNATURE, SIGNATURE, SIGNATURE][:count])
    yield "encrypted, five parts", f"{segment({'alg': 'dir', 'enc': 'A256GCM'})}..AAAA.{PAYLOAD}.AAAA"
    segments = (
        ".",
        "..",
        "...",
        f".{PAYLOAD}.{SIGNATURE}",
        f"{HEADER}..{SIGNATURE}",
        f"{HEADER}.{PAYLOAD}.",
        f"{BODY}",
    )
    for place, text in enumerate(segments):
        yield f"empty segments {place}", text
    yield "empty payload, signed", signed_text(f"{HEADER}.")
    for place, padded in enumerate((f"{HEADER}=.{PAYLOAD}", f"{HEADER}.{PAYLOAD}=", f"{HEADER}==.{PAYLOAD}==")):
        yield f"padded {place}, signed", signed_text(padded)
    yield "signature padded", VALID + "="
    yield "signature's last bit", f"{BODY}.{last_bit(SIGNATURE)}"
    yield "header's last bit, signed", signed_text(last_bit(segment('{"alg":"HS256" }')) + "." + PAYLOAD)
    odd = segment(orjson.dumps(claims(x="")) + b" " * ((1 - len(orjson.dumps(claims(x="")))) % 3))
    yield "payload's last bit, signed", signed_text(f"{HEADER}.{last_bit(odd)}")
    for space in (" ", "\n", "\r\n", "\t", "\0", "\x0b", "\xa0", "\u0085"):
        yield f"{space!a} inside", f"{VALID[:9]}{space}{VALID[9:]}"
        yield f"{space!a} inside, signed", signed_text(f"{HEADER}{space}.{PAYLOAD}")
    for end in ("\n", "\0", "\x0b", "\x1f", "\xa0", "\u0085", ",", ";", '"'):
        yield f"{end!a} at the end", VALID + end
    plain = base64.b64encode(orjson.dumps(claims(x="\x7f???>>>~~~"))).decode().rstrip("=")
    assert set(plain) & set("+/")
    yield "the standard alphabet, signed", signed_text(f"{HEADER}.{plain}")
    yield "signature empty", f"{BODY}."
    yield "signature truncated", VALID[:-4]
    yield "signature extended", VALID + "AAAA"
    flipped = "A" if SIGNATURE[0] != "A" else "B"
    yield "signature flipped", f"{BODY}.{flipped}{SIGNATURE[1:]}"
    yield "signature of another token", f"{HEADER}.{segment(claims(sub='another'))}.{SIGNATURE}"
    yield "signature in hexadecimal", f"{BODY}.{base64.urlsafe_b64decode(SIGNATURE + '=').hex()}"
    yield "1 MB", "A" * 1_000_000
    yield "1 MB of dots", "." * 1_000_000


def confusion(kind: str) -> Iterator[tuple[str, str]]:
    """A secret's signature made with the public key, which everybody knows, in every form of it."""
    pem = public_pem(kind)
    key = jwk(kind)
    forms: dict[str, bytes] = {
        "PEM": pem.encode(),
        "PEM without its last line end": pem.strip().encode(),
        "PEM with CRLF": pem.replace("\n", "\r\n").encode(),
        "PEM on one line": pem.replace("\n", "\\n").encode(),
        "DER": public_der(kind),
        "base64 of DER": "".join(pem.splitlines()[1:-1]).encode(),
        "JWK": orjson.dumps(key),
        "JWK, sorted": orjson.dumps(key, option=orjson.OPT_SORT_KEYS),
        "coordinate": key["n" if kind == "RSA" else "x"].encode(),
        "nothing": b"",
    }
    if kind == "RSA":
        forms["PKCS1 PEM"] = public_pem(kind, PublicFormat.PKCS1).encode()
    for name, secret in forms.items():
        yield f"HS256 with the {kind} key as {name}", forge(secret=secret)
    for algorithm, digest in (("HS384", "sha384"), ("HS512", "sha512")):
        yield f"{algorithm} with the {kind} key as PEM", forge({"alg": algorithm}, secret=pem.encode(), digest=digest)
    for algorithm in ("none", "RS256", "ES256", "PS256", "EdDSA", "ES256K", "RS1"):
        yield f"{algorithm}, signed with the {kind} key as a secret", forge({"alg": algorithm}, secret=pem.encode())
        yield f"{algorithm}, no signature, {kind}", f"{segment({'alg': algorithm})}.{PAYLOAD}."
        for size in (32, 64, 114, 132, 256):
            zeros = base64url(bytes(size))
            yield f"{algorithm}, {size} zeros, {kind}", f"{segment({'alg': algorithm})}.{PAYLOAD}.{zeros}"


def signatures() -> Iterator[tuple[str, str, str]]:
    """Signatures by the wrong key, of the wrong kind or in the wrong form, each with the service that they are for."""
    for service, algorithm in (("RSA", "RS256"), ("RSA", "PS256"), ("P-256", "ES256")):
        other = issue(algorithm, f"other {service}")
        embedded = issue(algorithm, f"other {service}", {"jwk": jwk(f"other {service}"), "kid": "one"})
        yield service, f"{algorithm} by another key", other
        yield service, f"{algorithm} by an embedded key", embedded
        honest = issue(algorithm, service)
        yield service, f"{algorithm} truncated", honest[:-4]
        yield service, f"{algorithm} extended", honest + "AAAA"
        yield service, f"{algorithm}, expired", issue(algorithm, service, exp=1)
        message, _, signature = honest.rpartition(".")
        for claimed in ("RS256", "RS512", "PS256", "ES256", "ES256K", "EdDSA", "HS256", "none"):
            if claimed != algorithm:
                relabelled = f"{segment({'alg': claimed})}.{message.partition('.')[2]}.{signature}"
                yield service, f"{algorithm} called {claimed}", relabelled
    message, _, signature = issue("ES256").rpartition(".")
    pair = base64.urlsafe_b64decode(signature + "==")
    r, s = int.from_bytes(pair[:32], "big"), int.from_bytes(pair[32:], "big")
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    yield "P-256", "ES256 in DER", f"{message}.{base64url(encode_dss_signature(r, s))}"
    for name, numbers in {"r = s = 0": (0, 0), "r = 0": (0, s), "s = 0": (r, 0), "r = s = n": (order, order)}.items():
        spoiled = b"".join(number.to_bytes(32, "big") for number in numbers)
        yield "P-256", f"ES256 with {name}", f"{message}.{base64url(spoiled)}"
    yield "P-256", "ES256 halves swapped", f"{message}.{base64url(pair[32:] + pair[:32])}"
    yield "P-256", "ES256 with leading zeros", f"{message}.{base64url(bytes(1) + pair[:32] + bytes(1) + pair[32:])}"


TABLE: list[tuple[str, str, str]] = [
    *(("secret", name, token) for group in (no_algorithm, headers, payloads, forms) for name, token in group()),
    *(("named", name, token) for name, token in names()),
    *(("cognito", name, token) for name, token in cognito()),
    *((kind, name, token) for kind in ("RSA", "P-256") for name, token in confusion(kind)),
    *signatures(),
]
"""The service that each attack is for, the name of the attack, and its token."""

EXPIRED = {
    *("exp -1", "exp 0", "exp -0.0", "exp <past>", "exp twice, past last"),
    *(f"{algorithm}, expired" for algorithm in ("RS256", "PS256", "ES256")),
}
"""The attacks with a token that was valid until it expired: its caller needs a new one, and the answer says so."""
