"""The service, timed beside its peers on a real mongod and real sockets: `make bench`.

`data` stores the customers and makes the reads, `writes` the writes; `targets` lists what is measured; `mongod` and
`processes` run the servers, and `latency` is the proxy that moves MongoDB away. `check` compares the answers, so that
all do the same work; `load` puts them under load with wrk or the `load_generator`; `rounds` interleaves them and
`figures` condenses what was measured; `claims` says what must hold, `results` keeps it all, `report` and `svg` show it.
`against` compares this checkout with another commit, `growth` the cost of the service with few customers and with many.
"""
