"""The source of the JWK set fails while a real worker answers: requests with known keys are not delayed."""

from __future__ import annotations

import time
from statistics import median
from typing import TYPE_CHECKING

import jwt
import pytest

from customer_service.auth.jwks import RETRY_SECONDS
from tests import support
from tests.support import issuer
from tests.support.issuer import JwksServer
from tests.support.server import ROOT, Server
from tests.support.tokens import jwk, private_pem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pymongo.database import Database

    from customer_service.repository.database import Document

READS = 40
PROMPT_SECONDS = 0.05
UNKNOWN_KIDS = 200
FLOOD_SECONDS = 5
PATIENT = ("gunicorn", "wsgi:app")
IMPATIENT = ("tests.faults.fast_jwks_retry", "wsgi:app")


@pytest.fixture
def publisher() -> Iterator[JwksServer]:
    running = JwksServer(jwk("P-256", kid="one"))
    yield running
    running.close()


@pytest.fixture
def filled(mongodb: Database[Document]) -> Database[Document]:
    support.fill(mongodb)
    return mongodb


def serve(
    mongodb_uri: str, database: Database[Document], publisher: JwksServer, command: Sequence[str] = IMPATIENT
) -> Server:
    """Return a server of one worker whose keys are the publisher's."""
    environment = {"JWT_SECRET": "", "JWT_JWKS_URL": publisher.url, "WEB_CONCURRENCY": "1", "no_proxy": "*"}
    return Server(mongodb_uri, database.name, directory=ROOT, command=command, **environment)


def bearer(kid: str, kind: str = "P-256", algorithm: str = "ES256") -> dict[str, str]:
    claims = {"sub": support.MEMBER, "exp": int(time.time()) + 600}
    return {"Authorization": f"Bearer {jwt.encode(claims, private_pem(kind), algorithm, {'kid': kid})}"}


def read(server: Server, kid: str = "one") -> tuple[int, float]:
    headers = bearer(kid)
    started = time.monotonic()
    return server.get(support.url(), headers).status, time.monotonic() - started


def settle(server: Server) -> None:
    """Wait until the keys are at hand."""
    deadline = time.monotonic() + 10
    while read(server)[0] != 200:
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.parametrize("answer", issuer.BAD_ANSWERS, ids=lambda answer: answer.__name__)
def test_known_keys_verify_without_delay_while_the_source_fails(
    mongodb_uri: str,
    filled: Database[Document],
    publisher: JwksServer,
    measured: Callable[[str, str], None],
    answer: issuer.Answer,
) -> None:
    with serve(mongodb_uri, filled, publisher) as server:
        settle(server)
        publisher.answer = answer
        fetches, times = len(publisher.requests), []
        for number in range(READS):
            if number % 10 == 0:
                time.sleep(0.3)
                assert read(server, f"unknown-{number}")[0] == 401  # which makes it fetch
            status, seconds = read(server)
            assert status == 200
            times.append(seconds)
        assert len(publisher.requests) > fetches
    assert max(times) < PROMPT_SECONDS
    measured(
        f"the issuer answers as `{answer.__name__}` does: every read under a known key takes less than 50 ms",
        f"half of the reads within {median(times) * 1000:.0f} ms, at worst {max(times) * 1000:.0f} ms",
    )


def test_unknown_kids_cause_one_fetch(
    mongodb_uri: str, filled: Database[Document], publisher: JwksServer, measured: Callable[[str, str], None]
) -> None:
    with serve(mongodb_uri, filled, publisher, PATIENT) as server:
        settle(server)
        time.sleep(RETRY_SECONDS)  # until an unknown kid may cause a fetch
        before, started = len(publisher.requests), time.monotonic()
        for number in range(UNKNOWN_KIDS):
            assert read(server, f"made-up-{number}")[0] == 401
            time.sleep(max(0.0, started + (number + 1) * FLOOD_SECONDS / UNKNOWN_KIDS - time.monotonic()))
        fetches = len(publisher.requests) - before
    assert fetches == 1
    measured(f"{UNKNOWN_KIDS} unknown kids in {FLOOD_SECONDS} s cause one fetch", f"{fetches} fetch")


def test_a_rotated_key_is_accepted_and_a_withdrawn_one_refused(
    mongodb_uri: str, filled: Database[Document], publisher: JwksServer, measured: Callable[[str, str], None]
) -> None:
    with serve(mongodb_uri, filled, publisher) as server:
        settle(server)
        publisher.keys = [jwk("P-256", kid="one"), jwk("P-384", kid="two")]
        time.sleep(0.3)
        new = server.get(support.url(), bearer("two", "P-384", "ES384")).status
        old = read(server)[0]
        publisher.keys = [jwk("P-384", kid="two")]
        time.sleep(0.3)
        read(server, "unknown")
        gone = read(server)[0]
    assert (new, old, gone) == (200, 200, 401)
    measured("a rotated key is known at its first use, the old one until it is withdrawn", "200, 200, then 401")
