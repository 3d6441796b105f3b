"""Cosmos DB's SQL, pure: text -> syntax tree -> a function over documents, and the plan a client fans out by.

Owns: what a query means. Refuses to know: HTTP, stores, partitions' contents, pages (`localazure.cosmos.gateway`).

How: `parse` reads the text (`parser`), `compile_query` turns the tree into closures once (`compiler`, `functions`),
`plan` says what a client must do to run it over several ranges. One evaluator owns the meaning: whatever a store
filters beforehand is a superset of the answer. The names below are imported when they are first asked for, so that a
server that is only starting does not wait for them.

Source: learn.microsoft.com/azure/cosmos-db/nosql/query/
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from localazure.cosmos.sql.compiler import compile_query
    from localazure.cosmos.sql.errors import NonFiniteResult, OutOfTime, SqlRefused
    from localazure.cosmos.sql.evaluation import evaluate
    from localazure.cosmos.sql.execution import CompiledQuery
    from localazure.cosmos.sql.parser import parse
    from localazure.cosmos.sql.values import UNDEFINED
    from localazure.cosmos.sql.watch import Watch

__all__ = [
    "UNDEFINED",
    "CompiledQuery",
    "NonFiniteResult",
    "OutOfTime",
    "SqlRefused",
    "Watch",
    "compile_query",
    "evaluate",
    "parse",
]

_HOMES = {
    "UNDEFINED": "values",
    "CompiledQuery": "execution",
    "NonFiniteResult": "errors",
    "OutOfTime": "errors",
    "SqlRefused": "errors",
    "Watch": "watch",
    "compile_query": "compiler",
    "evaluate": "evaluation",
    "parse": "parser",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
