"""The results of a run as JSON."""

from __future__ import annotations

from bench.measure import rounds, targets
from bench.report import results
from tests.support.measurements import measurement


class TestResults:
    def test_what_nothing_is_compared_to_has_no_ratio(self) -> None:
        row = next(row for row in targets.all_rows() if row.name == "this service, remembering")
        key = row.target.key
        seen = rounds.Seen({row.key: [measurement(10.0)]}, {key: 1.0}, {key: 1.0}, {key: 1})
        found = results.of_run([row], ["Eve, plain"], rounds.Plan(1, 1, 1), seen)
        assert (found["rows"][0]["ratio"], found["claims"]) == (None, [])
