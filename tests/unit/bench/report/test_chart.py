"""The chart of the results as SVG."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from bench.measure.measurements import Spread
from bench.report import chart


class TestChart:
    def test_a_picture_is_well_formed_and_to_scale(self) -> None:
        bars = [chart.Bar("a < b", "peer", Spread(1, 0.5, 1.5)), chart.Bar("c", "limit", Spread(2, 2, 4))]
        drawn = ElementTree.fromstring(chart.draw("A & B", "below", bars))  # noqa: S314 - our own
        widths = [float(each.attrib["width"]) for each in drawn.iterfind(".//{*}rect") if "class" in each.attrib]
        assert widths[1] == pytest.approx(2 * widths[0], rel=0.01)
        assert "a < b" in {each.text for each in drawn.iterfind(".//{*}text")}
