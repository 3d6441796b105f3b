"""What T-SQL and DuckDB both say but do not both mean, one rule each with its reason.

Owns: the rules as a table that the linter walks and that a test compares with sql/README.md. A rule's predicate is true
for a syntax node that it does not let pass. Source: learn.microsoft.com/sql/t-sql (AVG, SUM, COUNT, CAST and CONVERT,
"/ (Division)", ORDER BY clause); duckdb.org/docs (aggregates, numeric types, ORDER BY).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlglot import exp

CAST_TYPES = frozenset({"DECIMAL", "INT", "BIGINT", "DATE"})


@dataclass(frozen=True, slots=True)
class Rule:
    name: str
    refuses: Callable[[exp.Expr], bool]
    reason: str


def is_rounded_average(node: exp.Expr | None) -> bool:
    """CAST(ROUND(AVG(x), 2) AS DECIMAL(p, 2))"""
    return (
        isinstance(node, exp.Cast)
        and isinstance(node.this, exp.Round)
        and isinstance(node.this.this, exp.Avg)
        and node.this.args.get("decimals") == exp.Literal.number(2)
        and node.to.is_type("decimal")
        and [part.name for part in node.to.expressions][1:] == ["2"]
    )


def _loose_average(node: exp.Expr) -> bool:
    return isinstance(node, exp.Avg) and not (node.parent and is_rounded_average(node.parent.parent))


def _loose_sum(node: exp.Expr) -> bool:
    outer = node.parent.parent if isinstance(node.parent, exp.Coalesce) else node.parent
    return isinstance(node, exp.Sum) and not isinstance(outer, exp.Cast)


def _small_count(node: exp.Expr) -> bool:
    return isinstance(node, exp.Count) and not node.args.get("big_int")


def _day_of_a_timestamp(node: exp.Expr) -> bool:
    is_date = isinstance(node, exp.Cast) and node.to.is_type("date")
    return is_date and not isinstance(node.this, exp.Literal | exp.Parameter)


def _other_cast(node: exp.Expr) -> bool:
    return isinstance(node, exp.Cast) and node.to.this.value not in CAST_TYPES


def _bare_decimal(node: exp.Expr) -> bool:
    return isinstance(node, exp.Cast) and node.to.is_type("decimal") and len(node.to.expressions) != 2


def _star(node: exp.Expr) -> bool:
    return isinstance(node, exp.Star) and not isinstance(node.parent, exp.Count)


def _page_without_order(node: exp.Expr) -> bool:
    """One node of a page: its OFFSET, or a FETCH that stands alone."""
    of = node.parent.args if node.parent else {}
    return isinstance(node, exp.Offset if of.get("offset") else exp.Fetch) and not of.get("order")


def _ordered_view(node: exp.Expr) -> bool:
    return isinstance(node, exp.Order) and node.find_ancestor(exp.Create) is not None


def _other_join(node: exp.Expr) -> bool:
    usual = isinstance(node, exp.Join) and node.side in ("", "LEFT") and node.kind in ("", "INNER", "OUTER")
    return isinstance(node, exp.Join) and not (usual and node.args.get("on") and isinstance(node.parent, exp.Select))


RULES = (
    Rule("average-unrounded", _loose_average, "AVG is a binary fraction here: CAST(ROUND(AVG(x), 2) AS DECIMAL(p, 2))"),
    Rule("sum-type", _loose_sum, "SUM of INT is INT there, 128 bits here: CAST(SUM(x) AS BIGINT or DECIMAL(p, s))"),
    Rule("count-type", _small_count, "COUNT is INT there and BIGINT here: COUNT_BIG"),
    Rule("division", lambda node: isinstance(node, exp.Div | exp.Mod), "divides to a binary fraction here, not there"),
    Rule("date-from-timestamp", _day_of_a_timestamp, "not always the id's day, and reads every file: use created_day"),
    Rule("collation", lambda node: isinstance(node, exp.Collate), "text compares by its bytes, as WITH declares it"),
    Rule("cast-type", _other_cast, "CAST goes to DECIMAL(p, s), INT, BIGINT, DATE: text is cut, floats differ"),
    Rule("cast-type", _bare_decimal, "DECIMAL without (p, s) is DECIMAL(18, 0) there and DECIMAL(18, 3) here"),
    Rule("star", _star, "SELECT * is frozen when the view is made: name the columns"),
    Rule("page-unordered", _page_without_order, "OFFSET and FETCH without ORDER BY: perhaps other rows each time"),
    Rule("view-ordered", _ordered_view, "a view has no order: ORDER BY belongs into the question"),
    Rule("join", _other_join, "JOIN and LEFT JOIN, each with its ON behind it"),
)
