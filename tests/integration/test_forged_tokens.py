"""Every forged or malformed token is answered 401, without one command to MongoDB."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import mongomock
import pymongo
import pytest
from pymongo.monitoring import CommandListener

from customer_service.app import create_app
from tests.support import SECRET, fill, settings, url
from tests.support.forged_tokens import AUDIENCE, EXPIRED, ISSUER, TABLE, VALID
from tests.support.issuer import JwksServer
from tests.support.tokens import claims, forge, issue, jwk, public_pem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flask.testing import FlaskClient
    from pymongo.database import Database
    from pymongo.monitoring import CommandStartedEvent
    from werkzeug.test import TestResponse

SERVICES: dict[str, dict[str, Any]] = {
    "secret": {"secret": SECRET},
    "named": {"secret": SECRET, "issuer": ISSUER, "audience": AUDIENCE},
    "cognito": {"secret": SECRET, "audience": AUDIENCE, "audience_claim": "client_id"},
    "RSA": {"public_key": public_pem("RSA")},
    "P-256": {"public_key": public_pem("P-256")},
}
HONEST: dict[str, Callable[[], str]] = {
    "secret": forge,
    "named": lambda: forge(payload=claims(iss=ISSUER, aud=[AUDIENCE])),
    "cognito": lambda: forge(payload=claims(client_id=AUDIENCE)),
    "RSA": lambda: issue("RS256"),
    "P-256": lambda: issue("ES256"),
}


EXPIRED_CHALLENGE = 'Bearer error="invalid_token", error_description="The token expired."'


class Witness(CommandListener):
    """Writes down every command that the driver sends."""

    def __init__(self) -> None:
        self.commands: list[str] = []

    def started(self, event: CommandStartedEvent) -> None:
        self.commands.append(event.command_name)

    def succeeded(self, event: object) -> None:
        pass

    def failed(self, event: object) -> None:
        pass


@dataclass
class GuardedServices:
    """A client of each service over one database, and what the database is asked."""

    database: Database[dict[str, Any]]
    commands: list[str]
    clients: dict[str, FlaskClient] = field(default_factory=dict)

    def __post_init__(self) -> None:
        fill(self.database)
        for name, jwt_settings in SERVICES.items():
            self.clients[name] = create_app(settings(**jwt_settings), self.database).test_client()

    def get(self, service: str, authorization: str) -> TestResponse:
        """Read the member's customer with this header, of any characters."""
        self.commands.clear()
        return self.clients[service].get(url(), environ_overrides={"HTTP_AUTHORIZATION": authorization})


@pytest.fixture(scope="module", params=["mongomock", "mongod"])
def guarded(request: pytest.FixtureRequest) -> Iterator[GuardedServices]:
    name = f"test_{uuid.uuid4().hex}"
    witness = Witness()
    if request.param == "mongomock":
        with pytest.MonkeyPatch.context() as patch:
            find = mongomock.Collection.find

            def watched(*args: Any, **kwargs: Any) -> Any:
                witness.commands.append("find")
                return find(*args, **kwargs)

            patch.setattr(mongomock.Collection, "find", watched)
            yield GuardedServices(mongomock.MongoClient()[name], witness.commands)
        return
    uri: str = request.getfixturevalue("mongodb_uri")
    with pymongo.MongoClient[dict[str, Any]](uri, event_listeners=[witness]) as client:
        yield GuardedServices(client[name], witness.commands)
        client.drop_database(name)


def assert_refused(
    response: TestResponse, guarded: GuardedServices, challenge: str = 'Bearer error="invalid_token"'
) -> None:
    assert response.status_code == 401
    assert response.json is not None
    assert response.json["detail"] == "Authentication required."
    assert response.headers.getlist("WWW-Authenticate") == [challenge]
    assert response.content_type == "application/problem+json"
    assert guarded.commands == []


@pytest.mark.parametrize("service", SERVICES)
def test_a_valid_token_passes_and_is_seen_by_the_witness(guarded: GuardedServices, service: str) -> None:
    assert guarded.get(service, f"Bearer {HONEST[service]()}").status_code == 200
    assert guarded.commands == ["find", "find"]


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "Bearer  ", "\t Bearer"])
def test_the_scheme_has_no_case_and_spaces_around_it_do_not_matter(guarded: GuardedServices, scheme: str) -> None:
    assert guarded.get("secret", f"{scheme} {VALID} \t").status_code == 200


@pytest.mark.parametrize(
    ("service", "name", "token"),
    TABLE,
    ids=[f"{service}: {name}" for service, name, _ in TABLE],
)
def test_an_attack_is_refused(guarded: GuardedServices, service: str, name: str, token: str) -> None:
    challenge = EXPIRED_CHALLENGE if name in EXPIRED else 'Bearer error="invalid_token"'
    assert_refused(guarded.get(service, f"Bearer {token}"), guarded, challenge)


@pytest.mark.parametrize(
    "authorization",
    [
        *("", " ", "Bearer", "Bearer ", "bearer", "Basic", "Basic dXNlcjpwYXNz", f"Basic {VALID}", f"Token {VALID}"),
        *(f"JWT {VALID}", VALID, f"Bearer{VALID}", f"Bearer\t{VALID}", f"Bearer:{VALID}", f"Bearer={VALID}"),
        *(f"Bearer, {VALID}", f"\xa0Bearer {VALID}", f"Bearer\xa0{VALID}", f'"Bearer {VALID}"', f"Béarer {VALID}"),
        *(f"Bearer\n{VALID}", "Digest username=Bearer", f"Negotiate Bearer {VALID}", "B" * 1_000_000),
    ],
    ids=lambda text: text.replace(VALID, "token")[:30].encode("unicode_escape").decode(),
)
def test_no_bearer_token_is_asked_for_one(guarded: GuardedServices, authorization: str) -> None:
    assert_refused(guarded.get("secret", authorization), guarded, "Bearer")


@pytest.mark.timed
def test_a_long_malformed_header_costs_no_time(guarded: GuardedServices) -> None:
    started = time.process_time()
    assert_refused(guarded.get("secret", "Bearer" + " " * 20_000 + "\n" + VALID), guarded)
    assert time.process_time() - started < 0.5


def test_no_header_is_asked_for_one(guarded: GuardedServices) -> None:
    guarded.commands.clear()
    assert_refused(guarded.clients["secret"].get(url()), guarded, "Bearer")


@pytest.mark.parametrize(
    "credentials",
    [
        *(f"{VALID} {VALID}", f"{VALID},{VALID}", f"{VALID}, Bearer {VALID}", f"Bearer {VALID}", f'"{VALID}"'),
        *(f"\t{VALID}", f"<{VALID}>", f"token={VALID}", f"token={VALID},realm=x", f"{VALID}é", f"é{VALID}", "é"),
        *(f"{VALID}\xff", "\xd7\x90", f"{VALID};", f"{VALID},", "undefined", "null", "[object Object]", "%00"),
        *(f"\xef\xbb\xbf{VALID}", f"\xd9\xa0{VALID}"),
    ],
    ids=lambda text: text.replace(VALID, "token").encode("unicode_escape").decode(),
)
def test_malformed_credentials_are_refused(guarded: GuardedServices, credentials: str) -> None:
    assert_refused(guarded.get("secret", f"Bearer {credentials}"), guarded)


@pytest.mark.parametrize("name", ["jku", "x5u"])
def test_a_key_that_the_token_points_to_is_not_fetched(guarded: GuardedServices, name: str) -> None:
    attacker = JwksServer(jwk("other P-256", kid="mine"))
    try:
        token = issue("ES256", "other P-256", {name: attacker.url, "kid": "mine"})
        assert_refused(guarded.get("P-256", f"Bearer {token}"), guarded)
        assert attacker.requests == []
    finally:
        attacker.close()


def test_the_table_is_as_long_as_it_claims() -> None:
    assert len({(service, token) for service, _, token in TABLE}) > 400
    assert len({(service, name) for service, name, _ in TABLE}) == len(TABLE)
