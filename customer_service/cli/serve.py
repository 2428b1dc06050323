"""The service under gunicorn, from an installed wheel as well as from a checkout."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NoReturn

from customer_service.settings import ServerSettings
from customer_service.settings.environment import without_blanks

if TYPE_CHECKING:
    from collections.abc import Mapping

CONFIG = "python:customer_service.server.start"
APPLICATION = "customer_service.app:create_app()"


def run(environ: Mapping[str, str], *options: str, application: str = APPLICATION) -> NoReturn:
    """Replace this process by gunicorn, with the settings of this environment and more of gunicorn's options.

    gunicorn reads WEB_CONCURRENCY before the service can check its settings, and fails with a traceback if it is no
    number. So they are checked here too; raises SettingsError.
    """
    ServerSettings.from_environment(environ)
    command = [sys.executable, "-m", "gunicorn", "--config", CONFIG, *options, application]
    os.execve(sys.executable, command, without_blanks(environ))  # noqa: S606 - no shell is wanted
