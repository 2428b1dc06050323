"""Claims about the figures, and whether they hold."""

from __future__ import annotations

from typing import Any, ClassVar

from bench.measure import targets
from bench.measure.measurements import Spread
from bench.report.claims import CLAIMS, Claim, LatencyClaim
from tests.support.measurements import measurement


class TestClaims:
    SEEN: ClassVar[dict[tuple[str, int], Any]] = {
        ("one", 16): [measurement(20), measurement(30)],
        ("two", 16): [measurement(10), measurement(30)],
        ("three", 16): [measurement(5), measurement(60)],
    }

    def test_the_best_of_others_is_that_of_the_round(self) -> None:
        assert Claim("one", ("two", "three"), 1.0).measured(self.SEEN) == Spread(1.25, 0.5, 2.0)

    def test_the_median_is_judged(self) -> None:
        ratio = Spread(1.25, 0.5, 2.0)
        assert Claim("one", ("two",), 1.25).holds(ratio)
        assert not Claim("one", ("two",), 1.3).holds(ratio)

    def test_a_latency_is_judged_by_that_of_another_row(self) -> None:
        claim = LatencyClaim("one", "two", 1.5)
        assert claim.measured(self.SEEN) == Spread(1.0, 1.0, 1.0)
        assert claim.text() == "p99 of one: at most 1.5 × that of two"
        assert claim.holds(Spread(1.5, 1.0, 50.0))
        assert not claim.holds(Spread(1.6, 1.0, 50.0))

    def test_a_claim_names_the_connections_that_are_not_the_usual_ones(self) -> None:
        assert Claim("one", ("two", "three"), 0.9).text() == "one: at least 0.9 × the best of two and three"
        assert Claim("one", ("two",), 0.9, 64).text() == "one: at least 0.9 × two, at 64 connections"

    def test_every_claim_is_about_rows_that_there_are(self) -> None:
        keys = {row.key for row in targets.all_rows()}
        assert all(claim.rows() <= keys for claim in CLAIMS)
