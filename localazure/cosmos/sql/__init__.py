"""Cosmos DB's SQL, pure: text -> syntax tree -> a function over documents, and the plan a client fans out by.

Owns: what a query means. Refuses to know: HTTP, stores, partitions' contents, pages (`localazure.cosmos.queries`).

How: `parse` reads the text (`parser`), `compile_query` turns the tree into closures once (`compiler`, `functions`),
`plan` says what a client must do to run it over several ranges. One evaluator owns the meaning: whatever a store
filters beforehand is a superset of the answer.

Source: learn.microsoft.com/azure/cosmos-db/nosql/query/
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from localazure.cosmos.sql.compiler import compile_query
from localazure.cosmos.sql.errors import NonFiniteResult, SqlRefused
from localazure.cosmos.sql.execution import CompiledQuery
from localazure.cosmos.sql.parser import parse
from localazure.cosmos.sql.values import UNDEFINED, Value, as_json, is_finite

__all__ = ["UNDEFINED", "CompiledQuery", "NonFiniteResult", "SqlRefused", "compile_query", "evaluate", "parse"]


def evaluate(text: str, documents: Iterable[Value], parameters: Mapping[str, Value] | None = None) -> list[Value]:
    """The whole result of a query over `documents`, without partitions or pages.

    Raises: SqlRefused, NonFiniteResult.
    """
    query = compile_query(parse(text))
    values = list(query.start(parameters or {}).results(documents))
    if not all(map(is_finite, values)):
        raise NonFiniteResult
    return [as_json(value) for value in values]
