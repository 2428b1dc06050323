"""What must hold of the figures, each with its bound."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.measure.measurements import Measurement, Spread, best_of, of_each, ratios
from bench.measure.targets import FAR_CONNECTIONS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

EVE = "Eve, plain"
PLAIN, REMEMBERING, HOT = (f"this service, {mode}" for mode in ("plain", "remembering", "hot"))
USUAL_CONNECTIONS = 16


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
        """Return whether the median keeps the bound."""
        return ratio.median >= self.bound


@dataclass(frozen=True, slots=True)
class LatencyClaim:
    """That the p99 of one row is at most so many times that of another."""

    one: str
    other: str
    bound: float

    def text(self) -> str:
        """Return the claim in words."""
        return f"p99 of {self.one}: at most {self.bound} × that of {self.other}"

    def rows(self) -> set[tuple[str, int]]:
        """Return the keys of the rows that it compares."""
        return {(name, USUAL_CONNECTIONS) for name in (self.one, self.other)}

    def measured(self, seen: Mapping[tuple[str, int], Sequence[Measurement]]) -> Spread:
        """Return the ratio."""
        one, other = (of_each(seen[name, USUAL_CONNECTIONS], "p99_us") for name in (self.one, self.other))
        return ratios(one, other)

    def holds(self, ratio: Spread) -> bool:
        """Return whether the median keeps the bound."""
        return ratio.median <= self.bound


def _farther(milliseconds: int, bound: float) -> Claim:
    far, near = (f"{REMEMBERING}, MongoDB {distance} ms away" for distance in (milliseconds, 0))
    return Claim(far, (near,), bound, FAR_CONNECTIONS)


CLAIMS: tuple[Claim | LatencyClaim, ...] = (
    Claim(PLAIN, (EVE,), 1.1),
    Claim(PLAIN, ("FastAPI, plain",), 0.75),
    Claim(HOT, ("FastAPI, remembering", "Fastify, remembering"), 1.3),
    LatencyClaim(REMEMBERING, "WSGI with one find under gunicorn, bare", 1.7),
    _farther(1, 0.9),
    _farther(5, 0.8),
    *(
        Claim(f"this service, writing, {kind}", (f"FastAPI, writing, {kind}",), bound)
        for kind, bound in (("create", 0.5), ("patch", 0.4), ("upsert", 0.2))
    ),
)
"""The claims of docs/performance.md: a change that breaks one has made the service slower."""
