"""A cached response takes little more memory than its bytes."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING

import pytest

from customer_service.cli.demo import EXAMPLE_CUSTOMER
from customer_service.web.responses import Representation, compact, serialize

if TYPE_CHECKING:
    from collections.abc import Callable

KEPT = 200


@pytest.mark.parametrize(
    ("form", "most"), [(compact, 1000), (lambda body: body, 5000)], ids=["compact", "as it is answered"]
)
def test_what_is_kept_is_compact(form: Callable[[Representation], Representation], most: int) -> None:
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        kept = [form(serialize(EXAMPLE_CUSTOMER)) for _ in range(KEPT)]
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most / 5 < (after - before) / len(kept) < most
    assert kept[0] == serialize(EXAMPLE_CUSTOMER)
