"""The real service for the tests of its consumers: in the test's own process, on a free port, over memory."""

from __future__ import annotations

import secrets
from contextlib import ExitStack, contextmanager
from itertools import count
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, Self, cast
from uuid import uuid4

from werkzeug.serving import WSGIRequestHandler, make_server

from customer_service.app import create_app
from customer_service.auth.tokens import mint
from customer_service.client import CustomerClient
from customer_service.repository import MembershipRepository, ensure_indexes
from customer_service.repository.database import connect
from customer_service.settings import IN_MEMORY_URI, CacheSettings, JwtSettings, MongoSettings, ServerSettings, Settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from pymongo.database import Database

    from customer_service.client import Customer, CustomerInput
    from customer_service.repository.database import Document
    from customer_service.roles import Role

HOST = "127.0.0.1"
TOKEN_SECONDS = 3600
POLL_SECONDS = 0.01  # how long the end of a session waits for the server to notice


class RunningService:
    """The service while a session of tests lasts."""

    def __init__(self) -> None:
        """Set it up with a secret of its own; nothing that one test changes is remembered for the next."""
        self.settings = Settings(
            MongoSettings(IN_MEMORY_URI),
            JwtSettings(secret=secrets.token_urlsafe(32)),
            ServerSettings(log_level="critical"),
            CacheSettings(membership_seconds=0),
        )
        self.database: Database[Document] = connect(self.settings.mongodb)
        ensure_indexes(self.database)
        app = create_app(self.settings, self.database)
        self._server = make_server(HOST, 0, _one_at_a_time(app), threaded=True, request_handler=_Silent)
        self._thread = Thread(target=self._server.serve_forever, args=(POLL_SECONDS,), daemon=True)

    def __enter__(self) -> Self:
        """Serve."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://{HOST}:{self._server.server_port}"

    @contextmanager
    def emptied(self) -> Iterator[CustomerService]:
        """Give the service over an empty database to one test, and close the clients that it made."""
        for name in self.database.list_collection_names():
            self.database[name].delete_many({})
        with ExitStack() as clients:
            yield CustomerService(self, clients)


class CustomerService:
    """The service that one test has for itself, with an organization: `url` is where it answers."""

    def __init__(self, running: RunningService, clients: ExitStack) -> None:
        """Begin with an organization that has no members yet."""
        self.url = running.url
        self._running = running
        self._clients = clients
        self._numbers = count(1)
        self.organization_id = self.organization()

    def organization(self) -> str:
        """Return the id of another organization; the first is that of whatever is asked for without one."""
        return str(uuid4())

    def member(self, role: Role = "editor", *, organization_id: str | None = None) -> str:
        """Return the id of a new user, who is a member in this role."""
        user_id = f"{role}-{next(self._numbers)}"
        MembershipRepository(self._running.database).set_role(user_id, organization_id or self.organization_id, role)
        return user_id

    def token(self, user_id: str) -> str:
        """Return a token that is this user's for an hour, whether or not the user is a member of anything."""
        return mint(self._running.settings.jwt, user_id, TOKEN_SECONDS)

    def client(self, role: Role = "editor", *, organization_id: str | None = None) -> CustomerClient:
        """Return a client of a new member in this role, which is closed after the test."""
        organization_id = organization_id or self.organization_id
        client = self._client_of(self.member(role, organization_id=organization_id), organization_id)
        return self._clients.enter_context(client)

    def customer(self, *, organization_id: str | None = None, **changes: Any) -> Customer:
        """Store a customer that differs from a valid one by these values; return it as the service tells it."""
        valid: CustomerInput = {
            "legalName": "Dunder Mifflin",
            "taxId": _tax_id(next(self._numbers)),
            "taxSystem": "601",
            "email": "billing@dundermifflin.com",
            "defaultInvoiceUse": "G01",
            "address": {"zip": "86500"},
        }
        organization_id = organization_id or self.organization_id
        user_id = self.member(organization_id=organization_id)
        try:
            with self._client_of(user_id, organization_id) as client:
                return client.create(cast("CustomerInput", {**valid, **changes}))
        finally:  # a consumer finds no members but those that its test made
            MembershipRepository(self._running.database).remove(user_id, organization_id)

    def _client_of(self, user_id: str, organization_id: str) -> CustomerClient:
        return CustomerClient(self.url, self.token(user_id), organization_id)


def _one_at_a_time(app: WSGIApplication) -> WSGIApplication:
    """Follow one request after the other: mongomock finds and writes in two steps, where MongoDB has one."""
    turn = Lock()

    def take_turns(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        with turn:
            return app(environ, start_response)

    return take_turns


def _tax_id(number: int) -> str:
    """Return an RFC of its own for each number below 26,000."""
    thousands, rest = divmod(number, 1000)
    return f"{chr(ord('A') + thousands)}UM901231{rest:03d}"


class _Silent(WSGIRequestHandler):
    """Serves without a line for each request among the output of the tests."""

    def log_request(self, *_: object) -> None:
        """Say nothing."""
