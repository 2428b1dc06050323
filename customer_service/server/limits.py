"""How many requests a worker serves at once, and how long it waits for them and for its clients."""

MAXIMUM_IN_FLIGHT = 16
"""How many requests a worker serves at once; the others wait in a queue."""

QUEUE_SECONDS = 1.0
"""How long a request waits in the queue before the worker refuses it."""

ACCEPTED_AT_ONCE = 4
"""How many connections a worker accepts before it serves those that it has, so that all workers get about as many.

With 16, one of two workers may get all of sixteen clients that connect at once. With 1, the slowest reads of 64 clients
take three times as long.
"""

ACCEPTED_AT_ONCE_IF_FULL = 32
"""The same for a worker that has MAXIMUM_IN_FLIGHT requests, or more.

A connection that waits in the kernel delays the probes behind it, and its request is not refused in time. With 100,
one of two workers may get nine tenths of 200 clients.
"""

MAXIMUM_BUFFERED_BYTES = 32_000_000
"""How many bytes of incomplete bodies a worker buffers; it refuses a body that would exceed them."""

SILENT_SECONDS = 10.0
"""How long a new connection may take to send its first request line and headers.

The rest of a later request, after its first bytes, has as long.
"""

RESPONSE_SECONDS = 10.0
"""How long a client may take to read a response."""

LINGER_SECONDS = 2.0
"""How long the bytes that a client still sends are read and dropped before its connection is closed.

The kernel resets a connection that is closed with unread bytes, and the client may lose its response.
"""

OTHER_WORKERS_SECONDS = 0.5
"""How long a worker that has stopped listening keeps connections open, until all other workers have stopped too.

A client whose connection is closed earlier would connect to a worker that is about to stop.
"""

IDLE_SECONDS = 2.0
"""How long a stopping worker waits for a next request on an idle connection, to answer it with `Connection: close`."""

FINISH_SECONDS = 5.0
"""How long a stopping worker waits for the requests in flight after that."""
