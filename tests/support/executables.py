"""Programs of the machine that a test needs: missing, they fail it on continuous integration, and skip it elsewhere."""

from __future__ import annotations

import os
import shutil

import pytest

from tests.support import mongod


def find(name: str, package: str) -> str:
    """Return where the program is; it comes with this package of Debian."""
    path = shutil.which(name, path=os.pathsep.join((os.environ["PATH"], "/usr/sbin")))
    if path is None:
        (pytest.fail if mongod.required() else pytest.skip)(f"no {name} on this machine: apt-get install {package}")
    return path
