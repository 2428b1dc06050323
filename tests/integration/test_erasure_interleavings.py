"""On a real mongod, where a batch is one write, an erasure leaves no trace either, beside any other request."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from customer_service.repository import ensure_indexes
from tests.support import empty
from tests.support.interleaving import interleavings
from tests.unit.repository.test_erasure_interleavings import (
    HOLD,
    KEY,
    TOMBSTONE,
    erase,
    import_it,
    patch,
    restore,
    traces,
    with_customer,
)

if TYPE_CHECKING:
    from pymongo.database import Database

    from customer_service.repository.database import Document
    from tests.unit.repository.test_erasure_interleavings import Work


@pytest.mark.parametrize("is_held", [False, True])
@pytest.mark.parametrize("other", [import_it, patch, restore])
def test_no_trace_is_left(mongodb: Database[Document], other: Work, is_held: bool) -> None:
    ensure_indexes(mongodb)

    def fresh() -> Database[Document]:
        empty(mongodb)
        return with_customer(mongodb, deleted=other is restore, retention=HOLD if is_held else None)

    for database, outcomes, order in interleavings(fresh, [erase, other], 2):
        assert outcomes[0] == KEY["_id"], order
        assert "gone-" not in traces(database), (order, outcomes)
        (left,) = database.customers.find(KEY)
        assert "blockedAt" in left if is_held else left.keys() == TOMBSTONE, order
