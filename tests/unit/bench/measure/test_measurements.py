"""Medians, extremes and ratios of what the rounds measured."""

from __future__ import annotations

from bench.measure.measurements import Spread, condensed, ratios, spread
from tests.support.measurements import measurement


class TestMeasurements:
    def test_a_spread(self) -> None:
        assert spread([3.0, 1.0, 10.0]) == Spread(3.0, 1.0, 10.0)

    def test_ratios_are_taken_within_a_round(self) -> None:
        assert ratios([20.0, 2.0, 30.0], [10.0, 1.0, 10.0]) == Spread(2.0, 2.0, 3.0)

    def test_every_figure_is_condensed(self) -> None:
        assert condensed([measurement(1), measurement(3)])["rate"] == {"median": 2, "minimum": 1, "maximum": 3}
