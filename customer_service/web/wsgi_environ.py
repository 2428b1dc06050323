"""The keys of a request's WSGI environment that this service adds to those of the WSGI specification."""

from __future__ import annotations

RECEIVED_AT = "customer_service.received_at"
"""When the server received the request, on the monotonic clock; the request's deadline counts from then."""

IS_OVERLOADED = "customer_service.overloaded"
"""True if the server had no permit for the request in time: it must be refused before anything is done."""

LONG_POLLING = "customer_service.long_polling"
"""A function that returns `long_polling.slot`'s context manager; absent if the server has no long polling."""

DEADLINE = "customer_service.deadline"
"""The request's `deadline.RequestDeadline`."""

FORWARDED_PREFIX = "customer_service.forwarded_prefix"
"""The path prefix that a gateway removed from the request's path; absent if it removed none."""
