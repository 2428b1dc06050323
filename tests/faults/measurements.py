"""Keep what the fault tests measured in docs/faults.json, and write it into docs/reliability.md beside the promise."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
FIGURES = DOCS / "faults.json"
PAGE = DOCS / "reliability.md"
MARKED = re.compile(r"(<!-- faults: begin -->\n).*?(<!-- faults: end -->)", re.DOTALL)
SWITCH = "FAULT_FIGURES"


def record(test: str, promise: str, figure: str) -> None:
    """Keep the figure that a test measured for a promise if FAULT_FIGURES is set: `make faults` sets it."""
    if os.environ.get(SWITCH):
        figures = read()
        figures[test] = {"promise": promise, "measured": figure}
        FIGURES.write_text(json.dumps(figures, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def read() -> dict[str, dict[str, str]]:
    """Return what was measured, by the tests' names."""
    figures: dict[str, dict[str, str]] = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    return figures


def table() -> str:
    """Return the promises, the figures and the tests as a table in Markdown."""
    rows = [f"| {each['promise']} | {each['measured']} | `{test}` |" for test, each in read().items()]
    return "\n".join(["| promise | measured | test |", "| --- | --- | --- |", *rows]) + "\n"


def write_page() -> None:
    """Put the table between the marks of the page."""
    PAGE.write_text(MARKED.sub(lambda marks: marks[1] + table() + marks[2], PAGE.read_text()))


if __name__ == "__main__":
    write_page()
    sys.stdout.write(table())
