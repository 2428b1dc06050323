"""A table of a run: each file's promise, how many cases showed it, and the figures that they measured.

A plugin of pytest (`-p tests.attacks.report`). It prints the table, and after a run without failures writes it
between the marks in docs/reliability.md.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- attacks: begin -->\n", "<!-- attacks: end -->"
HEAD = "| promise | shown by | cases | measured |\n| --- | --- | --- | --- |\n"


def table_of(passed: Iterable[pytest.TestReport], failed: Iterable[pytest.TestReport]) -> str:
    """Return a row for each test file, in the order of the run."""
    rows: dict[str, tuple[list[pytest.TestReport], list[pytest.TestReport]]] = {}
    for place, reports in enumerate((passed, failed)):
        for report in reports:
            rows.setdefault(report.nodeid.partition("::")[0], ([], []))[place].append(report)
    return HEAD + "".join(_row(path, *cases) for path, cases in rows.items())


def _row(path: str, passed: list[pytest.TestReport], failed: list[pytest.TestReport]) -> str:
    promise = (ast.get_docstring(ast.parse((ROOT / path).read_text())) or "").partition("\n\n")[0].replace("\n", " ")
    figures = [str(value) for report in passed for name, value in report.user_properties if name == "figure"]
    cases = f"{len(passed)}, {len(failed)} failed" if failed else str(len(passed))
    return f"| {promise} | `{path}` | {cases} | {'; '.join(figures)} |\n"


def pytest_terminal_summary(terminalreporter: Any, exitstatus: int) -> None:
    """Print the table, and write it into the page if every test passed."""
    stats = terminalreporter.stats
    table = table_of(stats.get("passed", []), [*stats.get("failed", []), *stats.get("error", [])])
    terminalreporter.write_line(f"\n{table}")
    if exitstatus == 0:
        before, _, rest = PAGE.read_text().partition(BEGIN)
        PAGE.write_text(f"{before}{BEGIN}{table}{END}{rest.partition(END)[2]}")
