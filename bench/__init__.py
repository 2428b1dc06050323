"""The read of a customer, timed beside its peers on a real mongod and real sockets: `make bench`.

`data` stores the customers and says what to ask; `targets` names who answers, and `processes` runs them; `check` holds
that they all do the same work; `load` puts them under load with wrk or the `standin`; `rounds` interleaves them and
`figures` condenses what it saw; `claims` says what must hold, `results` keeps it all, and `report` and `svg` tell it.
`growth` shows how the cost of the service grows with its customers and connections.
"""
