"""Cosmos DB's SQL, pure: text -> syntax tree -> a function over documents, and the plan a client fans out by.

Owns: what a query means. Refuses to know: HTTP, stores, partitions' contents, pages (`localazure.cosmos.queries`).

How: `parse` reads the text (`parser`), `compile_query` turns the tree into closures once (`compiler`, `functions`),
`plan` says what a client must do to run it over several ranges (`plan`). One evaluator owns the meaning: whatever a
store filters beforehand is a superset of the answer.

Source: learn.microsoft.com/azure/cosmos-db/nosql/query/
"""

from __future__ import annotations

from localazure.cosmos.sql.errors import SqlRefused

__all__ = ["SqlRefused"]
