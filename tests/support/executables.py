"""Programs that a test needs: without one the test fails on continuous integration, and is skipped elsewhere."""

from __future__ import annotations

import os
import shutil

import pytest

from tests.support import mongod


def find(name: str, package: str) -> str:
    """Return the path of the program; it is in this package of Debian."""
    path = shutil.which(name, path=os.pathsep.join((os.environ["PATH"], "/usr/sbin")))
    if path is None:
        (pytest.fail if mongod.required() else pytest.skip)(f"no {name} on this machine: apt-get install {package}")
    return path
