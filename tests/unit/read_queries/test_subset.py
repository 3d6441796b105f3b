"""What T-SQL is accepted, what is refused, and with which line and reason."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from labkit.read_queries.rowsets import BYTEWISE, Column, Finding, OutsideSubset, Rowset, take_rowsets
from labkit.read_queries.rules import RULES
from labkit.read_queries.subset import FUNCTIONS, read_statement
from labkit.read_queries.synapse import SQL_FOLDER

VIEWS = sorted(SQL_FOLDER.glob("*.sql"))
ROWSET = f"""OPENROWSET(BULK 'orders/', DATA_SOURCE = 'read_store', FORMAT = 'DELTA')
    WITH (order_id VARCHAR(80) COLLATE {BYTEWISE}, total DECIMAL(18, 2)) AS o"""


def findings(text: str) -> tuple[Finding, ...]:
    with pytest.raises(OutsideSubset) as refused:
        read_statement(text, "here.sql")
    return refused.value.findings


REFUSED = {
    "average-unrounded": ["AVG(total)", "ROUND(AVG(total), 2)", "CAST(AVG(total) AS DECIMAL(18, 2))"],
    "sum-type": ["SUM(total)", "COALESCE(SUM(total), 0)"],
    "count-type": ["COUNT(*)", "COUNT(DISTINCT customer_id)"],
    "division": ["total / 2", "version % 2"],
    "date-from-timestamp": ["CAST(created_at AS DATE)"],
    "collation": ["status COLLATE Latin1_General_CI_AS"],
    "cast-type": ["CAST(total AS VARCHAR(10))", "CAST(total AS FLOAT)", "CAST(total AS DECIMAL)"],
    "convert": ["CONVERT(VARCHAR(4), status)", "CONVERT(DATE, created_at)", "TRY_CAST(1 AS INT), CONVERT (INT, total)"],
    "function": ["ISNULL(total, 0)", "LEN(status)", "GETDATE()", "IIF(total = 0, 1, 0)", "STRING_AGG(status, ',')"],
    "star": ["*", "o.*"],
    "syntax": [
        "total + 1", "CURRENT_TIMESTAMP", "status LIKE 'a%'", "(SELECT 1)", "N'text'", "- total * 2",
        "ROW_NUMBER() OVER (ORDER BY total)", "'unclosed", "CASE WHEN status LIKE 'C%' THEN 1 END",
    ],
}  # fmt: skip


@pytest.mark.parametrize(("rule", "column"), [(rule, each) for rule, columns in REFUSED.items() for each in columns])
def test_a_column_outside_the_subset_is_refused_by_the_rule_that_says_why(rule: str, column: str) -> None:
    assert rule in {finding.rule for finding in findings(f"SELECT {column} AS x FROM dbo.v AS o")}


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("top", "SELECT TOP 3 a FROM dbo.v ORDER BY a"),
        ("top", "SELECT TOP (3) a FROM dbo.v"),
        ("page-unordered", "SELECT a FROM dbo.v OFFSET 0 ROWS FETCH NEXT 3 ROWS ONLY"),
        ("page-unordered", "SELECT a FROM dbo.v FETCH NEXT 3 ROWS ONLY"),
        ("view-ordered", "CREATE OR ALTER VIEW dbo.v AS SELECT a FROM dbo.w ORDER BY a"),
        ("join", "SELECT a FROM dbo.v, dbo.w"),
        ("join", "SELECT a FROM dbo.v CROSS JOIN dbo.w"),
        ("join", "SELECT a FROM dbo.v FULL JOIN dbo.w ON v.a = w.a"),
        ("join", "SELECT v.a FROM dbo.v JOIN dbo.w JOIN dbo.x ON x.a = w.a ON v.a = w.a"),
        ("statement", "SELECT a FROM dbo.v; SELECT a FROM dbo.w"),
        ("statement", "DROP VIEW dbo.v"),
        ("statement", "CREATE VIEW dbo.v AS SELECT a FROM dbo.w"),
        ("statement", "SELECT a FROM dbo.v UNION ALL SELECT a FROM dbo.w"),
        ("statement", ""),
        ("syntax", "SELECT a FROM (SELECT a FROM dbo.v) AS z"),
        ("syntax", "WITH z AS (SELECT a FROM dbo.v) SELECT a FROM z"),
        ("syntax", "SELECT a FROM dbo.v WITH (NOLOCK)"),
        ("syntax", "SELECT a FROM dbo.v WHERE"),
        ("syntax", "SELECT a INTO #t FROM dbo.v"),
        ("syntax", "SELECT a FROM dbo.v WHERE a IN (SELECT b FROM dbo.w)"),
    ],
)
def test_a_statement_outside_the_subset_is_refused_by_the_rule_that_says_why(rule: str, text: str) -> None:
    assert rule in {finding.rule for finding in findings(text)}


def test_every_finding_is_told_with_file_and_line() -> None:
    refused = findings("SELECT\n    a,\n    ABS(b) AS b,\n    AVG(c) AS c\nFROM dbo.v\nWHERE d LIKE 'x%'")
    assert [(finding.line, finding.rule) for finding in refused if finding.rule != "syntax"] == [
        (3, "function"),
        (4, "average-unrounded"),
    ]
    assert refused[-1].line == 6
    assert str(refused[0]).startswith("here.sql:3: ")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("SELECT a FROM dbo.v OFFSET 0 ROWS FETCH NEXT 3 ROWS ONLY", [(1, "page-unordered")]),
        ("SELECT a FROM dbo.v\nOFFSET 2 ROWS\nFETCH NEXT 3 ROWS ONLY", [(2, "page-unordered")]),
        ("SELECT a / 2 AS b,\n    a / 2 / 3 AS c\nFROM dbo.v", [(1, "division"), (2, "division")]),
    ],
)
def test_a_place_that_breaks_a_rule_is_told_once(text: str, told: list[tuple[int, str]]) -> None:
    assert [(finding.line, finding.rule) for finding in findings(text)] == told


def test_a_line_after_an_openrowset_of_several_lines_is_still_the_line_of_the_file() -> None:
    text = f"SELECT o.order_id\nFROM {ROWSET}\nWHERE o.total / 2 = 1"
    assert [(finding.line, finding.rule) for finding in findings(text)] == [(4, "division")]


def test_a_waived_rule_alone_is_not_applied() -> None:
    text = "SELECT a FROM dbo.v WHERE CAST(b AS DATE) = @day"
    assert read_statement(text, waive=frozenset({"date-from-timestamp"})).tables == ("dbo.v",)
    with pytest.raises(OutsideSubset, match="division"):
        read_statement(text + " AND a / 2 = 1", waive=frozenset({"date-from-timestamp"}))


@pytest.mark.parametrize("path", VIEWS, ids=lambda path: path.stem)
def test_each_file_of_sql_makes_the_view_that_it_is_named_after(path: Path) -> None:
    statement = read_statement(path.read_text(encoding="utf-8"), path.name)
    assert statement.view == path.stem
    assert path.stem.startswith("dbo.")


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ("FORMAT = 'DELTA'", "FORMAT = 'PARQUET'", "rowset"),
        ("DATA_SOURCE = 'read_store', ", "", "rowset"),
        ("'orders/'", "'orders/*.parquet'", "rowset"),
        ("'orders/'", "'../secrets/'", "rowset"),
        ("'orders/'", "orders", "rowset"),
        (f" COLLATE {BYTEWISE}", "", "collation"),
        (BYTEWISE, "Latin1_General_CI_AS", "collation"),
        ("DECIMAL(18, 2)", f"DECIMAL(18, 2) COLLATE {BYTEWISE}", "collation"),
        (f"WITH (order_id VARCHAR(80) COLLATE {BYTEWISE}, total DECIMAL(18, 2)) ", "", "rowset"),
        ("DATA_SOURCE = 'read_store', FORMAT = 'DELTA'", "FORMAT = 'DELTA', DATA_SOURCE = 'read_store'", "rowset"),
        ("DECIMAL(18, 2)", "DECIMAL(18, 2) COLLATE Latin1_General_CI_AS", "collation"),
        (") AS o", "", "rowset"),
    ],
)
def test_an_openrowset_of_anything_but_declared_columns_of_a_delta_table_is_refused(
    old: str, new: str, rule: str
) -> None:
    assert old in ROWSET
    with pytest.raises(OutsideSubset) as refused:
        read_statement(f"SELECT o.order_id FROM {ROWSET.replace(old, new)}")
    assert [finding.rule for finding in refused.value.findings] == [rule]


def test_an_openrowset_may_be_written_over_lines_in_any_case_with_remarks_and_names_in_brackets() -> None:
    text = """SELECT o.a FROM openrowset( -- of orders
        bulk '/orders', data_source = 'read_store', format = 'DELTA') with ([a] int, /* money */
        b decimal (18,2)) AS o"""
    plain, (rowset,) = take_rowsets(text, "here.sql")
    assert plain == "SELECT o.a FROM rowset_0\n\n AS o"
    assert rowset == Rowset("orders", (Column("a", "INT", 2), Column("b", "DECIMAL(18,2)", 3)), "rowset_0")


def test_the_word_openrowset_in_a_string_or_in_brackets_is_no_rowset() -> None:
    text = "SELECT [OPENROWSET] AS a FROM dbo.v WHERE b = 'OPENROWSET(BULK ''x'')'"
    assert take_rowsets(text, "here.sql") == (text, ())


def test_the_rules_of_the_code_and_those_of_the_readme_are_the_same() -> None:
    readme = (SQL_FOLDER / "README.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^\| `([a-z-]+)` \|", readme, re.MULTILINE))
    beside_the_table = {"convert", "function", "top", "rowset", "column", "view", "statement", "syntax"}
    assert listed == {rule.name for rule in RULES} | beside_the_table
    assert all(f"`{function}`" in readme for function in FUNCTIONS)
