"""Run the service, each of whose workers is killed between the two writes of some requests.

A letter is added to the file FAULT_CRASHES for each worker that was killed.
"""

from __future__ import annotations

import os
import random
import signal
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch

from gunicorn.app.wsgiapp import run

from customer_service.repository import VersionRepository

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from customer_service.repository.database import Document

SHARE = 0.02
archive, archiving = VersionRepository.archive, VersionRepository.archiving


def crash_sometimes() -> None:
    """Kill this worker, as a power cut would."""
    if random.random() < SHARE:  # noqa: S311 - no secret
        with Path(os.environ["FAULT_CRASHES"]).open("a") as file:
            file.write("x")
        os.kill(os.getpid(), signal.SIGKILL)


def crashing_archive(self: VersionRepository, documents: Sequence[Document]) -> None:
    """Archive the documents of a batch."""
    archive(self, documents)
    crash_sometimes()


@contextmanager
def crashing_archiving(self: VersionRepository, document: Document) -> Iterator[None]:
    """Archive a document."""
    with archiving(self, document):
        crash_sometimes()
        yield


if __name__ == "__main__":
    with (
        patch.object(VersionRepository, "archive", crashing_archive),
        patch.object(VersionRepository, "archiving", crashing_archiving),
    ):
        run()
