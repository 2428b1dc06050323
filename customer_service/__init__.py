"""The customers of Mexican invoicing organizations, over MongoDB.

How a request travels: `reception` lets it in from its `sockets` once it is whole (which `arrivals` can tell) and while
it can be answered in time (which `line` can), and `server` takes it to the application that `app` composed. `gateway`
judges what a gateway in front says of it, `cors` which web pages may read the answer; `compression` makes large ones
small. `observability` gives it an id and a trace, logs it, and counts it in `metrics`, which `health` tells; where
somebody collects them, `tracing` makes spans of it. The blueprints in `routes` guard it with `authorization`, which
asks `tokens` whose it is (with the keys of `keys` or `jwks`), `limits` whether that user may ask so often, and
`repository` whether it is a member, and in which role. The view reads what is asked with `parsing`; what is to be
stored goes through `changes`, where `inputs` judges its shape and `fiscal` (with its `catalogues`) what it says, and
where a key says in whose place, through `upserts`. `repository` does it, through `database` and within the request's
deadline, and `answers` tells it in the shape of `schemas`; what may be remembered is in a `cache`. Who follows the
changes asks with `following`, and may wait for one where `waiting` says so. Whatever goes wrong is one of `errors`,
each of them a kind of problem of `problems`, and `error_handlers` make it an answer; `refusals` answers what the
application never sees. Each view says in its `operations` who may call it and what it answers, `openapi` makes a
document of that, and `reference` shows it to a person; `settings` is read once, at the start, from the `environment`.
The command is `cli`; its `transfer` takes customers in and out of files, and what commands share is in `terminal`.
"""

__version__ = "0.1.0"
