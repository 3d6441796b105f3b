"""What a client must do to run a query over several ranges: the plan the gateway hands out.

Owns: which queries need state across ranges, the features they ask of a client, the query each range is asked instead,
and which partition keys WHERE allows. Refuses to know: HTTP, hashing (`key_values` are plain values), how results are
merged (the client does that).

How: rewritten queries are made of pieces of the text as written, cut out by the spans of the syntax tree.

Source: learn.microsoft.com/rest/api/cosmos-db/querying-cosmosdb-resources-using-the-rest-api (what the gateway does not
serve), azure-cosmos (azure/cosmos/_execution_context: what it reads of a plan and what it sends to each range)
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from localazure.cosmos.sql import rules
from localazure.cosmos.sql.errors import SqlRefused
from localazure.cosmos.sql.tree import (
    Binary,
    Call,
    Expression,
    Identifier,
    In,
    Literal,
    Member,
    Parameter,
    Query,
    SelectItem,
    Span,
    chain,
)
from localazure.cosmos.sql.values import UNDEFINED, Value

FILTER_PLACEHOLDER: Final = "{documentdb-formattableorderbyquery-filter}"
_AGGREGATE_NAMES: Final = {
    "COUNT": "Count",
    "COUNTIF": "CountIf",
    "SUM": "Sum",
    "MIN": "Min",
    "MAX": "Max",
    "AVG": "Average",
}


def needs_plan(tree: Query) -> bool:
    """Whether the gateway cannot serve the query over several ranges by itself. Without FROM one range says it all."""
    return bool(tree.sources) and bool(
        tree.top is not None
        or tree.offset is not None
        or tree.distinct
        or tree.order_by
        or tree.group_by
        or rules.aggregates_of(tree)
        or rules.folds_the_container(tree)
    )


def has_bare_aggregate(tree: Query) -> bool:
    """An aggregate outside SELECT VALUE: no client can merge it."""
    return not tree.value and bool(rules.aggregates_of(tree))


def features(tree: Query) -> list[str]:
    """The features of a client that the plan relies on, in the service's words."""
    aggregates = rules.aggregates_of(tree)
    conditions = {
        "Aggregate": bool(aggregates) and tree.value and not tree.group_by,
        "Distinct": tree.distinct,
        "GroupBy": bool(tree.group_by),
        "MultipleAggregates": len(aggregates) > 1,
        "MultipleOrderBy": len(tree.order_by) > 1,
        "NonValueAggregate": (bool(aggregates) and not tree.value) or rules.folds_the_container(tree),
        "OffsetAndLimit": tree.offset is not None,
        "OrderBy": len(tree.order_by) == 1,
        "Top": tree.top is not None,
        "CountIf": any(call.name == "COUNTIF" for call in aggregates),
        "DCount": bool(aggregates) and any(isinstance(s.origin, Query) and s.origin.distinct for s in tree.sources),
    }
    return [name for name, needed in conditions.items() if needed]


def query_info(tree: Query, text: str, parameters: Mapping[str, Value]) -> dict[str, Any]:
    """The plan's `queryInfo`.

    Raises: SqlRefused for a count that is none, and for an aggregate inside another expression.
    """
    aggregates = rules.aggregates_of(tree)
    if aggregates and not tree.group_by and tree.value and not isinstance(tree.items[0].expression, Call):
        raise SqlRefused("SC2201", "Compositions of aggregates and other expressions are not allowed.")
    top, offset, limit = (
        None if node is None else rules.count(_constant(node, parameters), clause)
        for node, clause in ((tree.top, "TOP"), (tree.offset, "OFFSET"), (tree.limit, "LIMIT"))
    )
    return {
        "distinctType": _distinct_type(tree),
        "top": top,
        "offset": offset,
        "limit": limit,
        "orderBy": ["Descending" if item.descending else "Ascending" for item in tree.order_by],
        "orderByExpressions": [_cut(text, item.expression) for item in tree.order_by],
        "groupByExpressions": [_cut(text, key) for key in tree.group_by],
        "groupByAliases": rules.result_names(tree) if tree.group_by and not tree.value else [],
        "aggregates": [_AGGREGATE_NAMES[call.name] for call in aggregates] if not tree.group_by else [],
        "groupByAliasToAggregateType": _aggregate_aliases(tree) if tree.group_by else {},
        "rewrittenQuery": _rewritten(tree, text, top, offset, limit),
        "hasSelectValue": tree.value,
        "dCountInfo": None,
        "hasNonStreamingOrderBy": False,
    }


def _distinct_type(tree: Query) -> str:
    """Ordered: equal results are neighbours in the merged order, so that the client need remember one only.

    Source: azure-cosmos-dotnet-v3, DistinctQueryType.cs.
    """
    if not tree.distinct:
        return "None"
    return "Ordered" if rules.orders_its_results(tree) else "Unordered"


def _aggregate_aliases(tree: Query) -> dict[str, str | None]:
    if tree.value:
        return {}
    names = rules.result_names(tree)
    calls = [item.expression for item in tree.items]
    return {
        name: _AGGREGATE_NAMES.get(call.name) if isinstance(call, Call) else None
        for name, call in zip(names, calls, strict=True)
    }


def _constant(node: Expression, parameters: Mapping[str, Value]) -> Value:
    if isinstance(node, Literal):
        return node.value
    return parameters.get(node.name, UNDEFINED) if isinstance(node, Parameter) else UNDEFINED


def _cut(text: str, node: Any) -> str:
    return text[node.span.start : node.span.end]


def _rewritten(tree: Query, text: str, top: int | None, offset: int | None, limit: int | None) -> str:
    if tree.group_by:
        return ""
    if tree.order_by:
        return _rewritten_order_by(tree, text, top, offset, limit)
    if rules.aggregates_of(tree):
        return f"SELECT VALUE [{_aggregate_item(tree.items[0].expression, text)}]{_from(tree, text)}"
    if offset is not None and limit is not None:
        head = text[tree.span.start : tree.items[-1].span.end] if tree.items else "SELECT *"
        return f"{head}{_from(tree, text)}\nOFFSET 0 LIMIT {offset + limit}"
    return ""


def _aggregate_item(call: Any, text: str) -> str:
    argument = _cut(text, call.arguments[0])
    if call.name == "AVG":
        return f'{{"item": {{"sum": SUM({argument}), "count": COUNT({argument})}}}}'
    return f'{{"item": {call.name}({argument})}}'


def _from(tree: Query, text: str, *, where: bool = True) -> str:
    sources = f"\nFROM {text[tree.sources[0].span.start : tree.sources[-1].span.end]}" if tree.sources else ""
    return sources + (f"\nWHERE ({_cut(text, tree.where)})" if where and tree.where is not None else "")


def _rewritten_order_by(tree: Query, text: str, top: int | None, offset: int | None, limit: int | None) -> str:
    alias = tree.sources[0].alias
    items = ", ".join(f'{{"item": {_cut(text, item.expression)}}}' for item in tree.order_by)
    order = ", ".join(_cut(text, item) for item in tree.order_by)
    where = f"({_cut(text, tree.where)}) AND " if tree.where is not None else ""
    head = "SELECT DISTINCT " if tree.distinct else "SELECT "
    head += f"TOP {top} " if top is not None else ""
    head += f"{alias}._rid, " if alias is not None and not tree.distinct else ""
    tail = f"\nOFFSET 0 LIMIT {offset + limit}" if offset is not None and limit is not None else ""
    return (
        f"{head}[{items}] AS orderByItems, {_payload(tree, text)} AS payload{_from(tree, text, where=False)}\n"
        f"WHERE {where}({FILTER_PLACEHOLDER})\nORDER BY {order}{tail}"
    )


def _payload(tree: Query, text: str) -> str:
    if tree.star:
        return str(tree.sources[0].alias)
    if tree.value:
        return _cut(text, tree.items[0].expression)

    def pair(name: str, item: SelectItem) -> str:
        return f"{json.dumps(name)}: {_cut(text, item.expression)}"

    return "{" + ", ".join(map(pair, rules.result_names(tree), tree.items)) + "}"


# Partition keys


def key_values(tree: Query, paths: Sequence[str], parameters: Mapping[str, Value]) -> list[tuple[Value, ...]] | None:
    """The partition keys that WHERE leaves possible; None when it does not name them all.

    Read from comparisons with constants that AND joins: `c.customerId = "x"`, `c.customerId IN (...)`.
    """
    if tree.where is None or not tree.sources:
        return None
    root = tree.sources[0]
    if root.iterates or not isinstance(root.origin, Identifier) or root.alias is None:
        return None
    choices: list[list[Value]] = []
    for path in paths:
        found = next(_choices(tree.where, _path_expression(root.alias, path), parameters), None)
        if found is None:
            return None
        choices.append(found)
    keys: list[tuple[Value, ...]] = [()]
    for values in choices:
        keys = [(*key, value) for key in keys for value in values]
    return keys


def _path_expression(alias: str, path: str) -> Expression:
    nowhere = Span(0, 0)
    node: Expression = Identifier(alias, nowhere)
    for name in path.strip("/").split("/"):
        node = Member(node, Literal(name.strip('"'), nowhere), nowhere)
    return node


def _choices(node: Expression, path: Expression, parameters: Mapping[str, Value]) -> Iterator[list[Value]]:
    for test in chain(node, "AND"):
        values: list[Value] = [UNDEFINED]
        if isinstance(test, Binary) and test.operator == "AND":
            yield from _choices(test, path, parameters)
        elif isinstance(test, Binary) and test.operator == "=" and path in (test.left, test.right):
            values = [_constant(test.right if test.left == path else test.left, parameters)]
        elif isinstance(test, In) and not test.negated and test.subject == path:
            values = [_constant(item, parameters) for item in test.items]
        if UNDEFINED not in values:
            yield values
