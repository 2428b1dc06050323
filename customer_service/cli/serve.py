"""The service under gunicorn, from an installed wheel as well as from a checkout."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NoReturn

from customer_service.settings import ServerSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

CONFIG = "python:customer_service.server.start"
APPLICATION = "customer_service.app:create_app()"


def run(environ: Mapping[str, str], *options: str, application: str = APPLICATION) -> NoReturn:
    """Replace this process by gunicorn, with the settings of this environment and more of gunicorn's options.

    Raises SettingsError for the settings that gunicorn itself reads first, as it does a blank WEB_CONCURRENCY.
    """
    ServerSettings.from_environment(environ)
    environ = {name: value for name, value in environ.items() if value.strip()}
    command = [sys.executable, "-m", "gunicorn", "--config", CONFIG, *options, application]
    os.execve(sys.executable, command, environ)  # noqa: S606 - no shell is wanted
