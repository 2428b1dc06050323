"""The customers of Mexican invoicing organizations, over MongoDB.

How a request travels: `server` admits it and passes it to the application that `app` wires. `web` trusts or ignores
what a gateway says of it, and gives it a deadline; `observability` gives it an id and a trace, logs it and counts it.
The blueprint of its `routes` guards it: `auth` verifies the token, counts the request and looks up the membership.
The view reads the request by `web.requests`. What is to be stored passes the shapes of `schemas`, the rules of
`fiscal`, and what spans both in `services`. `repository` queries MongoDB within the deadline, and `web.responses`
serializes the result. An exception of `errors` becomes a problem of `web.problems`. `settings` are read once, at the
start. The command is `cli`; `client` and `testing` are for other services.
"""

__version__ = "0.1.0"
