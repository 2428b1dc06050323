"""A measurement of the benchmark for its tests."""

from __future__ import annotations

from bench.measure.measurements import Measurement


def measurement(rate: float) -> Measurement:
    """Return a measurement of this rate; its other figures are always the same."""
    return Measurement(rate=rate, server_us=100, mongod_us=50, p50_us=3000, p99_us=9000, others=0)
