"""How large a query may be, and the refusals beyond.

Owns: the numbers an account advertises (`queryEngineConfiguration` of `GET /`) and the check of a syntax tree against
them. Refuses to know: meaning.

How: one walk over the finished tree, without recursion, so that no depth of nesting can hurt.

Source: an account's own `queryEngineConfiguration`; learn.microsoft.com/azure/cosmos-db/concepts-limits (10 JOINs and
UDFs); github.com/Azure/azure-cosmos-dotnet-v2/issues/425 (SC3020, its words); the words for user-defined functions
(SC3005) as documentdb-java's tests have them, for joins and operators formed after them; the seconds of a page are the
"maximum execution time for a single operation" of the concepts-limits page. Five numbers are ours, because none is
published: the depth (items may nest 128 levels deep), the parameters (the IN list of older accounts), the characters or
items of what a query makes (several times a page), the bytes of what it keeps at once (a laptop has them) and the
seconds of a run that cannot stop half way (a sort, a fold, a join that finds nothing), which is what clients wait for
an answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from localazure.cosmos.sql.errors import SqlRefused
from localazure.cosmos.sql.tree import Binary, Call, In, Query, Span

LONGEST_QUERY_CHARACTERS: Final = 262_144
MOST_JOINS: Final = 10
MOST_ANDS: Final = 2_000
MOST_ORS: Final = 2_000
MOST_USER_DEFINED_FUNCTIONS: Final = 10
MOST_IN_ITEMS: Final = 16_000
MOST_PARAMETERS: Final = 8_000
DEEPEST_NESTING: Final = 128
LARGEST_MADE: Final = 16 * 1024 * 1024
LARGEST_HELD_BYTES: int = 512 * 1024 * 1024
LONGEST_PAGE_SECONDS: float = 5.0
LONGEST_RUN_SECONDS: float = 60.0

ENGINE_LIMITS: Final[dict[str, Any]] = {
    "maxSqlQueryInputLength": LONGEST_QUERY_CHARACTERS,
    "maxJoinsPerSqlQuery": MOST_JOINS,
    "maxLogicalAndPerSqlQuery": MOST_ANDS,
    "maxLogicalOrPerSqlQuery": MOST_ORS,
    "maxUdfRefPerSqlQuery": MOST_USER_DEFINED_FUNCTIONS,
    "maxInExpressionItemsCount": MOST_IN_ITEMS,
    "sqlAllowNonFiniteNumbers": False,
    "sqlAllowAggregateFunctions": True,
    "sqlAllowSubQuery": True,
    "sqlAllowScalarSubQuery": True,
    "allowNewKeywords": True,
    "sqlAllowLike": True,
    "sqlAllowGroupByClause": True,
    "sqlAllowTop": True,
}


def check_length(text: str) -> None:
    """Raises: SqlRefused SC3020."""
    if len(text) > LONGEST_QUERY_CHARACTERS:
        message = f"The SQL query text exceeded the maximum limit of {LONGEST_QUERY_CHARACTERS} characters."
        raise SqlRefused("SC3020", message, 0, len(text))


def check_counts(tree: Query) -> None:
    """Raises: SqlRefused for more joins, ANDs, ORs, user-defined functions or IN items than a query may have."""
    counts = {"joins": 0, "logical AND operators": 0, "logical OR operators": 0, "user-defined function calls": 0}
    for node in _nodes(tree):
        if isinstance(node, Query):
            counts["joins"] += max(len(node.sources) - 1, 0)
        elif isinstance(node, Binary) and node.operator in ("AND", "OR"):
            counts[f"logical {node.operator} operators"] += 1
        elif isinstance(node, Call) and node.user_defined:
            counts["user-defined function calls"] += 1
        elif isinstance(node, In) and len(node.items) > MOST_IN_ITEMS:
            raise _exceeded("SC3006", "items in an IN expression", MOST_IN_ITEMS, node.span)
    limits = (MOST_JOINS, MOST_ANDS, MOST_ORS, MOST_USER_DEFINED_FUNCTIONS)
    codes = ("SC3002", "SC3003", "SC3004", "SC3005")
    for (what, count), limit, code in zip(counts.items(), limits, codes, strict=True):
        if count > limit:
            raise _exceeded(code, what, limit, tree.span)


def _exceeded(code: str, what: str, limit: int, span: Span) -> SqlRefused:
    message = f"The SQL query exceeded the maximum number of {what}. The allowed limit is {limit}."
    return SqlRefused(code, message, span.start, span.end)


def check_size(count: int) -> None:
    """Before a text or an array of so many parts is made of others; each subquery can double what the one in it made.

    Raises: SqlRefused SC3008.
    """
    if count > LARGEST_MADE:
        message = f"The SQL query makes a value beyond the maximum size. The allowed limit is {LARGEST_MADE}."
        raise SqlRefused("SC3008", message)


def check_held(count: int) -> None:
    """Of the bytes that rows, groups, distinct values or the items of an array take while the query runs.

    Raises: SqlRefused SC3008.
    """
    if count > LARGEST_HELD_BYTES:
        message = f"The SQL query keeps more than fits in memory. The allowed limit is {LARGEST_HELD_BYTES} bytes."
        raise SqlRefused("SC3008", message)


def too_deep(start: int, end: int) -> SqlRefused:
    message = f"The SQL query exceeded the maximum depth of nesting. The allowed limit is {DEEPEST_NESTING}."
    return SqlRefused("SC3007", message, start, end)


def _nodes(tree: Query) -> Iterator[Any]:
    waiting: list[Any] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, tuple):
            waiting.extend(node)
        elif hasattr(node, "span"):
            yield node
            waiting.extend(getattr(node, name) for name in node.__struct_fields__ if name != "span")
