"""Where an export is written: a new file takes a name, and what is no file of its own keeps it."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import pytest

from customer_service.cli.transfer import files

if TYPE_CHECKING:
    from pathlib import Path


def test_a_pipe_is_written_to(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    descriptor = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)  # so that neither end waits for the other
    with files.writing(str(pipe)) as stream:
        stream.write(b"text")
    assert os.read(descriptor, 10) == b"text"
    os.close(descriptor)
    assert pipe.is_fifo()


def test_the_link_of_a_device_to_a_file_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "DEVICES", tmp_path)
    (tmp_path / "opened").write_bytes(b"before ")
    (tmp_path / "stdout").symlink_to(tmp_path / "opened")
    with files.writing(str(tmp_path / "stdout")) as stream:
        stream.write(b"text")
    assert (tmp_path / "stdout").is_symlink()
    assert (tmp_path / "opened").read_bytes() == b"before text"
    assert {each.name for each in tmp_path.iterdir()} == {"opened", "stdout"}


@pytest.mark.parametrize(("name", "opening"), [("stdin", files.reading), ("stdout", files.writing)])
def test_a_standard_stream_that_is_closed(monkeypatch: pytest.MonkeyPatch, name: str, opening: Any) -> None:
    monkeypatch.setattr(sys, name, None)
    with pytest.raises(OSError, match="the standard stream is closed"), opening("-"):
        pass
