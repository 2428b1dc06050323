"""The targets of the Makefile that only measure still run."""

from __future__ import annotations

import pytest

from tests.support import mongod
from tests.tools import measure_import


@pytest.mark.skipif(mongod.executable() is None and not mongod.required(), reason="no mongod on this machine")
def test_make_bulk_compares_an_import_with_the_driver(capsys: pytest.CaptureFixture[str]) -> None:
    measure_import.main(40, 2)
    assert "40 rows in 2 parts: driver " in capsys.readouterr().out
