"""Cosmos DB for NoSQL over its REST protocol, kept in one SQLite file.

`app` is the HTTP edge, `routes` the literal table of what is answered; the rest knows nothing of HTTP: `catalog`
(databases, containers, throughput), `documents`, `writes`, `steps`, `batches` and `patches` (documents),
`feeds` (change feed, read feed), `partitioning`, `charges`, `sessions`, and `sql` with `queries`.
"""
