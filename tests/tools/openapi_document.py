"""Write the demo's OpenAPI document: `python -m tests.tools.openapi_document FILE`."""

from __future__ import annotations

import sys
from pathlib import Path

import mongomock

from customer_service.app import create_app
from tests.support import settings

ADDRESS = "http://localhost:3001"


def main(path: Path) -> None:
    """Write the document as the demo answers it on its usual port."""
    application = create_app(settings(), mongomock.MongoClient().customer_service)
    application.config["ABSOLUTE_SERVERS"] = True
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(application.test_client().get("/openapi.json", base_url=ADDRESS).data)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
