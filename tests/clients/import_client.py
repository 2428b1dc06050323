"""Import every module of the generated Python client, and check that it has every operation of the document.

Run `python import_client.py DOCUMENT FOLDER` with the folder that holds the package.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
import sys
from pathlib import Path

PACKAGE = "customer_service_client"
METHODS = ("sync_detailed", "asyncio_detailed")


def main(document: Path, folder: str) -> None:
    """Print how many operations the client has; exits with 1 if one is missing."""
    paths = json.loads(document.read_text(encoding="utf-8"))["paths"]
    operations = {operation["operationId"] for item in paths.values() for operation in item.values()}
    sys.path.insert(0, folder)
    package = importlib.import_module(PACKAGE)
    modules = [importlib.import_module(each.name) for each in pkgutil.walk_packages(package.__path__, f"{PACKAGE}.")]
    callable_names = {
        each.__name__.rpartition(".")[2] for each in modules if all(hasattr(each, name) for name in METHODS)
    }
    missing = sorted(operations - callable_names)
    print(f"openapi-python-client: {len(operations) - len(missing)} of {len(operations)} operations")  # noqa: T201 - it reports
    if missing:
        sys.exit(f"missing: {', '.join(missing)}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
