"""An import holds its rows no longer than it needs them."""

from __future__ import annotations

import gc
import weakref
from typing import TYPE_CHECKING, Any

from customer_service.cli.transfer.checkpoint import ImportCounts
from customer_service.cli.transfer.importing import IMPORT_BATCH_LENGTH, Importer
from customer_service.cli.transfer.rows import Row

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class Body(dict[str, Any]):
    """A body that can be referred to weakly."""


def test_a_refused_body_is_not_held() -> None:
    """It may have a megabyte, and a batch five hundred of them."""
    bodies: list[weakref.ref[Body]] = []

    def rows() -> Iterator[Row]:
        for line in range(2 * IMPORT_BATCH_LENGTH):
            body = Body(unknown="x")
            bodies.append(weakref.ref(body))
            if line % 100 == 99:
                gc.collect()  # marshmallow's own error is part of a cycle
                assert sum(each() is not None for each in bodies) < 4
            yield Row(line, body)

    def refuse(validated: Sequence[Any]) -> list[Any]:
        return list(validated)

    counts = ImportCounts()
    Importer(refuse, counts, lambda _: None, print).run(rows())
    assert counts.failed == 2 * IMPORT_BATCH_LENGTH
