"""The part of T-SQL whose meaning is the same in Synapse serverless and in DuckDB, and the translation of that part.

Owns: the list of what is allowed, and the DuckDB text of an accepted statement; `rules` says why for what looks the
same and is not. Refuses to know: tables, files, connections.

Two nets. On tokens: only functions that are named here may be called, because the parser quietly turns some functions
into near relatives (ISNULL into COALESCE, LEN into LENGTH). On the syntax tree: only node types that are named here may
occur, and some only in a certain place. What both let through is written by sqlglot as DuckDB's SQL; an average is
rewritten first, since DuckDB's AVG of decimals is a binary fraction.

Known gaps: T-SQL ignores trailing spaces when it compares text, DuckDB does not. Operand types are not checked.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import sqlglot
from sqlglot import TokenType, exp
from sqlglot.errors import ParseError

from labkit.read_queries.rowsets import Finding, OutsideSubset, Rowset, take_rowsets, tokens_of
from labkit.read_queries.rules import CAST_TYPES, RULES, is_rounded_average

FUNCTIONS = frozenset({"AVG", "SUM", "COUNT_BIG", "MIN", "MAX", "ROUND", "CAST", "COALESCE"})
NOT_FOREIGN = frozenset((
    "COUNT", "IN", "ON", "AND", "OR", "NOT", "WHEN", "THEN", "ELSE", "WHERE", "BETWEEN", "AS", "HAVING", "FROM",
    "SELECT",
))  # fmt: skip
"""Words that a parenthesis may follow without a foreign function being called. COUNT has a rule of its own."""
NODES: tuple[type[exp.Expr], ...] = (
    exp.Select, exp.From, exp.Join, exp.Where, exp.Group, exp.Having, exp.Order, exp.Ordered, exp.Offset, exp.Fetch,
    exp.LimitOptions, exp.Table, exp.TableAlias, exp.Alias, exp.Column, exp.Identifier, exp.Literal, exp.Null,
    exp.Parameter, exp.Var, exp.Paren, exp.And, exp.Or, exp.Not, exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE,
    exp.Between, exp.In, exp.Is, exp.Case, exp.If, exp.Distinct, exp.Star, exp.Coalesce, exp.Cast, exp.DataType,
    exp.DataTypeParam, exp.Round, exp.Avg, exp.Sum, exp.Min, exp.Max, exp.Count, exp.Create, exp.Neg,
)  # fmt: skip
AVERAGE_MACRO = """
CREATE OR REPLACE MACRO average_of_cents(total, n) AS
    CASE WHEN n > 0 THEN CAST(
        sign(total)::HUGEINT * ((2 * abs((total * 100)::HUGEINT) + n) // (2 * n)) AS DECIMAL(36, 0)
    ) * 0.01::DECIMAL(2, 2) END
"""
"""DuckDB's half of `_exact_averages`. The scale of 2 is that of every decimal column in the read models."""


@dataclass(frozen=True, slots=True)
class Statement:
    """An accepted text: its view's name if it makes one, its rowsets, the tables it names, and its syntax tree."""

    view: str | None
    rowsets: tuple[Rowset, ...]
    tables: tuple[str, ...]
    select: exp.Select
    file: str

    def duckdb(self) -> exp.Select:
        """The query as DuckDB's syntax tree, over tables `rowset_N` that stand for its rowsets."""
        return sqlglot.parse_one(_exact_averages(self.select).sql("duckdb"), read="duckdb", into=exp.Select)


def read_statement(text: str, file: str = "query", waive: frozenset[str] = frozenset()) -> Statement:
    """Parse one SELECT or one CREATE OR ALTER VIEW, and make sure that it means the same in both engines.

    `waive` names rules that are not applied: a lesson may want to show what a rule is for.
    Raises: `OutsideSubset` with every finding, once a line: file, line, rule, reason.
    """
    plain, rowsets = take_rowsets(text, file)
    findings = list(_calls(plain, file))
    try:
        trees = [tree for tree in sqlglot.parse(plain, read="tsql") if tree is not None]
    except ParseError as error:
        first = error.errors[0]
        findings.append(Finding(file, first.get("line") or 1, "syntax", str(first.get("description"))))
        raise OutsideSubset(findings) from None
    if len(trees) != 1 or (select := _select_of(trees[0])) is None:
        one = "exactly one SELECT, or one CREATE OR ALTER VIEW of a SELECT"
        raise OutsideSubset([Finding(file, 1, "statement", one)])
    findings += _nodes(trees[0], file)
    left = list(dict.fromkeys(finding for finding in findings if finding.rule not in waive))
    if left:
        raise OutsideSubset(sorted(left, key=lambda finding: finding.line))
    view = trees[0].this.sql("tsql").lower() if isinstance(trees[0], exp.Create) else None
    return Statement(view, rowsets, tuple(map(name_of, select.find_all(exp.Table))), select, file)


def _select_of(tree: exp.Expr) -> exp.Select | None:
    if isinstance(tree, exp.Create):
        inner = tree.expression
        is_view = tree.kind == "VIEW" and tree.args.get("replace") and isinstance(inner, exp.Select)
        return inner if is_view else None
    return tree if isinstance(tree, exp.Select) else None


def _calls(plain: str, file: str) -> Iterator[Finding]:
    """Findings on tokens: calls of functions that are not named here, and TOP."""
    for word, opening in itertools.pairwise(tokens_of(plain, file)):
        name = word.text.upper()
        call = opening.token_type == TokenType.L_PAREN and name.isidentifier() and name not in NOT_FOREIGN | CAST_TYPES
        if word.token_type in (TokenType.IDENTIFIER, TokenType.STRING):
            continue
        if name == "TOP":
            yield Finding(file, word.line, "top", "instead of TOP: ORDER BY ... OFFSET 0 ROWS FETCH NEXT n ROWS ONLY")
        elif call and name == "CONVERT":
            yield Finding(file, word.line, "convert", "CONVERT cuts text to 30 and reads dates by a style: use CAST")
        elif call and name not in FUNCTIONS:
            yield Finding(file, word.line, "function", f"{name}(...) is not among {', '.join(sorted(FUNCTIONS))}")


def _nodes(tree: exp.Expr, file: str) -> Iterator[Finding]:
    for node in tree.walk():
        broken = [rule for rule in RULES if rule.refuses(node)]
        for rule in broken:
            yield Finding(file, line_of(node), rule.name, rule.reason)
        if not broken and not isinstance(node, NODES):
            reason = f"{type(node).__name__} is outside the subset: {node.sql('tsql')}"
            yield Finding(file, line_of(node), "syntax", reason)


def line_of(node: exp.Expr) -> int:
    """The first line that the node or anything in it was read from; its neighbours' if it has none itself."""
    here: exp.Expr | None = node
    while here is not None:
        lines = [part.meta["line"] for part in here.walk() if "line" in part.meta]
        if lines:
            return int(min(lines))
        here = here.parent
    return 1


def name_of(table: exp.Table) -> str:
    """As it is written: in a database of the collation that sql/README.md names, `DBO` is another name than `dbo`."""
    return ".".join(part.name for part in table.parts)


def _exact_averages(select: exp.Select) -> exp.Expr:
    """The mean of hundredths in whole numbers, rounded half away from zero as T-SQL does (macro `average_of_cents`)."""

    def exact(node: exp.Expr) -> exp.Expr:
        if not isinstance(node, exp.Cast) or not is_rounded_average(node):
            return node
        values = node.this.this.this
        call = exp.func("average_of_cents", exp.Sum(this=values.copy()), exp.Count(this=values.copy()))
        return exp.cast(call, node.to)

    return select.copy().transform(exact)
