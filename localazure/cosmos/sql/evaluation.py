"""A query over documents in memory, without partitions or pages: for tests, and to look a meaning up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from localazure.cosmos.sql.compiler import compile_query
from localazure.cosmos.sql.errors import NonFiniteResult
from localazure.cosmos.sql.parser import parse
from localazure.cosmos.sql.values import Value, as_json, is_finite


def evaluate(text: str, documents: Iterable[Value], parameters: Mapping[str, Value] | None = None) -> list[Value]:
    """The whole result of a query over `documents`, without partitions or pages.

    Raises: SqlRefused, NonFiniteResult.
    """
    query = compile_query(parse(text))
    values = list(query.start(parameters or {}).results(documents))
    if not all(map(is_finite, values)):
        raise NonFiniteResult
    return [as_json(value) for value in values]
