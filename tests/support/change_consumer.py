"""Follow the changes over failures of the service, and keep the customers as the changes describe them."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from tests.support import bearer, customers_url

if TYPE_CHECKING:
    from tests.support.server import Server

RETRY_SECONDS = 0.2
PATIENCE_SECONDS = 90


class ChangeConsumer:
    """A thread that reads the change feed from the beginning; `held` are the customers that it has received."""

    def __init__(self, server: Server) -> None:
        self.held: dict[str, dict[str, Any]] = {}
        self.answers: Counter[str] = Counter()
        self._server = server
        self._cursor = ""
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._follow)

    def __enter__(self) -> ChangeConsumer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Wait until it has received every change that was made before."""
        self._leaving.set()
        self._thread.join(PATIENCE_SECONDS)
        assert not self._thread.is_alive(), self.answers

    def _follow(self) -> None:
        while True:
            is_leaving = self._leaving.is_set()
            page = self._get_page()
            if page is None:
                time.sleep(RETRY_SECONDS)
                continue
            for change in page["data"]:
                self.held.pop(change["id"], None)
                if change["customer"] is not None:
                    self.held[change["id"]] = change["customer"]
            self._cursor = page["cursor"]
            if is_leaving and not page["data"] and not page["hasMore"]:
                return

    def _get_page(self) -> dict[str, Any] | None:
        query = f"?wait=1&cursor={self._cursor}" if self._cursor else ""
        try:
            answer = self._server.get(customers_url(f"/changes{query}"), bearer(), timeout=30)
        except (OSError, http.client.HTTPException) as error:
            self.answers[type(error).__name__] += 1
            return None
        self.answers[str(answer.status)] += 1
        page: dict[str, Any] | None = json.loads(answer.body) if answer.status == http.HTTPStatus.OK else None
        return page
