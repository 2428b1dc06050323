"""The files of imports and exports: gzip by the name, and no file that is half written."""

from __future__ import annotations

import errno
import gzip
import os
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TextIO, cast

from customer_service.cli.transfer.formats import GZIP

if TYPE_CHECKING:
    from collections.abc import Iterator

STANDARD = "-"
DEVICES = Path("/dev")


@contextmanager
def reading(name: str) -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """Open a file, or the standard input for `-`: yields its content, and the raw stream below."""
    if name == STANDARD:
        standard = _open_stream(sys.stdin).buffer
        yield standard, standard
        return
    with Path(name).open("rb") as raw:
        yield (cast("BinaryIO", gzip.GzipFile(fileobj=raw)) if name.lower().endswith(GZIP) else raw), raw


@contextmanager
def writing(name: str) -> Iterator[BinaryIO]:
    """Open a file for its owner alone, or the standard output for `-`; the file gets its name when it is complete.

    A device or a pipe is written to as it is.
    """
    if name == STANDARD:
        standard = _open_stream(sys.stdout).buffer
        yield standard
        standard.flush()
        return
    with _opened(Path(name)) as raw:
        if name.lower().endswith(GZIP):
            with gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as compressed:
                yield cast("BinaryIO", compressed)
        else:
            yield raw


def _open_stream(stream: TextIO | None) -> TextIO:
    """Return the stream; raises OSError if it was closed when the process started."""
    if stream is None:
        raise OSError(errno.EBADF, "the standard stream is closed")
    return stream


@contextmanager
def _opened(target: Path) -> Iterator[BinaryIO]:
    if is_device(target):
        with target.open("ab") as raw:  # appends, since /dev/stdout may be a file that has a beginning
            yield raw
        return
    descriptor, part = tempfile.mkstemp(".part", f"{target.name}.", target.parent)  # a new file, with O_EXCL and 0600
    try:
        with os.fdopen(descriptor, "wb") as raw:
            yield raw
        Path(part).replace(target)
    finally:
        Path(part).unlink(missing_ok=True)


def position(stream: BinaryIO) -> int:
    """Return how many bytes of the stream were read; 0 for a pipe, which has no position."""
    return stream.tell() if stream.seekable() else 0


def is_device(target: Path) -> bool:
    """Return whether this is a device, a pipe or the like: root could replace it by a file."""
    return target.exists() and (not target.is_file() or target.parent == DEVICES)
