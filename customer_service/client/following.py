"""Following what becomes of the customers: page after page, over whatever passes."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

from customer_service.client.calls import PASSING
from customer_service.client.errors import ProblemError, RateLimited, Unreachable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from customer_service.client.errors import ClientError
    from customer_service.client.models import ChangePage

WAIT_SECONDS = 20
"""How long the service is to wait for a change; it allows no more."""

PAUSE_SECONDS = 1.0
"""The pause after a page that came empty and too early, and the first after an error."""

LONGEST_PAUSE_SECONDS = 30.0


def follow(ask: Callable[[str | None], ChangePage], cursor: str | None) -> Iterator[ChangePage]:
    """Yield the pages that `ask` returns behind one another, without end; raises what another attempt cannot mend."""
    pause = PAUSE_SECONDS
    while True:
        began = time.monotonic()
        try:
            page = ask(cursor)
        except (Unreachable, ProblemError) as error:
            if not _passes(error):
                raise
            spread = random.uniform(pause / 2, pause)  # noqa: S311 - it spreads, and hides nothing
            time.sleep(max(getattr(error, "retry_after", None) or 0.0, spread))
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            continue
        pause = PAUSE_SECONDS
        cursor = page.cursor
        came_early = time.monotonic() - began < PAUSE_SECONDS
        yield page
        if came_early and not page.data and not page.hasMore:  # the service had no place to let it wait
            time.sleep(PAUSE_SECONDS)


def _passes(error: ClientError) -> bool:
    return isinstance(error, Unreachable | RateLimited) or getattr(error, "status", None) in PASSING
