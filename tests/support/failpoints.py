"""Let commands fail or wait in MongoDB."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pymongo.database import Database

    from customer_service.repository.database import Document

BLOCK_MS = 60_000
ONCE = {"times": 1}
SERVICE = "customer-service"
"""The `appName` of the service's commands; those of the tests have none."""


@contextmanager
def failing(database: Database[Document], *commands: str, mode: object = "alwaysOn", **fault: object) -> Iterator[None]:
    """Let the server fail commands of these names, in the mode and with the data of `configureFailPoint`."""
    admin, data = database.client.admin, {"failCommands": list(commands), **fault}
    admin.command("configureFailPoint", "failCommand", mode=mode, data=data)
    try:
        yield
    finally:
        admin.command("configureFailPoint", "failCommand", mode="off")


@contextmanager
def blocking(database: Database[Document], command: str, collection: str, skip: int = 0) -> Iterator[None]:
    """Let the service's next command of this name on the collection, after so many others, wait, and then fail."""
    fault = {"namespace": f"{database.name}.{collection}", "blockConnection": True, "blockTimeMS": BLOCK_MS}
    with failing(database, command, mode={"skip": skip} if skip else ONCE, appName=SERVICE, **fault):
        try:
            yield
        finally:
            for operation in waiting(database, command, collection):
                database.client.admin.command("killOp", op=operation)


def await_write(database: Database[Document], command: str, collection: str) -> None:
    """Return once a command that is blocked is under way."""
    deadline = time.monotonic() + 10
    while not waiting(database, command, collection):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def waiting(database: Database[Document], command: str, collection: str) -> list[int]:
    """Return the commands of the service that are under way on the collection."""
    criteria = {f"command.{command}": collection, "command.$db": database.name, "appName": SERVICE}
    return [each["opid"] for each in database.client.admin.aggregate([{"$currentOp": {}}, {"$match": criteria}])]
