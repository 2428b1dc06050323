"""The readiness checks of MongoDB: each returns "ok", or a text that names the fault. `hello` is not a check."""

from __future__ import annotations

import functools
from threading import Thread
from typing import TYPE_CHECKING, TypeAlias

from pymongo import WriteConcern
from pymongo.errors import PyMongoError

from customer_service.repository.customers import CustomerRepository
from customer_service.repository.database import deadline
from customer_service.repository.driver_errors import translates_errors
from customer_service.repository.indexes import missing_indexes
from customer_service.repository.memberships import MembershipRepository

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pymongo.database import Database

    from customer_service.repository.database import Document

OK = "ok"
UNAVAILABLE = "unavailable"
UNKNOWN = "unknown"
LOGIN_REFUSED = "MongoDB refuses the login: correct the user and the password in MONGODB_URI"
NO_RIGHTS = "not allowed: name a user in MONGODB_URI that has the role readWrite on the database MONGODB_DATABASE"
NOT_WRITABLE = "the server takes no writes: leave directConnection out of MONGODB_URI, and name the whole replica set"
ADVICE = {13: NO_RIGHTS, 18: LOGIN_REFUSED, 8000: LOGIN_REFUSED, 10107: NOT_WRITABLE, 13435: NOT_WRITABLE}
"""The advice for each of the server's error codes; 8000 is Atlas' code for a refused login."""

NO_MEMBER = "there is no member yet: run `customer-service members add ORGANIZATION USER --role admin`"

READINESS_SECONDS = 0.5
NO_CUSTOMER: Document = {"organizationId": "", "_id": {"$in": []}}
"""A filter that matches no document."""


Check: TypeAlias = "Callable[[Database[Document]], str]"
"""A check returns OK, UNAVAILABLE, or what is missing and how to mend it."""


class Readiness:
    """Checks whether MongoDB is ready for the service; the rights and the indexes only until they are "ok" once."""

    def __init__(self, database: Database[Document]) -> None:
        """Check this database; `pending` has the lasting checks that were not ok yet."""
        self._database = database
        self.pending: dict[str, Check] = {"rights": rights, "indexes": indexes}

    def start(self) -> None:
        """Run the lasting checks in the background; call it after a server has forked.

        A worker that starts under load would not finish them within the time of a probe.
        """
        Thread(target=self._check_lasting, args=(OK, lambda check: check(self._database)), daemon=True).start()

    def checks(self) -> Mapping[str, str]:
        """Return the state of each check; without a connection, the others are not run."""
        connected = _within(connection, self._database)
        lasting = self._check_lasting(connected, lambda check: _within(check, self._database))
        return {"mongodb": connected, "rights": OK, "indexes": OK, **lasting}

    def _check_lasting(self, connected: str, run: Callable[[Check], str]) -> dict[str, str]:
        """Run the lasting checks that were not ok yet; return their states."""
        found = {name: run(check) if connected == OK else UNKNOWN for name, check in list(self.pending.items())}
        for name, state in found.items():
            if state == OK:
                self.pending.pop(name, None)
        return found


def _within(check: Callable[[Database[Document]], str], database: Database[Document]) -> str:
    """Return the state that a check finds within READINESS_SECONDS. Up to three checks run one after another."""
    with deadline(READINESS_SECONDS):
        return check(database)


def explains_errors(ask: Check) -> Check:
    """Return what the driver's error means.

    After a refused login, the code is in the driver's description of the server.
    """

    @functools.wraps(ask)
    def check(database: Database[Document]) -> str:
        try:
            return ask(database)
        except PyMongoError as error:
            servers = database.client.topology_description.server_descriptions().values()
            codes = [getattr(each, "code", None) for each in (error, *(server.error for server in servers))]
            return next((ADVICE[code] for code in codes if code in ADVICE), UNAVAILABLE)

    return check


@explains_errors
def connection(database: Database[Document]) -> str:
    """Check that a server responds, accepts the login, and takes writes."""
    database.command("ping")
    return OK if database.client.is_primary else NOT_WRITABLE


@explains_errors
def rights(database: Database[Document]) -> str:
    """Check that the user may read and write customers, with a read and a write that match no document."""
    customers = database[CustomerRepository.COLLECTION].with_options(write_concern=WriteConcern(w=1))
    customers.find_one(NO_CUSTOMER)
    customers.update_one(NO_CUSTOMER, {"$set": {"version": 0}})
    return OK


@translates_errors
def hello(database: Database[Document]) -> Document:
    """Return what the server says of itself."""
    return database.command("hello")


@explains_errors
def majority(database: Database[Document]) -> str:
    """Check that a majority of the replica set acknowledges a write; it matches no customer."""
    database[CustomerRepository.COLLECTION].update_one(NO_CUSTOMER, {"$set": {"version": 0}})
    return OK


@explains_errors
def members(database: Database[Document]) -> str:
    """Check that any organization has a member; without one every request is refused."""
    return OK if database[MembershipRepository.COLLECTION].find_one({}, {"_id": 1}) else NO_MEMBER


@explains_errors
def indexes(database: Database[Document]) -> str:
    """Check that every index exists."""
    missing = ", ".join(missing_indexes(database))
    return f"missing: {missing}; run `customer-service indexes`" if missing else OK
