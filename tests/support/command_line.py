"""Run `customer-service` in the process of the tests."""

from __future__ import annotations

import sys

import pytest

from customer_service.cli import main


class CommandRun:
    """Run the command in this process; keep its exit code and its output."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> None:
        monkeypatch.setattr(sys, "argv", ["customer-service", *arguments])
        with pytest.raises(SystemExit) as done:
            main.main()
        self.code = done.value.code or 0
        self.out, self.err = capsys.readouterr()
