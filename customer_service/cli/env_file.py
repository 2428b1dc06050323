"""The option `--env-file`: settings from a file, below those of the environment."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click
from dotenv.parser import parse_stream

if TYPE_CHECKING:
    from collections.abc import Mapping


def read(text: str) -> dict[str, str]:
    """Return the variables of a file; raises ValueError with the line that has none."""
    if "\0" in text:
        raise ValueError("it has a NUL character")
    bindings = list(parse_stream(io.StringIO(text)))
    wrong = next((each.original.line for each in bindings if each.error or "=" in (each.key or "")), None)
    if wrong is not None:
        raise ValueError(f"line {wrong} is not NAME=value")
    return {each.key: each.value for each in bindings if each.key is not None and each.value is not None}


def _environment(_context: click.Context, _parameter: click.Parameter, file: str | None) -> Mapping[str, str]:
    """Return the environment, which wins over the file."""
    if file is None:
        return os.environ
    try:
        return read(Path(file).read_text("utf-8-sig")) | os.environ
    except (OSError, ValueError) as error:  # UnicodeDecodeError is a ValueError, whose text holds bytes of the file
        reason = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
        raise click.BadParameter(f"{file} cannot be read: {reason}") from None


ENV_FILE = click.option(
    "--env-file",
    "environ",
    type=click.Path(exists=True, dir_okay=False),
    callback=_environment,
    help="A file of NAME=value lines, such as .env. A variable of the environment wins over its line.",
)
"""Gives a command the `environ` to run in."""
