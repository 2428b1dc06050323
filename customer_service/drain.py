"""The one bit that a server's processes share: whether it was told to stop."""

from __future__ import annotations

import mmap

_shared = mmap.mmap(-1, 1)  # anonymous and shared: made before gunicorn forks, seen by all its workers


def begin() -> None:
    """Tell every process of this server that it is going away."""
    _shared[0] = 1


def in_progress() -> bool:
    """Whether this server is going away."""
    return _shared[0] == 1
