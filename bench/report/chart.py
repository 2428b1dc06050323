"""A picture of bars with whiskers, as plain SVG."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.measure.measurements import Spread

WIDTH, LABELS, RIGHT = 960, 370, 60
ROW, TOP, BAR = 26, 64, 16
STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#1f2328}.title{font-weight:600;font-size:15px}.small{fill:#59636e}"
    ".limit{fill:#c4cbd3}.peer{fill:#6ea8d9}.service{fill:#d9822b}.line{stroke:#1f2328}"
)


@dataclass(frozen=True, slots=True)
class Bar:
    """A labelled value with its extremes; the kind is the class that colours it."""

    label: str
    kind: str
    value: Spread


def draw(title: str, subtitle: str, bars: Sequence[Bar]) -> str:
    """Return the picture of at least one bar; the longest whisker takes the whole width."""
    height = TOP + ROW * len(bars) + 12
    scale = (WIDTH - LABELS - RIGHT) / max(bar.value.maximum for bar in bars)
    rows = [_row(bar, TOP + ROW * number, scale) for number, bar in enumerate(bars)]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" role="img">',
            f"<title>{escape(title)}</title>",
            f'<style>{STYLE}</style><rect width="100%" height="100%" fill="#ffffff"/>',
            f'<text class="title" x="16" y="26">{escape(title)}</text>',
            f'<text class="small" x="16" y="46">{escape(subtitle)}</text>',
            *rows,
            "</svg>\n",
        ]
    )


def _row(bar: Bar, top: float, scale: float) -> str:
    middle = top + BAR / 2
    end, low, high = (LABELS + each * scale for each in (bar.value.median, bar.value.minimum, bar.value.maximum))
    return (
        f'<text x="{LABELS - 10}" y="{middle + 4:.1f}" text-anchor="end">{escape(bar.label)}</text>'
        f'<rect class="{bar.kind}" x="{LABELS}" y="{top}" width="{end - LABELS:.1f}" height="{BAR}"/>'
        f'<path class="line" d="M{low:.1f} {middle}H{high:.1f}M{low:.1f} {middle - 4}v8M{high:.1f} {middle - 4}v8"/>'
        f'<text x="{high + 8:.1f}" y="{middle + 4:.1f}">{bar.value.median:.2f}</text>'
    )
