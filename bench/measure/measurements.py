"""What the rounds saw, condensed: medians with their minimum and maximum, and ratios within a round."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Measurement:
    """One target in one round.

    Requests per second; for each the microseconds of processor time, and of latency; and how many cores were busy
    with something else all the while, other targets and other programs, or taken by the machine's host; at last how
    many requests failed, which do not count in the rate.
    """

    rate: float
    server_us: float
    mongod_us: float
    p50_us: float
    p99_us: float
    others: float
    failures: int = 0


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of some figures, and their extremes."""

    median: float
    minimum: float
    maximum: float


def spread(values: Sequence[float]) -> Spread:
    """Condense at least one figure."""
    return Spread(median(values), min(values), max(values))


def ratios(one: Sequence[float], other: Sequence[float]) -> Spread:
    """Condense the ratios of figures that stand in the same round: a slow moment of the machine slows both."""
    return spread([mine / others for mine, others in zip(one, other, strict=True)])


def of_each(measurements: Sequence[Measurement], name: str) -> list[float]:
    """Return one figure of every round."""
    return [getattr(each, name) for each in measurements]


def best_of(*each: Sequence[float]) -> list[float]:
    """Return the highest of each round."""
    return [max(together) for together in zip(*each, strict=True)]


def condensed(measurements: Sequence[Measurement]) -> dict[str, Any]:
    """Return the spread of every figure by its name."""
    names = asdict(measurements[0])
    return {name: asdict(spread(of_each(measurements, name))) for name in names}


def relative(rates: Mapping[str, Sequence[float]], base: str) -> dict[str, Spread]:
    """Return everyone's rate as a ratio to the base's in the same round."""
    return {key: ratios(rate, rates[base]) for key, rate in rates.items()}
