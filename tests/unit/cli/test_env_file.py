"""What `--env-file` reads, and what it refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import pytest
from click.testing import CliRunner

from customer_service.cli import env_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "variables"),
    [
        ("", {}),
        ("# nothing\n\n", {}),
        ("A=1\r\nB=2", {"A": "1", "B": "2"}),
        ("export A=1", {"A": "1"}),
        ("A=", {"A": ""}),
        ("A", {}),
        ("A=1\nA=2", {"A": "2"}),
        ("A='#1' # a comment", {"A": "#1"}),
        ('A="one\ntwo"', {"A": "one\ntwo"}),
        ("A=${HOME}$x", {"A": "${HOME}$x"}),
        ("A=mongodb://a:b@c/?d=e&f=g", {"A": "mongodb://a:b@c/?d=e&f=g"}),
        ("A=ñ", {"A": "ñ"}),
    ],
)
def test_the_variables_of_a_file(text: str, variables: Mapping[str, str]) -> None:
    assert env_file.read(text) == variables


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("A=1\n='\n", "line 2 is not NAME=value"),
        ("A='open", "line 1"),
        ("B=1\n'A=C'=x", "line 2 is not NAME=value"),
        ("A=\0", "NUL"),
    ],
)
def test_a_line_that_is_none(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        env_file.read(text)


@click.command()
@env_file.ENV_FILE
def show(environ: Mapping[str, str]) -> None:
    click.echo(f"{environ.get('GIVEN')} {environ.get('BOTH')}")


def shown(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(show, arguments, env={"BOTH": "environment", "GIVEN": None})
    return done.exit_code, done.output


def test_the_environment_wins(tmp_path: Path) -> None:
    file = tmp_path / "settings"
    file.write_bytes(b"\xef\xbb\xbfGIVEN=file\nBOTH=file\n")
    assert shown("--env-file", str(file)) == (0, "file environment\n")


def test_a_file_that_is_not_given_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("GIVEN=file\n")
    monkeypatch.chdir(tmp_path)
    assert shown() == (0, "None environment\n")


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "does not exist"), (b"A='secret\n", "line 1 is not NAME=value"), (b"A=secret\xff\n", "it is not UTF-8")],
)
def test_a_file_that_cannot_be_read_is_wrong_usage(tmp_path: Path, content: bytes | None, reason: str) -> None:
    file = tmp_path / "settings"
    if content is not None:
        file.write_bytes(content)
    code, output = shown("--env-file", str(file))
    assert (code, reason in output, "secret" in output) == (2, True, False)
