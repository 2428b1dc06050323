"""What a member may do: a viewer reads, an editor writes too, an admin also governs the members."""

from __future__ import annotations

from typing import Literal, get_args

Role = Literal["viewer", "editor", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)
"""Each role may do what those before it may."""
