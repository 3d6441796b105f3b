"""The rules between the clauses of one SELECT, and the names its results get.

Owns: which clauses exclude each other, what a count may be, `$1` and duplicate names. Refuses to know: evaluation.

Source: learn.microsoft.com/azure/cosmos-db/nosql/query/select, /group-by, /order-by, /offset-limit
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from localazure.cosmos.sql.aggregates import AGGREGATES
from localazure.cosmos.sql.errors import SqlRefused
from localazure.cosmos.sql.tree import (
    Binary,
    Call,
    Expression,
    Identifier,
    Literal,
    Member,
    Query,
    Span,
    Subquery,
    Unary,
)
from localazure.cosmos.sql.values import Value

LARGEST_COUNT = 2**31 - 1


def check(tree: Query) -> None:
    """Raises: SqlRefused for clauses that do not go together."""
    if tree.star and not tree.sources:
        raise _refusal("SC2046", "'SELECT *' is not valid if FROM clause is omitted.", tree)
    if tree.star and len(tree.sources) > 1:
        raise _refusal("SC2047", "'SELECT *' is only valid with a single input set.", tree)
    if tree.group_by and tree.order_by:
        raise _refusal("SC2103", "'ORDER BY' is not allowed in presence of GROUP BY.", tree)
    if tree.group_by and tree.star:
        raise _refusal("SC2104", "'SELECT *' is not allowed in presence of GROUP BY.", tree)
    if tree.order_by and not tree.sources:
        raise _refusal("SC2048", "'ORDER BY' is not valid if FROM clause is omitted.", tree)


def _refusal(code: str, message: str, tree: Query) -> SqlRefused:
    return SqlRefused(code, message, tree.span.start, tree.span.end)


def count(value: Value, clause: str) -> int:
    """The number of TOP, OFFSET or LIMIT. Raises: SqlRefused for anything but a whole number from zero."""
    if type(value) is int and 0 <= value <= LARGEST_COUNT:
        return value
    raise SqlRefused("SC2062", f"The {clause} clause value must be a non-negative integer.")


def aggregates_of(tree: Query) -> list[Call]:
    """The aggregate calls of SELECT, outermost only; those of subqueries belong to the subqueries."""
    return [call for item in tree.items for call in _aggregate_calls(item.expression)]


def _aggregate_calls(expression: Expression) -> Iterator[Call]:
    waiting: list[Any] = [expression]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Call) and not node.user_defined and node.name in AGGREGATES:
            yield node
        elif isinstance(node, tuple):
            waiting.extend(reversed(node))
        elif hasattr(node, "span") and not isinstance(node, Subquery):
            waiting.extend(getattr(node, name) for name in reversed(node.__struct_fields__) if name != "span")


def result_names(tree: Query) -> list[str]:
    """The property of each item of SELECT: its alias, else the last name of its path, else $1, $2 ...

    Raises: SqlRefused SC2022 when two items have one name.
    """
    names: dict[str, None] = {}
    unnamed = 0
    for item in tree.items:
        name = item.alias if item.alias is not None else path_name(item.expression)
        if name is None:
            unnamed += 1
            name = f"${unnamed}"
        if name in names:
            raise specified_twice(name, item.alias_span or item.span)
        names[name] = None
    return list(names)


def properties_read(tree: Query) -> frozenset[str] | None:
    """The item's own properties that the query looks at; None when it may look at the whole item."""
    if not tree.sources or tree.star or not isinstance(tree.sources[0].origin, Identifier) or tree.sources[0].iterates:
        return None
    alias = tree.sources[0].alias
    names: set[str] = set()
    waiting: list[Any] = [(tree.items, tree.sources[1:], tree.where, tree.group_by, tree.order_by)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Member) and isinstance(node.source, Identifier) and node.source.name == alias:
            if not isinstance(node.index, Literal):
                return None
            names.add(str(node.index.value))
        elif isinstance(node, Identifier) and node.name == alias:
            return None
        elif isinstance(node, tuple):
            waiting.extend(node)
        elif hasattr(node, "span"):
            waiting.extend(getattr(node, name) for name in node.__struct_fields__ if name not in ("span", "alias_span"))
    return frozenset(names)


def is_the_container(tree: Query) -> bool:
    """Whether each document is one row."""
    return len(tree.sources) == 1 and not tree.sources[0].iterates and isinstance(tree.sources[0].origin, Identifier)


def folds_the_container(tree: Query) -> bool:
    """Whether FROM draws from a query over all documents together: `FROM (SELECT COUNT(1) AS n FROM c) x`."""
    inner = tree.sources[0].origin if tree.sources else None
    if not isinstance(inner, Query):
        return False
    counted = inner.top is not None or inner.offset is not None
    return bool(
        counted
        or inner.distinct
        or inner.order_by
        or inner.group_by
        or aggregates_of(inner)
        or folds_the_container(inner)
    )


def orders_its_results(tree: Query) -> bool:
    """Whether ORDER BY sorts by the results themselves, so that equal ones are neighbours."""
    return tree.value and [item.expression for item in tree.order_by] == [tree.items[0].expression]


def specified_twice(name: str, span: Span) -> SqlRefused:
    message = f"Object creation error, property name '{name}' specified more than once."
    return SqlRefused("SC2022", message, span.start, span.end)


def computes(tree: Query) -> bool:
    """Whether a result may hold a number that no document and no parameter held."""
    waiting: list[Any] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Call | Binary | Unary):
            return True
        if isinstance(node, Literal) and type(node.value) is float and not math.isfinite(node.value):
            return True
        if isinstance(node, tuple):
            waiting.extend(node)
        elif isinstance(node, Query):
            waiting.extend((node.items, node.sources))
        elif hasattr(node, "span"):
            waiting.extend(getattr(node, name) for name in node.__struct_fields__ if name != "span")
    return False


def path_name(node: Expression) -> str | None:
    if isinstance(node, Identifier):
        return node.name
    if isinstance(node, Member) and isinstance(node.index, Literal) and isinstance(node.index.value, str):
        return node.index.value
    return None
