"""How the cost grows with customers and connections."""

from __future__ import annotations

from bench.growth import Row, rows, smallest


class TestGrowth:
    def test_every_row_is_compared_to_the_smallest_of_its_request(self) -> None:
        found = rows((10, 100, 1000))
        assert smallest(Row("read", 1000, 16), found) == Row("read", 10, 16)
        assert smallest(Row("read", 100, 256), found) == Row("read", 100, 256)
        assert {row.connections for row in found if row.customers == 100} == {1, 16, 64, 256}
        assert len(found) == len(set(found))
