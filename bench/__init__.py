"""Measure the service beside its peers on a real mongod and real sockets: `make bench`.

`measure` stores the customers, starts the targets, checks that all do the same work, and puts them under load in
interleaved rounds. `report` judges the figures and writes the tables and the chart. `peers` are the other servers.
`compare_commits` measures this checkout beside another commit, `growth` the service with few customers and with many.
"""
