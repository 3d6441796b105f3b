# ruff: noqa: E501 (a query stays on its line, as one would paste it)
"""What is no query: the service's error code, its words and the place they point at."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from localazure.cosmos.sql import SqlRefused, evaluate, limits, parse
from localazure.cosmos.sql.limits import DEEPEST_NESTING

REFUSED = [
    # (query, code, the text at the place, message)
    ("SELECT * FORM c", "SC1001", "FORM", "Syntax error, incorrect syntax near 'FORM'."),
    ("SELECT c.id FROM c WHERE c.created > 6,35430269777489E+17", "SC1001", ",", "Syntax error, incorrect syntax near ','."),
    ("SELECT c.value FROM c", "SC1001", "value", "Syntax error, incorrect syntax near 'value'."),
    ("SELECT c.id AS order FROM c", "SC1001", "order", "Syntax error, incorrect syntax near 'order'."),
    ("SELECT c.* FROM c", "SC1001", "*", "Syntax error, incorrect syntax near '*'."),
    ("SELECT *, c.id FROM c", "SC1001", ",", "Syntax error, incorrect syntax near ','."),
    ("SELECT VALUE * FROM c", "SC1001", "*", "Syntax error, incorrect syntax near '*'."),
    ("SELECT VALUE 1, 2", "SC1001", ",", "Syntax error, incorrect syntax near ','."),
    ("INSERT INTO c VALUES (1)", "SC1001", "INSERT", "Syntax error, incorrect syntax near 'INSERT'."),
    ("SELECT * FROM c WHERE", "SC1002", "WHERE", "Syntax error, unexpected end-of-file."),
    ("SELECT (1 + 2", "SC1002", "2", "Syntax error, unexpected end-of-file."),
    ("SELECT TOP 'a' * FROM c", "SC1001", "'a'", "Syntax error, incorrect syntax near ''a''."),
    ("SELECT TOP 1 * FROM c OFFSET 1 LIMIT 1", "SC1001", "OFFSET", "Syntax error, incorrect syntax near 'OFFSET'."),
    ("SELECT * FROM c OFFSET 1", "SC1002", "1", "Syntax error, unexpected end-of-file."),
    ("SELECT * FROM c LIMIT 1 OFFSET 1", "SC1001", "LIMIT", "Syntax error, incorrect syntax near 'LIMIT'."),
    ("SELECT * FROM c;", "SC1010", ";", "Syntax error, invalid token ';'."),
    ("SELECT `a`", "SC1010", "`", "Syntax error, invalid token '`'."),
    ("SELECT 'a", "SC1012", "'a", "Syntax error, invalid string literal token ''a'."),
    ("SELECT 'a\\q'", "SC1012", "'a\\q'", "Syntax error, invalid string literal token ''a\\q''."),
    ("SELECT * FROM c WHERE c.id IN ()", "SC1001", ")", "Syntax error, incorrect syntax near ')'."),
    ("SELECT x.id FROM c", "SC2001", "x", "Identifier 'x' could not be resolved."),
    ("SELECT id FROM c", "SC2001", "id", "Identifier 'id' could not be resolved."),
    ("SELECT products.id FROM products p", "SC2001", "products", "Identifier 'products' could not be resolved."),
    ("SELECT c.id FROM c JOIN t IN d.tags", "SC2001", "d", "Identifier 'd' could not be resolved."),
    ("SELECT VALUE (SELECT VALUE x FROM x IN z.a) FROM c", "SC2001", "z", "Identifier 'z' could not be resolved."),
    ("SELECT c.id FROM c GROUP BY c.pk", "SC2102", "c", "Property reference 'c' is invalid"),
    ("SELECT c.id, COUNT(1) FROM c", "SC2102", "c", "Property reference 'c' is invalid"),
    ("SELECT c.a AS x, c.b AS x FROM c", "SC2022", "x", "Object creation error, property name 'x' specified more than once."),
    ("SELECT {a: 1, a: 2}", "SC2022", "1", "Object creation error, property name 'a' specified more than once."),
    ("SELECT *", "SC2046", "SELECT *", "'SELECT *' is not valid if FROM clause is omitted."),
    ("SELECT * FROM c JOIN t IN c.tags", "SC2047", "SELECT", "'SELECT *' is only valid with a single input set."),
    ("SELECT c.pk FROM c GROUP BY c.pk ORDER BY c.pk", "SC2103", "SELECT", "'ORDER BY' is not allowed in presence of GROUP BY."),
    ("SELECT * FROM c WHERE COUNT(1) > 1", "SC2030", "COUNT(1)", "The aggregate function 'COUNT' is not allowed here."),
    ("SELECT c.id FROM c JOIN c", "SC2011", "c", "The input alias 'c' is specified more than once in the FROM clause."),
    ("SELECT udf.tax(c.id) FROM c", "SC2040", "udf.tax(c.id)", "User-defined function 'tax' could not be resolved."),
]  # fmt: skip


@pytest.mark.parametrize(("query", "code", "at", "message"), REFUSED)
def test_a_refusal_names_its_place(query: str, code: str, at: str, message: str) -> None:
    with pytest.raises(SqlRefused) as caught:
        evaluate(query, [{"id": "1"}])
    error = json.loads(caught.value.as_service_text())["errors"][0]
    assert error["code"] == code
    assert error["message"].startswith(message)
    place = error["location"]
    assert query[place["start"] :].startswith(at)


def test_the_service_text_is_the_service_s_json() -> None:
    with pytest.raises(SqlRefused) as caught:
        evaluate("SELECT *\nFORM c", [])
    assert caught.value.as_service_text() == (
        '{"errors":[{"severity":"Error","location":{"start":9,"end":13},"code":"SC1001",'
        '"message":"Syntax error, incorrect syntax near \'FORM\'."}]}'
    )


def test_an_empty_text_is_no_query() -> None:
    for text in ("", "   ", "-- only a comment"):
        with pytest.raises(SqlRefused, match="unexpected end-of-file") as caught:
            evaluate(text, [])
        assert caught.value.code == "SC1002"


def test_a_scalar_subquery_of_several_results_is_refused() -> None:
    with pytest.raises(SqlRefused, match="cardinality of a scalar subquery"):
        evaluate("SELECT (SELECT VALUE t FROM t IN c.a) AS x FROM c", [{"a": [1, 2]}])


@pytest.mark.parametrize("count", ["-1", "1.5", "'1'", "null", "undefined", "3000000000"])
def test_a_count_that_is_none_is_refused(count: str) -> None:
    value = {"null": None, "undefined": None, "'1'": "1"}.get(count, None if count == "undefined" else count)
    parameters = {} if count == "undefined" else {"@n": float(value) if count == "1.5" else value}
    if count in ("-1", "3000000000"):
        parameters = {"@n": int(count)}
    for clause in ("SELECT TOP @n * FROM c", "SELECT * FROM c OFFSET @n LIMIT 1", "SELECT * FROM c OFFSET 0 LIMIT @n"):
        with pytest.raises(SqlRefused, match="must be a non-negative integer"):
            evaluate(clause, [{"id": "1"}], parameters)


def test_nesting_is_served_to_its_limit_and_refused_beyond() -> None:
    depth = DEEPEST_NESTING - 2
    assert evaluate(f"SELECT VALUE {'(' * depth}1{')' * depth}", []) == [1]
    with pytest.raises(SqlRefused, match="depth of nesting"):
        evaluate(f"SELECT VALUE {'(' * (depth + 1)}1{')' * (depth + 1)}", [])


def test_long_chains_are_served() -> None:
    assert evaluate(f"SELECT VALUE {' AND '.join(['true'] * 2000)}", []) == [True]
    assert evaluate(f"SELECT VALUE {' OR '.join(['false'] * 2000)}", []) == [False]
    assert evaluate(f"SELECT VALUE {' + '.join(['1'] * 65_000)}", []) == [65_000]
    assert evaluate(f"SELECT VALUE {' - '.join(['1'] * 600)} * 2 + 1", []) == [1 - 598 - 2 + 1]
    assert evaluate(f"SELECT VALUE LENGTH({' || '.join(['c.s'] * 600)}) FROM c", [{"s": "ab"}]) == [1200]
    assert evaluate(f"SELECT VALUE {'c.gone ?? ' * 600} c.s FROM c", [{"s": "ab"}]) == ["ab"]
    grouped = "SELECT c.n + 1 + 2 AS k, COUNT(1) AS many FROM c GROUP BY c.n + 1"
    assert evaluate(grouped, [{"n": 1}, {"n": 1}]) == [{"k": 4, "many": 2}]
    assert evaluate(f"SELECT VALUE 7 IN ({', '.join(map(str, range(16_000)))})", []) == [True]


def test_all_of_a_query_in_from_needs_no_alias() -> None:
    assert evaluate("SELECT * FROM (SELECT * FROM c)", [{"id": "1"}]) == [{"id": "1"}]
    assert evaluate("SELECT * FROM (SELECT VALUE x FROM x IN c.a)", [{"a": [1, 2]}]) == [1, 2]
    assert evaluate(f"SELECT * FROM {'(SELECT * FROM ' * 50}c{')' * 50}", [{"id": "1"}]) == [{"id": "1"}]


def test_thousands_of_properties_are_told_apart() -> None:
    names = [f"k{at}" for at in range(5_000)]
    wanted = {name: at for at, name in enumerate(names)}
    assert evaluate(f"SELECT {', '.join(f'{at} AS {name}' for name, at in wanted.items())}", []) == [wanted]
    assert evaluate(f"SELECT VALUE {{{', '.join(f'{name}: {at}' for name, at in wanted.items())}}}", []) == [wanted]
    keys = ", ".join(f"c.{name}" for name in names)
    assert evaluate(f"SELECT {keys} FROM c GROUP BY {keys}", [wanted]) == [wanted]


LIMITS = [
    # (a query of so many, the limit, code)
    (lambda count: "SELECT 1" + " " * (count - 8), limits.LONGEST_QUERY_CHARACTERS, "SC3020"),
    (lambda count: "SELECT VALUE 1 FROM c" + " JOIN (SELECT 1)" * count, limits.MOST_JOINS, "SC3002"),
    (lambda count: "SELECT VALUE true" + " AND true" * count, limits.MOST_ANDS, "SC3003"),
    (lambda count: "SELECT VALUE true" + " OR true" * count, limits.MOST_ORS, "SC3004"),
    (lambda count: f"SELECT VALUE 1 IN ({', '.join(['1'] * count)})", limits.MOST_IN_ITEMS, "SC3006"),
    (lambda count: f"SELECT VALUE {'[' * (count - 2)}1{']' * (count - 2)}", limits.DEEPEST_NESTING, "SC3007"),
    (lambda count: "SELECT " + ", ".join(["udf.f(1)"] * count), limits.MOST_USER_DEFINED_FUNCTIONS, "SC3005"),
]


@pytest.mark.parametrize(("query", "limit", "code"), LIMITS, ids=[code for _, _, code in LIMITS])
def test_a_limit_is_reached_and_not_passed(query: Callable[[int], str], limit: int, code: str) -> None:
    parse(query(limit))
    with pytest.raises(SqlRefused) as caught:
        parse(query(limit + 1))
    assert caught.value.code == code


def test_joins_and_conditions_of_subqueries_count_too() -> None:
    for part in (" JOIN (SELECT 1)" * 6, " WHERE true" + " AND true" * 1_001):
        with pytest.raises(SqlRefused, match="exceeded the maximum number"):
            parse(f"SELECT (SELECT VALUE 1 FROM c{part}) AS a, (SELECT VALUE 1 FROM c{part}) AS b FROM c")


@pytest.mark.parametrize(
    "doubled",
    [
        "x || x",
        "CONCAT(x, x)",
        "REPLACE(x, 'a', 'aaa')",
        "StringJoin([x, x], '')",
        "ARRAY_CONCAT(x, x)",
    ],
)
def test_a_query_that_doubles_what_it_made_is_ended_before_memory_is(doubled: str) -> None:
    array = "StringSplit(REPLICATE('a,', 5000), ',')"
    inner = f"(SELECT VALUE {array if 'ARRAY' in doubled else f'StringJoin({array}, {chr(34) * 2})'})"
    for _ in range(14):
        inner = f"(SELECT VALUE {doubled} FROM {inner} AS x)"
    with pytest.raises(SqlRefused, match="beyond the maximum size") as caught:
        evaluate(f"SELECT VALUE {inner}", [])
    assert caught.value.code == "SC3008"
