"""What is told of the results: a table for the terminal and for docs/performance.md, and a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench import svg
from bench.figures import Spread

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

COLUMNS = (
    *("", "× {base}", "requests/s", "server µs", "mongod µs", "p50 ms", "p99 ms", "MiB a worker"),
    "may be older than the database",
)
BEGIN, END = "<!-- {name}: written by python -m bench report -->", "<!-- end of {name} -->"


def table(results: Mapping[str, Any]) -> list[list[str]]:
    """Return the figures of every target as rows of text, the first of them the heads of the columns."""
    heads = [column.format(base=results["base"]) for column in COLUMNS]
    return [heads, *(_of_target(key, target) for key, target in results["targets"].items())]


def starting(results: Mapping[str, Any]) -> list[list[str]]:
    """Return how every target starts and idles as rows of text, below the heads of the columns."""
    heads = ["", "first answer s", "idle, % of a core"]
    rows = results["targets"].items()
    return [heads, *([key, f"{row['first_answer_s']:.2f}", f"{100 * row['idle_cores']:.2f}"] for key, row in rows)]


def _of_target(key: str, target: Mapping[str, Any]) -> list[str]:
    row = target["connections"]["16"]
    return [
        key,
        spread(Spread(**row["ratio"])),
        f"{row['rate']['median']:,.0f}",
        *(f"{row[name]['median']:.0f}" for name in ("server_us", "mongod_us")),
        *(f"{row[name]['median'] / 1000:.2f}" for name in ("p50_us", "p99_us")),
        f"{target['worker_mib']:.0f}",
        target["stale"],
    ]


def claims(results: Mapping[str, Any]) -> list[list[str]]:
    """Return every claim with its measured ratio as rows of text, below the heads of the columns."""
    rows = [["claim", "measured", "holds"]]
    for each in results["claims"]:
        ratio = each["measured"]
        measured = spread(Spread(**ratio)) if ratio else "not measured"
        rows.append([each["claim"], measured, {True: "yes", False: "no", None: ""}[each["holds"]]])
    return rows


def conditions(results: Mapping[str, Any]) -> str:
    """Return in one sentence what was measured on what, and how quiet it was there."""
    machine, plan, others = results["machine"], results["plan"], results["others"]
    customers = f", {plan['customers']:,} customers" if "customers" in plan else ""
    return (
        f"{machine['processor']}, {machine['system']}, Python {machine['python']}, Node {machine['node']}; "
        f"{machine['load']}; {plan['rounds']} rounds of {plan['seconds']} s{customers}. Of the cores, "
        f"{others['median']:.2f} at the median and {others['maximum']:.2f} at most were busy with something else; "
        f"{results['failures']:,} requests failed."
    )


def growth(results: Mapping[str, Any]) -> list[list[str]]:
    """Return how the cost grows as rows of text, below the heads of the columns."""
    heads = ["request", "customers", "connections", "p50 ms", "p99 ms", "requests/s", "× p50 of the fewest customers"]
    return [heads, *map(_of_row, results["rows"])]


def _of_row(row: Mapping[str, Any]) -> list[str]:
    return [
        row["request"],
        f"{row['customers']:,}",
        str(row["connections"]),
        *(f"{row[name]['median'] / 1000:.2f}" for name in ("p50_us", "p99_us")),
        f"{row['rate']['median']:,.0f}",
        spread(Spread(**row["p50_ratio"])),
    ]


def plain(rows: Sequence[Sequence[str]]) -> str:
    """Return rows of text in columns for a terminal: the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.rjust(width) if place else cell.ljust(width) for place, (cell, width) in enumerate(cells))
        for cells in (list(zip(row, widths, strict=True)) for row in rows)
    )


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """Return rows of text as a table in Markdown."""
    head, *body = rows
    rule = ["---", *("---:" for _ in head[1:])]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *body))


def insert(document: str, name: str, text: str) -> str:
    """Put a text between the two marks of this name; raises ValueError where the document lacks them."""
    begin, end = BEGIN.format(name=name), END.format(name=name)
    before, found, rest = document.partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"the document lacks the marks of {name}")
    return f"{before}{begin}\n\n{text}\n\n{end}{after}"


def picture(results: Mapping[str, Any]) -> str:
    """Return the ratios of all targets as SVG."""
    bars = [
        svg.Bar(key, _kind(key, target["mode"]), Spread(**target["connections"]["16"]["ratio"]))
        for key, target in results["targets"].items()
    ]
    title = f"Reads of a customer a second, as a ratio to {results['base']}"
    plan = results["plan"]
    return svg.draw(title, f"Median of {plan['rounds']} rounds; the whisker is the least and the greatest.", bars)


def spread(ratio: Spread) -> str:
    """Return a ratio with its extremes as text."""
    return f"{ratio.median:.2f} ({ratio.minimum:.2f}–{ratio.maximum:.2f})"


def _kind(key: str, mode: str) -> str:
    if mode == "bare":
        return "limit"
    return "service" if key.startswith("this service") else "peer"
