"""The results of a run as JSON, with every round's figures: the tables and the picture follow from it."""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.measure import load
from bench.measure.measurements import condensed, of_each, ratios, spread
from bench.measure.targets import STALENESS, WORKERS, WRITES
from bench.report.claims import CLAIMS, EVE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.measure.measurements import Measurement
    from bench.measure.rounds import Plan, Seen
    from bench.measure.targets import Row
    from bench.report.claims import Claim, LatencyClaim

MEBIBYTE = 1024 * 1024


def machine() -> dict[str, str]:
    """Return what the figures depend on: the processor, the system and the versions."""
    cpus = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(":")[2].strip() for line in cpus if line.startswith("model name")]
    return {
        "processor": f"{models[0] if models else platform.machine()}, {os.cpu_count()} cores",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "node": _version("node", "--version"),
        "load": load.generator(),
    }


def _version(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return "none"


def of_run(rows: Sequence[Row], left_out: Sequence[str], plan: Plan, seen: Seen) -> dict[str, Any]:
    """Return the results of a run."""
    return {
        "machine": machine(),
        "plan": asdict(plan),
        **conditions(seen.measurements),
        "left_out": list(left_out),
        "servers": {key: _of_server(key, seen) for key in seen.memory},
        "rows": [_of_row(row, seen.measurements) for row in rows],
        "claims": [_of_claim(claim, seen.measurements) for claim in CLAIMS if claim.rows() <= set(seen.measurements)],
    }


def conditions(measurements: Mapping[Any, Sequence[Measurement]]) -> dict[str, Any]:
    """Return the spread of how many cores were busy with something else, and how many requests failed in all."""
    everything = [each for some in measurements.values() for each in some]
    return {
        "others": asdict(spread([each.others for each in everything])),
        "failures": sum(each.failures for each in everything),
    }


def _of_server(key: str, seen: Seen) -> dict[str, float]:
    return {
        "worker_mib": round(seen.memory[key] / WORKERS / MEBIBYTE, 1),
        "first_answer_s": round(seen.first_answer[key], 2),
        "idle_cores": round(seen.idle[key], 4),
    }


def _of_row(row: Row, measurements: Mapping[tuple[str, int], Sequence[Measurement]]) -> dict[str, Any]:
    """Return the figures of a row, with its rate as a ratio to Eve's or FastAPI's if that was measured."""
    base = (f"FastAPI, writing, {row.requests}" if row.requests in WRITES else EVE, row.connections)
    rates = [of_each(measurements[key], "rate") for key in (row.key, base) if key in measurements]
    return {
        "name": row.name,
        "server": row.target.key,
        "kind": row.target.kind,
        "requests": row.requests,
        "connections": row.connections,
        "distance_ms": row.target.distance_ms,
        "stale": STALENESS[row.target.mode],
        "ratio": asdict(ratios(*rates)) if len(rates) > 1 else None,
        **condensed(measurements[row.key]),
        "rounds": [asdict(each) for each in measurements[row.key]],
    }


def _of_claim(
    claim: Claim | LatencyClaim, measurements: Mapping[tuple[str, int], Sequence[Measurement]]
) -> dict[str, Any]:
    measured = claim.measured(measurements)
    return {
        "claim": claim.text(),
        "bound": claim.bound,
        "measured": asdict(measured),
        "holds": claim.holds(measured),
    }
