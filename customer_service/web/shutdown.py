"""The flag that all processes of a server share: whether the server is shutting down."""

from __future__ import annotations

import mmap

_shared = mmap.mmap(-1, 1)  # anonymous and shared: made before gunicorn forks, visible to all its workers


def begin() -> None:
    """Set the flag, for every process of this server."""
    _shared[0] = 1


def in_progress() -> bool:
    """Return whether this server is shutting down."""
    return _shared[0] == 1
