"""What must hold of the figures, each with its bound."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.measure.measurements import Measurement, Spread, best_of, of_each, ratios, spread
from bench.measure.targets import FAR_CONNECTIONS, WRITES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

EVE = "Eve, plain"
PLAIN, REMEMBERING, HOT = (f"this service, {mode}" for mode in ("plain", "remembering", "hot"))
USUAL_CONNECTIONS = 16
MILLISECOND = 1000  # in microseconds


@dataclass(frozen=True, slots=True)
class Claim:
    """That the rate of one row is at least so many times that of another, or of the best of several in the round."""

    one: str
    others: tuple[str, ...]
    bound: float
    connections: int = USUAL_CONNECTIONS

    def text(self) -> str:
        """Return the claim in words."""
        others = f"the best of {' and '.join(self.others)}" if len(self.others) > 1 else self.others[0]
        connections = "" if self.connections == USUAL_CONNECTIONS else f", at {self.connections} connections"
        return f"{self.one}: at least {self.bound} × {others}{connections}"

    def rows(self) -> set[tuple[str, int]]:
        """Return the keys of the rows that it compares."""
        return {(name, self.connections) for name in (self.one, *self.others)}

    def measured(self, seen: Mapping[tuple[str, int], Sequence[Measurement]]) -> Spread:
        """Return the ratio."""
        one, *others = (of_each(seen[name, self.connections], "rate") for name in (self.one, *self.others))
        return ratios(one, best_of(*others))

    def holds(self, ratio: Spread) -> bool:
        """Whether the median keeps the bound."""
        return ratio.median >= self.bound


@dataclass(frozen=True, slots=True)
class LatencyClaim:
    """That the p99 of one row is at most so many milliseconds."""

    one: str
    bound: float

    def text(self) -> str:
        """Return the claim in words."""
        return f"p99 of {self.one}: at most {self.bound} ms"

    def rows(self) -> set[tuple[str, int]]:
        """Return the key of the row."""
        return {(self.one, USUAL_CONNECTIONS)}

    def measured(self, seen: Mapping[tuple[str, int], Sequence[Measurement]]) -> Spread:
        """Return the latency in milliseconds."""
        return spread([each / MILLISECOND for each in of_each(seen[self.one, USUAL_CONNECTIONS], "p99_us")])

    def holds(self, latency: Spread) -> bool:
        """Whether the median keeps the bound."""
        return latency.median <= self.bound


def _farther(milliseconds: int, bound: float) -> Claim:
    far, near = (f"{REMEMBERING}, MongoDB {distance} ms away" for distance in (milliseconds, 0))
    return Claim(far, (near,), bound, FAR_CONNECTIONS)


CLAIMS: tuple[Claim | LatencyClaim, ...] = (
    Claim(PLAIN, ("FastAPI, plain",), 0.95),
    Claim(PLAIN, (EVE,), 1.5),
    Claim(HOT, ("FastAPI, remembering", "Fastify, remembering"), 1.3),
    LatencyClaim(REMEMBERING, 40),
    _farther(1, 0.9),
    _farther(5, 0.8),
    *(Claim(f"this service, writing, {kind}", (f"FastAPI, writing, {kind}",), 1.0) for kind in WRITES),
)
"""The claims of docs/performance.md."""
