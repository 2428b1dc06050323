"""The audit of the lock fails if it could not find out whether a package is vulnerable."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.tools import audit

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
CLEAN = {"name": "one", "version": "1", "vulns": []}
SKIPPED = {"name": "two", "skip_reason": "not found"}
BAD = {"name": "three", "version": "3", "vulns": [{"id": "PYSEC-1"}, {"id": "CVE-2"}]}


@pytest.mark.parametrize(
    ("packages", "code", "word"),
    [
        ([CLEAN], 0, "None of 1 packages"),
        ([CLEAN, BAD], 1, "three 3: PYSEC-1, CVE-2"),
        ([SKIPPED, BAD], 1, "three 3"),
        ([CLEAN, SKIPPED], 3, "NOT audited"),
        ([SKIPPED], 3, "1 of 1 packages could not be looked up"),
        ([], 3, "NOT audited"),
    ],
)
def test_verdicts(packages: list[dict[str, Any]], code: int, word: str) -> None:
    judged, words = audit.verdict(json.dumps({"dependencies": packages}))
    assert judged == code
    assert word in words


def test_no_findings_are_no_verdict() -> None:
    assert audit.verdict("") == (
        3,
        "The lock is NOT audited, for its source of vulnerabilities was not reached: there is no answer.",
    )


def test_an_auditor_that_fails_finds_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run: Callable[..., Any] = lambda *_, **__: None  # noqa: E731 - it says nothing and writes nothing
    monkeypatch.setattr(subprocess, "run", run)
    assert audit.main() == 3
    assert "NOT audited" in capsys.readouterr().out


def test_the_list_has_every_package_of_the_lock_with_its_hashes(tmp_path: Path) -> None:
    target = tmp_path / "sbom.json"
    tool = Path(sys.executable).with_name("cyclonedx-py")
    subprocess.run(
        [tool, "requirements", "--output-reproducible", "--no-validate", "-o", target, audit.LOCK], cwd=ROOT, check=True
    )
    components = json.loads(target.read_text())["components"]
    pinned = [line.partition("==")[0] for line in (ROOT / audit.LOCK).read_text().splitlines() if "==" in line]
    assert [each["name"] for each in components] == pinned
    assert all(reference["hashes"] for each in components for reference in each["externalReferences"])
