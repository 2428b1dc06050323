"""The roles of members: a viewer reads, an editor also writes, an admin also manages the members."""

from __future__ import annotations

from typing import Literal, get_args

Role = Literal["viewer", "editor", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)
"""The roles in order: each one also has the permissions of those before it."""
