"""Tables for the terminal and for the page, and the marks between which they stand."""

from __future__ import annotations

import json

import pytest

from bench.measure import rounds, targets
from bench.report import formatting, results
from bench.report.claims import CLAIMS
from tests.support.measurements import measurement


class TestFormatting:
    def test_every_table_has_a_row_for_all_that_was_measured(self) -> None:
        rows = targets.all_rows()
        figures = {row.key: [measurement(10.0 + number), measurement(30.0)] for number, row in enumerate(rows)}
        servers = {row.target.key: 1.0 for row in rows}
        seen = rounds.Seen(figures, servers, servers, dict.fromkeys(servers, 1))
        found = results.of_run(rows, [], rounds.Plan(2, 1, 1), seen)
        found = json.loads(json.dumps(found))
        tables = formatting.tables(found)
        names = {row[0] for name in ("figures", "distance", "writes") for row in tables[name][1:]}
        assert names == {row.name for row in rows}
        assert {row[0] for row in tables["connections"][1:]} == {row[0] for row in tables["figures"][1:]}
        assert {row[0] for row in tables["starting"][1:]} == set(servers)
        assert len(tables["claims"]) == 1 + len(CLAIMS)
        assert all(len(row) == len(table[0]) for table in tables.values() for row in table)
        near = next(row for row in tables["distance"] if "0 ms" in row[0])
        assert near[1] == "1.00 (1.00–1.00)"
        assert {row[2] for row in tables["writes"][1:] if row[0].startswith("FastAPI")} == {"1.00 (1.00–1.00)"}
        assert formatting.picture(found).count("<rect class=") == len(tables["figures"]) - 1

    def test_rows_stand_in_columns(self) -> None:
        assert formatting.plain([["a", "b"], ["long", "10"]]) == "a      b\nlong  10"
        assert formatting.markdown([["", "b"], ["long", "1"]]) == "|  | b |\n| --- | ---: |\n| long | 1 |"

    def test_a_text_replaces_the_one_between_its_marks(self) -> None:
        begin, end = formatting.BEGIN.format(name="x"), formatting.END.format(name="x")
        page = formatting.insert(f"a\n{begin}\nold\n{end}\nb", "x", "new")
        assert page == f"a\n{begin}\n\nnew\n\n{end}\nb"
        assert formatting.insert(page, "x", "new") == page
        with pytest.raises(ValueError, match="lacks the marks of y"):
            formatting.insert(page, "y", "new")
