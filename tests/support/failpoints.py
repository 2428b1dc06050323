"""Let commands of the service wait in MongoDB, so that a test kills it there."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pymongo.database import Database

    from customer_service.repository.database import Document

BLOCK_MS = 60_000


@contextmanager
def blocking(database: Database[Document], command: str, collection: str, skip: int = 0) -> Iterator[None]:
    """Let the service's next command of this name on the collection, after so many others, wait, and then fail."""
    data = {
        "failCommands": [command],
        "namespace": f"{database.name}.{collection}",
        "appName": "customer-service",
        "blockConnection": True,
        "blockTimeMS": BLOCK_MS,
    }
    admin = database.client.admin
    admin.command("configureFailPoint", "failCommand", mode={"skip": skip} if skip else {"times": 1}, data=data)
    try:
        yield
    finally:
        for operation in waiting(database, command, collection):
            admin.command("killOp", op=operation)
        admin.command("configureFailPoint", "failCommand", mode="off")


def await_write(database: Database[Document], command: str, collection: str) -> None:
    """Return once a command that is blocked is under way."""
    deadline = time.monotonic() + 10
    while not waiting(database, command, collection):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def waiting(database: Database[Document], command: str, collection: str) -> list[int]:
    """Return the commands of the service that are under way on the collection."""
    criteria = {f"command.{command}": collection, "command.$db": database.name, "appName": "customer-service"}
    return [each["opid"] for each in database.client.admin.aggregate([{"$currentOp": {}}, {"$match": criteria}])]
