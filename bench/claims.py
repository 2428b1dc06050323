"""What must hold of the figures, each as a ratio within a round with its bound."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.figures import Measurement, Spread, best_of, of_each, ratios

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

GUNICORN, GRANIAN = "this service under gunicorn", "this service under granian"
EVE = "Eve, plain"
FASTAPI, FASTIFY = "FastAPI, remembering", "Fastify, remembering"


@dataclass(frozen=True, slots=True)
class Claim:
    """That a figure of one target is at least, or at most, so many times that of another.

    Of several others it is the one with the highest rate in the round.
    """

    one: str
    others: tuple[str, ...]
    bound: float
    at_least: bool = True
    figure: str = "rate"
    other_figure: str = ""
    connections: int = 16

    def text(self) -> str:
        """Return the claim in words."""
        names = {"rate": "", "server_us": "processor time of ", "p99_us": "p99 of ", "p50_us": "p50 of "}
        others = f"the best of {' and '.join(self.others)}" if len(self.others) > 1 else self.others[0]
        relation = "at least" if self.at_least else "at most"
        return (
            f"{names[self.figure]}{self.one}: {relation} {self.bound} × "
            f"{names[self.other_figure or self.figure]}{others}"
        )

    def measured(self, seen: Mapping[tuple[str, int], Sequence[Measurement]]) -> Spread | None:
        """Return the ratio, or None if one of them was not measured."""
        one, *others = ((key, self.connections) for key in (self.one, *self.others))
        if any(key not in seen for key in (one, *others)):
            return None
        best = best_of(*(of_each(seen[key], self.other_figure or self.figure) for key in others))
        return ratios(of_each(seen[one], self.figure), best)

    def holds(self, ratio: Spread) -> bool:
        """Whether the median keeps the bound."""
        return ratio.median >= self.bound if self.at_least else ratio.median <= self.bound


def _tail(key: str) -> Claim:
    return Claim(key, (key,), 3.0, at_least=False, figure="p99_us", other_figure="p50_us")


CLAIMS = (
    Claim(f"{GUNICORN}, plain", (EVE,), 1.5),
    Claim(f"{GUNICORN}, plain", ("FastAPI, plain",), 1.0),
    Claim(f"{GUNICORN}, remembering", (EVE,), 2.0),
    Claim(f"{GUNICORN}, remembering", (f"{GUNICORN}, plain",), 1.6),
    Claim(f"{GRANIAN}, remembering", (FASTAPI,), 1.1),
    Claim(f"{GRANIAN}, remembering", (FASTIFY,), 1.0),
    Claim(f"{GUNICORN}, remembering", ("Flask hello under gunicorn, bare",), 1.9, at_least=False, figure="server_us"),
    Claim(f"{GRANIAN}, remembering", ("Flask hello under granian, bare",), 1.9, at_least=False, figure="server_us"),
    Claim(f"{GUNICORN}, hot", (FASTAPI, FASTIFY), 1.2),
    Claim(f"{GUNICORN}, hot", ("Flask hello under gunicorn, bare",), 0.75),
    Claim(f"{GRANIAN}, hot", (FASTAPI, FASTIFY), 2.0),
    Claim(f"{GUNICORN}, hot, 304", (f"{GUNICORN}, hot",), 1.0),
    Claim(f"{GRANIAN}, hot, 304", (f"{GRANIAN}, hot",), 1.0),
    _tail(f"{GUNICORN}, plain"),
    _tail(f"{GUNICORN}, remembering"),
    _tail(f"{GRANIAN}, remembering"),
)
"""The claims of docs/performance.md."""
