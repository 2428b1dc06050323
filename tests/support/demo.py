"""Start the demo as a person does, and read the commands that it prints."""

from __future__ import annotations

import re
import shlex
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.server import ROOT, environment_of

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMAND = str(Path(sys.executable).with_name("customer-service"))


@contextmanager
def demo(port: int, *, traced: bool = False) -> Iterator[str]:
    """Run the demo; give what it printed up to its last curl, and see it end well."""
    process = subprocess.Popen(
        [COMMAND, "demo", "--port", str(port)],
        cwd=ROOT,
        env=environment_of(traced=traced),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    printed = ""
    while "# 404" not in printed or not printed.endswith('"\n'):
        line = process.stdout.readline()
        assert line, printed
        printed += line
    try:
        yield printed
    finally:
        process.send_signal(signal.SIGTERM)
        rest = process.stdout.read()
        process.stdout.close()
        assert (process.wait(timeout=30), rest.strip()) == (0, "")


def curls(printed: str) -> dict[int, list[str]]:
    """Return each printed curl as the words of a command, by the status that the demo promises for it."""
    found = re.findall(r"# (\d{3}),[^\n]*\n(  curl .*?)(?=\n\n|\n\Z)", printed, re.DOTALL)
    return {int(status): shlex.split(command.replace("\\\n", "")) for status, command in found}
