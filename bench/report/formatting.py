"""Format the results as tables, for the terminal and for docs/performance.md, and as a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.measure.measurements import Spread, ratios
from bench.measure.targets import CONNECTIONS, WRITES
from bench.report import chart
from bench.report.claims import EVE, USUAL_CONNECTIONS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FIGURES = ("requests/s", "server µs", "mongod µs", "p50 ms", "p99 ms")
BEGIN, END = "<!-- {name}: written by python -m bench report -->", "<!-- end of {name} -->"
Table = list[list[str]]


def tables(results: Mapping[str, Any]) -> dict[str, Table]:
    """Return every table of the results by its name: rows of text, the first of them the heads of the columns."""
    rows = results["rows"]
    writes = [row for row in rows if row["requests"] in WRITES]
    far = [row for row in rows if row["distance_ms"] is not None]
    reads = [row for row in rows if row not in writes and row not in far]
    return {
        "figures": reading(reads, results["servers"]),
        "connections": connections(reads),
        "distance": distance(far),
        "writes": writing(writes),
        "starting": starting(results["servers"]),
        "claims": claims(results),
    }


def reading(rows: Sequence[Mapping[str, Any]], servers: Mapping[str, Any]) -> Table:
    """Return the figures of the reads over the usual connections."""
    heads = ["", f"× {EVE}", *FIGURES, "MiB a worker", "may be older than the database"]
    usual = [row for row in rows if row["connections"] == USUAL_CONNECTIONS]
    return [
        heads,
        *(
            [row["name"], _ratio(row), *_figures(row), f"{servers[row['server']]['worker_mib']:.0f}", row["stale"]]
            for row in usual
        ),
    ]


def connections(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Return the rate and the latency of the reads over few and many connections."""
    columns = [f"{name} at {count}" for name in ("requests/s", "p99 ms") for count in CONNECTIONS]
    found = {(row["name"], row["connections"]): row for row in rows}
    return [
        ["", *columns],
        *(
            [
                name,
                *(f"{found[name, count]['rate']['median']:,.0f}" for count in CONNECTIONS),
                *(f"{found[name, count]['p99_us']['median'] / 1000:.2f}" for count in CONNECTIONS),
            ]
            for name in dict.fromkeys(row["name"] for row in rows)
        ),
    ]


def distance(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Return the figures of the reads whose MongoDB is behind the proxy, each beside the same without a delay."""
    near = {row["server"].partition(", MongoDB")[0]: row for row in rows if row["distance_ms"] == 0}
    compared = [(row, near.get(row["server"].partition(", MongoDB")[0])) for row in rows]
    return [
        ["", "× 0 ms away", *FIGURES],
        *([row["name"], _compared(row, other), *_figures(row)] for row, other in compared),
    ]


def writing(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Return the figures of the writes."""
    return [
        ["", "connections", "× FastAPI", *FIGURES],
        *([row["name"], str(row["connections"]), _ratio(row), *_figures(row)] for row in rows),
    ]


def starting(servers: Mapping[str, Any]) -> Table:
    """Return how every server starts and idles."""
    heads = ["", "first answer s", "idle, % of a core"]
    rows = servers.items()
    return [heads, *([key, f"{row['first_answer_s']:.2f}", f"{100 * row['idle_cores']:.2f}"] for key, row in rows)]


def _figures(row: Mapping[str, Any]) -> list[str]:
    return [
        f"{row['rate']['median']:,.0f}",
        *(f"{row[name]['median']:.0f}" for name in ("server_us", "mongod_us")),
        *(f"{row[name]['median'] / 1000:.2f}" for name in ("p50_us", "p99_us")),
    ]


def _ratio(row: Mapping[str, Any]) -> str:
    return spread(Spread(**row["ratio"])) if row["ratio"] else ""


def _compared(row: Mapping[str, Any], other: Mapping[str, Any] | None) -> str:
    if other is None:
        return ""
    return spread(ratios(*([each["rate"] for each in some["rounds"]] for some in (row, other))))


def claims(results: Mapping[str, Any]) -> Table:
    """Return every claim with what was measured."""
    rows = [
        [each["claim"], spread(Spread(**each["measured"])), "yes" if each["holds"] else "no"]
        for each in results["claims"]
    ]
    return [["claim", "measured", "holds"], *rows]


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


def growth(results: Mapping[str, Any]) -> Table:
    """Return how the cost grows as rows of text, below the heads of the columns."""
    heads = ["request", "customers", "connections", "p50 ms", "p99 ms", "requests/s", "× p50 of the fewest customers"]
    return [heads, *map(_growth, results["rows"])]


def _growth(row: Mapping[str, Any]) -> list[str]:
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
    """Put a text between the two marks of this name; raises ValueError if the document lacks them."""
    begin, end = BEGIN.format(name=name), END.format(name=name)
    before, found, rest = document.partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"the document lacks the marks of {name}")
    return f"{before}{begin}\n\n{text}\n\n{end}{after}"


def picture(results: Mapping[str, Any]) -> str:
    """Return the reads over the usual connections, as a ratio to Eve's, as SVG."""
    rows = [row for row in results["rows"] if row["connections"] == USUAL_CONNECTIONS and row["requests"] not in WRITES]
    bars = [chart.Bar(row["name"], row["kind"], Spread(**(row["ratio"]))) for row in rows if row["ratio"]]
    title = f"Reads of a customer a second, as a ratio to {EVE}"
    plan = results["plan"]
    return chart.draw(title, f"Median of {plan['rounds']} rounds; the whisker is the least and the greatest.", bars)


def spread(ratio: Spread) -> str:
    """Return a ratio with its extremes as text."""
    return f"{ratio.median:.2f} ({ratio.minimum:.2f}–{ratio.maximum:.2f})"
