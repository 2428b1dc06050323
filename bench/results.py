"""The results of a run as JSON, which keeps every round's figures, so that all that is told follows from it."""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import load
from bench.claims import CLAIMS, EVE
from bench.figures import condensed, of_each, ratios, spread
from bench.targets import STALENESS, WORKERS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.figures import Measurement
    from bench.rounds import Plan, Seen
    from bench.targets import Target

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


def of_run(targets: Sequence[Target], left_out: Sequence[Target], plan: Plan, seen: Seen) -> dict[str, Any]:
    """Return the results of a run."""
    keys = [target.key for target in targets]
    base = EVE if EVE in keys else keys[0]
    return {
        "machine": machine(),
        "plan": asdict(plan),
        "base": base,
        **conditions(seen.measurements),
        "left_out": [target.key for target in left_out],
        "targets": {target.key: _of_target(target, base, seen) for target in targets},
        "claims": _claims(seen, {target.key for target in (*targets, *left_out)}),
    }


def conditions(measurements: Mapping[Any, Sequence[Measurement]]) -> dict[str, Any]:
    """Return the spread of how many cores were busy with something else, and how many requests failed in all."""
    everything = [each for some in measurements.values() for each in some]
    return {
        "others": asdict(spread([each.others for each in everything])),
        "failures": sum(each.failures for each in everything),
    }


def _of_target(target: Target, base: str, seen: Seen) -> dict[str, Any]:
    return {
        "mode": target.mode,
        "kind": target.kind,
        "stale": STALENESS[target.mode],
        "worker_mib": round(seen.memory[target.key] / WORKERS / MEBIBYTE, 1),
        "first_answer_s": round(seen.first_answer[target.key], 2),
        "idle_cores": round(seen.idle[target.key], 4),
        "connections": {
            str(connections): _of_row(measurements, seen.measurements[base, connections])
            for (key, connections), measurements in seen.measurements.items()
            if key == target.key
        },
    }


def _of_row(measurements: Sequence[Measurement], base: Sequence[Measurement]) -> dict[str, Any]:
    return {
        "ratio": asdict(ratios(of_each(measurements, "rate"), of_each(base, "rate"))),
        **condensed(measurements),
        "rounds": [asdict(each) for each in measurements],
    }


def _claims(seen: Seen, chosen: set[str]) -> list[dict[str, Any]]:
    told = []
    for claim in (each for each in CLAIMS if {each.one, *each.others} <= chosen):
        ratio = claim.measured(seen.measurements)
        told.append(
            {
                "claim": claim.text(),
                "bound": claim.bound,
                "measured": asdict(ratio) if ratio else None,
                "holds": claim.holds(ratio) if ratio else None,
            }
        )
    return told
