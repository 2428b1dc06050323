"""The one bit that a server's processes share: whether it is stopping."""

from __future__ import annotations

import mmap

_shared = mmap.mmap(-1, 1)  # anonymous and shared: made before gunicorn forks, seen by all its workers


def begin() -> None:
    """Let every process of this server know that the server is stopping."""
    _shared[0] = 1


def in_progress() -> bool:
    """Return whether this server is stopping."""
    return _shared[0] == 1
