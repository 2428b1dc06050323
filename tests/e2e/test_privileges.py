"""The service runs as an unprivileged user on a read-only file system, as in the image."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

from tests import support
from tests.support.server import ROOT, Server

if TYPE_CHECKING:
    from pathlib import Path

    from pymongo.database import Database

    from customer_service.repository.database import Document

WITHOUT_PRIVILEGES = ("setpriv", "--inh-caps=-all", "--bounding-set=-all", "--no-new-privs")
SHIPPED = ("wsgi.py", "gunicorn.conf.py")


def test_it_serves_without_privileges_from_a_directory_it_cannot_write(
    mongodb_uri: str, mongodb: Database[Document], tmp_path: Path
) -> None:
    support.fill(mongodb)
    for name in SHIPPED:
        shutil.copy(ROOT / name, tmp_path)
    tmp_path.chmod(0o555)
    prefix = WITHOUT_PRIVILEGES if os.geteuid() == 0 else ()
    assert subprocess.run([*prefix, "touch", tmp_path / "x"], capture_output=True, check=False).returncode != 0
    with Server(mongodb_uri, mongodb.name, directory=tmp_path, prefix=prefix) as server:
        assert server.get(support.url(), support.bearer()).status == 200
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(SHIPPED)
    tmp_path.chmod(0o755)
