"""The command `customer-service`."""

from __future__ import annotations

import sys


def run_command() -> None:
    """Run the command.

    The extra `client` installs it without its libraries: then print which extra it needs.
    """
    try:
        from customer_service.cli.main import main  # noqa: PLC0415 - fails if the extra is not installed
    except ModuleNotFoundError as error:
        sys.exit(f"customer-service: {error}. Install the extra: customer-service[server]")
    main()
