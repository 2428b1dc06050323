"""The keys by which a server and the application exchange what WSGI does not define, in a request's environment."""

from __future__ import annotations

RECEIVED_AT = "customer_service.received_at"
"""When the server received the request, on the monotonic clock; the request's deadline counts from then."""

OVERLOADED = "customer_service.overloaded"
"""Present if the server could not give the request a place in time: it must be refused before anything is done."""

LONG_POLLING = "customer_service.web.long_polling"
"""A function without arguments whose context manager lets the request wait; absent under servers that cannot."""

DEADLINE = "customer_service.deadline"
"""The request's `database.Deadline`."""
