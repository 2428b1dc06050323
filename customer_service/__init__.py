"""The customers of Mexican invoicing organizations, over MongoDB.

How a request travels: `server` takes it to the application that `app` composed; `observability` gives it an id
and a trace; the blueprint in `routes` guards it with `authorization`, which asks `tokens` whose it is (with the
keys of `keys` or `jwks`) and `repository` whether that user is a member; the view asks `repository` for the customer
(through `database`, within the request's deadline), and `schemas` turns the document into the contract's shape.
Whatever goes wrong is one of `errors`, and `problems` makes it an answer. `settings` is read once, at the start.
"""

__version__ = "0.1.0"
