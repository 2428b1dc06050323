"""Read the commands of the README and of docs/ as a reader pastes them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.server import environment_of

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[2]
DECISIONS = "docs/decisions/"
DOCUMENTS = ("README.md", "CONTRIBUTING.md", *sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("docs/**/*.md")))
"""Every page of the repository, by its path."""

PAGES = tuple(page for page in DOCUMENTS if page != "CONTRIBUTING.md" and not page.startswith(DECISIONS))
"""The pages whose commands a reader of the product runs."""

SHELLS = {"sh", "bash", "shell", "console"}
FENCED = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
INDENTED = re.compile(r"(?<=\n\n)((?:    .*\n)+(?:\n+(?:    .*\n)+)*)")
SECONDS = 60

FAIL_ON_REFUSAL = 'curl() { command curl --silent --show-error --fail "$@"; }\n'


def blocks(page: str) -> list[tuple[str, str]]:
    """Return the fenced blocks of a page, each with its language; an indented one is of a shell."""
    text = (ROOT / page).read_text()
    fenced = [(match.start(), match[1], match[2]) for match in FENCED.finditer(text)]
    plain = FENCED.sub(lambda match: re.sub(r"[^\n]", "x", match[0]), text)
    indented = [(match.start(), "sh", match[1]) for match in INDENTED.finditer(plain)]
    return [(language, block) for _, language, block in sorted(fenced + indented)]


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", FENCED.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def commands(page: str) -> str:
    """Return what a page has its reader paste into a shell, from top to bottom."""
    return "".join(block for language, block in blocks(page) if language in SHELLS)


def run(text: str, directory: Path, settings: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run the commands of a page in this directory, the first that fails the last; a curl fails that is refused."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(  # noqa: PLW1510 - the caller looks at the exit code
        ["bash", "-euo", "pipefail", "-c", FAIL_ON_REFUSAL + text],  # noqa: S607 - the bash of the PATH
        cwd=directory,
        env={**environment_of(traced=False), "PATH": path, **settings},
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
