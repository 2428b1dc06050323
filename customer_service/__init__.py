"""A service that stores the customers of organizations: the receivers of Mexican e-invoices, over MongoDB.

The packages, from the request to the database: `server` is gunicorn's worker, `web` parses requests and builds
responses, `auth` checks the token, the rate limit and the membership, `routes` has the views, `services` the rules of a
write, `schemas` the shape and `fiscal` the SAT's rules of a customer, `repository` the database. `app` wires them.
`settings` reads the environment, `observability` writes the log, metrics and traces, `cli` is the command. Other
services use `client`, and `testing` in their tests.
"""

__version__ = "0.1.0"
