"""Following the changes of the customers: page after page, also over errors that pass."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

from customer_service.client.calls import TEMPORARY_STATUSES, is_temporary, logger
from customer_service.client.errors import ProblemError, RateLimited, Unreachable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from customer_service.client.errors import ClientError
    from customer_service.client.models import ChangePage

WAIT_SECONDS = 20
"""How long the service is to wait for a change; it allows no more."""

PAUSE_SECONDS = 1.0
"""The pause after a page that came empty and too early, and the first after an error."""

LONGEST_FOLLOW_PAUSE_SECONDS = 30.0
LONGEST_RETRY_AFTER_SECONDS = 3600.0
"""The longest Retry-After that is obeyed: a proxy may send a date in the year 9999."""


async def follow(
    fetch: Callable[[str | None], Awaitable[ChangePage]],
    sleep: Callable[[float], Awaitable[None]],
    cursor: str | None,
) -> AsyncGenerator[ChangePage, None]:
    """Yield one page of `fetch` after the other, without end; raises each error that another attempt cannot mend.

    An error that it waits for is logged if the attempt before succeeded.
    """
    pause = PAUSE_SECONDS
    while True:
        began = time.monotonic()
        try:
            page = await fetch(cursor)
        except (Unreachable, ProblemError) as error:
            if not _may_pass(error):
                raise
            if pause == PAUSE_SECONDS:
                logger.warning("follow: %s; it tries again until it is answered", error)
            spread = random.uniform(pause / 2, pause)  # noqa: S311 - it spreads, and hides nothing
            retry_after = min(getattr(error, "retry_after", None) or 0.0, LONGEST_RETRY_AFTER_SECONDS)
            await sleep(max(retry_after, spread))
            pause = min(2 * pause, LONGEST_FOLLOW_PAUSE_SECONDS)
            continue
        pause = PAUSE_SECONDS
        cursor = page.cursor
        came_early = time.monotonic() - began < PAUSE_SECONDS
        yield page
        if came_early and not page.data and not page.hasMore:  # the service holds no more requests than it has slots
            await sleep(PAUSE_SECONDS)


def _may_pass(error: ClientError) -> bool:
    """Return whether another attempt may succeed; False for a wrong URL, for example."""
    if isinstance(error, Unreachable):
        return is_temporary(error.__cause__)
    return isinstance(error, RateLimited) or getattr(error, "status", None) in TEMPORARY_STATUSES
