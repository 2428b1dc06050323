"""What `make sbom` does behind the list: asks whether anything in the runtime's lock is known to be vulnerable.

It exits with 0 if there is none, 1 if there is one, and 3 if it could not find out: not to know is no pass.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

LOCK = "requirements.txt"
CLEAN, VULNERABLE, UNKNOWN = 0, 1, 3


def audit() -> str:
    """Return pip-audit's findings on the lock in JSON, or nothing if it made none."""
    with tempfile.TemporaryDirectory() as directory:
        findings = Path(directory) / "findings.json"
        command = [sys.executable, "-m", "pip_audit", "--disable-pip", "--require-hashes", "--requirement", LOCK]
        options = ["--progress-spinner", "off", "--format", "json", "--output", str(findings)]
        subprocess.run([*command, *options], capture_output=True, check=False)
        return findings.read_text() if findings.exists() else ""


def verdict(findings: str) -> tuple[int, str]:
    """Return the exit code and what to say."""
    packages: list[dict[str, Any]] = json.loads(findings)["dependencies"] if findings else []
    unknown = [package for package in packages if "vulns" not in package]
    known = [
        f"{package['name']} {package['version']}: {', '.join(each['id'] for each in package['vulns'])}"
        for package in packages
        if package.get("vulns")
    ]
    if known:
        return VULNERABLE, "\n".join(["Known to be vulnerable:", *known])
    if unknown or not packages:
        reason = (
            f"{len(unknown)} of {len(packages)} packages could not be looked up" if packages else "there is no answer"
        )
        return UNKNOWN, f"The lock is NOT audited, for its source of vulnerabilities was not reached: {reason}."
    return CLEAN, f"None of {len(packages)} packages is known to be vulnerable."


def main() -> int:
    """Print the verdict on the lock and return its exit code."""
    code, words = verdict(audit())
    sys.stdout.write(f"{words}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
