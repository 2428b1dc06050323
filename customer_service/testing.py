"""The real service for the tests of a consumer: in their process, on a free port, over a database in memory."""

from __future__ import annotations

import secrets
from contextlib import ExitStack, contextmanager
from itertools import count
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, Self, cast
from uuid import uuid4

from stdnum.mx import rfc
from werkzeug.serving import WSGIRequestHandler, make_server

from customer_service.app import create_app
from customer_service.auth.tokens import sign
from customer_service.client import CustomerClient
from customer_service.repository import MembershipRepository, ensure_indexes
from customer_service.repository.database import connect
from customer_service.roles import ROLES
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
POLL_SECONDS = 0.01  # how often the server checks for the end of the session


class RunningService:
    """The service of a session of tests."""

    def __init__(self) -> None:
        """Create it with its own secret, and without caches that would outlive a test."""
        self.settings = Settings(
            MongoSettings(IN_MEMORY_URI),
            JwtSettings(secret=secrets.token_urlsafe(32)),
            ServerSettings(log_level="critical"),
            CacheSettings(membership_seconds=0),
        )
        self.database: Database[Document] = connect(self.settings.mongodb)
        ensure_indexes(self.database)
        app = create_app(self.settings, self.database)
        self._server = make_server(HOST, 0, _serialize_requests(app), threaded=True, request_handler=_SilentHandler)
        self._thread = Thread(target=self._server.serve_forever, args=(POLL_SECONDS,), daemon=True)

    def __enter__(self) -> Self:
        """Start serving."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        """Return the base URL."""
        return f"http://{HOST}:{self._server.server_port}"

    @contextmanager
    def emptied(self) -> Iterator[CustomerService]:
        """Yield the service over an empty database to one test, and close the clients of the test."""
        for name in self.database.list_collection_names():
            self.database[name].delete_many({})
        with ExitStack() as clients:
            yield CustomerService(self, clients)


class CustomerService:
    """The service of one test, with an organization: `url` is its base URL."""

    def __init__(self, running: RunningService, clients: ExitStack) -> None:
        """Begin with an organization without members."""
        self.url = running.url
        self._running = running
        self._clients = clients
        self._numbers = count(1)
        self.organization_id = self.organization()

    def organization(self) -> str:
        """Return a new organization id; calls without `organization_id` use the first."""
        return str(uuid4())

    def member(self, role: Role = "editor", *, organization_id: str | None = None) -> str:
        """Return the id of a new user, who is a member in this role; raises ValueError for a role that is none."""
        if role not in ROLES:
            raise ValueError(f"{role!r} is none of the roles {', '.join(ROLES)}")
        user_id = f"{role}-{next(self._numbers)}"
        MembershipRepository(self._running.database).set_role(user_id, organization_id or self.organization_id, role)
        return user_id

    def token(self, user_id: str, *, expires_in: int = TOKEN_SECONDS) -> str:
        """Return a token of this user for so many seconds, expired if there are none; the user need not be a member."""
        return sign(self._running.settings.jwt, user_id, expires_in)

    def client(self, role: Role = "editor", *, organization_id: str | None = None) -> CustomerClient:
        """Return a client of a new member in this role; it is closed after the test."""
        organization_id = organization_id or self.organization_id
        client = self._client_of(self.member(role, organization_id=organization_id), organization_id)
        return self._clients.enter_context(client)

    def customer(self, *, organization_id: str | None = None, **changes: Any) -> Customer:
        """Store a customer that the fiscal rules do not warn of, with these changes; return it as it is answered."""
        valid: CustomerInput = {
            "legalName": "DUNDER MIFFLIN",
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
        finally:  # a test must find only the members that it made
            MembershipRepository(self._running.database).remove(user_id, organization_id)

    def _client_of(self, user_id: str, organization_id: str) -> CustomerClient:
        return CustomerClient(self.url, self.token(user_id), organization_id)


def _serialize_requests(app: WSGIApplication) -> WSGIApplication:
    """Serve one request after the other: mongomock finds and writes in two steps, MongoDB in one."""
    lock = Lock()

    def serve_alone(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        with lock:
            return app(environ, start_response)

    return serve_alone


def _tax_id(number: int) -> str:
    """Return a different RFC, with its check digit, for each number below 67,600."""
    letters, rest = divmod(number, 100)
    first, second = (chr(ord("A") + each) for each in divmod(letters, 26))
    unchecked = f"{first}{second}M901231{rest:02d}"
    return unchecked + rfc.calc_check_digit(unchecked)


class _SilentHandler(WSGIRequestHandler):
    """Serves without a log line for each request among the output of the tests."""

    def log_request(self, *_: object) -> None:
        """Log nothing."""
