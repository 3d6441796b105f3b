# ruff: noqa: E501 (a query stays on its line, as one would paste it)
"""The query plan: what a client is told, and what it sends to each range instead.

The expected texts are those that azure-cosmos reads (azure/cosmos/_execution_context).
"""

from __future__ import annotations

from typing import Any

import pytest

from localazure.cosmos.sql import SqlRefused, evaluate, parse, plan

ORDERS = [{"id": str(n), "_rid": f"r{n}", "n": n % 4, "s": "x" if n % 2 else "y"} for n in range(8)]


def info(query: str, **parameters: Any) -> dict[str, Any]:
    return plan.query_info(parse(query), query, {f"@{name}": value for name, value in parameters.items()})


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("SELECT * FROM c WHERE c.n = 1 AND c.s LIKE 'a%'", False),
        ("SELECT c.id, t FROM c JOIN t IN c.tags", False),
        ("SELECT VALUE (SELECT VALUE COUNT(1) FROM t IN c.tags) FROM c", False),
        ("SELECT TOP 1 * FROM c", True),
        ("SELECT DISTINCT VALUE c.n FROM c", True),
        ("SELECT * FROM c ORDER BY c.n", True),
        ("SELECT * FROM c OFFSET 0 LIMIT 1", True),
        ("SELECT VALUE SUM(c.n) FROM c", True),
        ("SELECT c.n FROM c GROUP BY c.n", True),
        ("SELECT VALUE x FROM (SELECT VALUE MAX(c.n) FROM c) x", True),
        ("SELECT VALUE x FROM (SELECT VALUE c.n FROM c) x", False),
    ],
)
def test_a_plan_is_needed_where_ranges_share_state(query: str, wanted: bool) -> None:
    assert plan.needs_plan(parse(query)) is wanted


@pytest.mark.parametrize(
    ("query", "aggregates", "rewritten"),
    [
        ("SELECT VALUE COUNT(1) FROM c", ["Count"], 'SELECT VALUE [{"item": COUNT(1)}]\nFROM c'),
        ("SELECT VALUE MAX(r.n) FROM root r WHERE (r.s = 'x')", ["Max"], "SELECT VALUE [{\"item\": MAX(r.n)}]\nFROM root r\nWHERE (r.s = 'x')"),
        ("SELECT VALUE AVG(c.n + 1) FROM c", ["Average"], 'SELECT VALUE [{"item": {"sum": SUM(c.n + 1), "count": COUNT(c.n + 1)}}]\nFROM c'),
    ],
)  # fmt: skip
def test_an_aggregate_is_asked_of_each_range_as_an_item(query: str, aggregates: list[str], rewritten: str) -> None:
    found = info(query)
    assert (found["aggregates"], found["rewrittenQuery"], found["hasSelectValue"]) == (aggregates, rewritten, True)
    assert evaluate(rewritten, ORDERS)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM c ORDER BY c.n",
        "SELECT TOP 3 c.id, c.s AS kind, 1 + 1 FROM c WHERE c.n > 0 OR c.s = 'y' ORDER BY c.n DESC",
        "SELECT VALUE {id: c.id} FROM c WHERE (c.n >= 0) AND c.s = 'x' ORDER BY c.n OFFSET 1 LIMIT 2",
        "SELECT DISTINCT VALUE c.n FROM c ORDER BY c.n",
    ],
)
def test_order_by_is_asked_of_each_range_with_keys_and_payload(query: str) -> None:
    found = info(query)
    rewritten = found["rewrittenQuery"].replace(plan.FILTER_PLACEHOLDER, "true")
    rows = evaluate(rewritten, ORDERS)
    payloads = [row["payload"] for row in rows]
    whole = evaluate(query, ORDERS)
    offset, limit = found["offset"] or 0, found["limit"]
    assert payloads[offset : offset + limit if limit is not None else None] == whole
    keys = [row["orderByItems"][0]["item"] for row in rows]
    assert keys == sorted(keys, reverse=found["orderBy"] == ["Descending"])


def test_the_counts_of_a_plan_are_those_of_the_parameters() -> None:
    found = info("SELECT * FROM c OFFSET @skip LIMIT @take", skip=2, take=3)
    assert (found["offset"], found["limit"]) == (2, 3)
    assert found["rewrittenQuery"] == "SELECT *\nFROM c\nOFFSET 0 LIMIT 5"
    assert info("SELECT TOP @n * FROM c", n=4)["top"] == 4
    with pytest.raises(SqlRefused):
        info("SELECT TOP @n * FROM c", n="4")


def test_group_by_is_described_though_no_python_client_takes_it() -> None:
    query = "SELECT c.s, COUNT(1) AS n FROM c GROUP BY c.s"
    found = info(query)
    assert found["groupByExpressions"] == ["c.s"]
    assert found["groupByAliases"] == ["s", "n"]
    assert found["groupByAliasToAggregateType"] == {"s": None, "n": "Count"}
    assert plan.features(parse(query)) == ["GroupBy", "NonValueAggregate"]


def test_features_are_those_the_query_relies_on() -> None:
    cases = {
        "SELECT * FROM c": [],
        "SELECT TOP 1 * FROM c ORDER BY c.a": ["OrderBy", "Top"],
        "SELECT * FROM c ORDER BY c.a, c.b": ["MultipleOrderBy"],
        "SELECT DISTINCT VALUE c.a FROM c OFFSET 0 LIMIT 1": ["Distinct", "OffsetAndLimit"],
        "SELECT VALUE COUNT(1) FROM c": ["Aggregate"],
        "SELECT VALUE COUNTIF(c.a) FROM c": ["Aggregate", "CountIf"],
        "SELECT VALUE COUNT(1) FROM (SELECT DISTINCT VALUE c.a FROM c)": ["Aggregate", "NonValueAggregate", "DCount"],
        "SELECT VALUE x.n FROM (SELECT COUNT(1) AS n FROM c) x": ["NonValueAggregate"],
        "SELECT VALUE x.n FROM (SELECT c.n FROM c WHERE c.n > 1) x": [],
        "SELECT COUNT(1) AS n, MAX(c.a) AS m FROM c": ["MultipleAggregates", "NonValueAggregate"],
    }
    assert {query: plan.features(parse(query)) for query in cases} == cases


@pytest.mark.parametrize(
    ("where", "keys"),
    [
        ("c.pk = 'a'", [("a",)]),
        ("'a' = c.pk AND c.n > 1", [("a",)]),
        ("c['pk'] = @key", [("p",)]),
        ("c.n > 1 AND (c.pk IN ('a', @key) AND true)", [("a",), ("p",)]),
        ("c.pk = null", [(None,)]),
        ("c.pk = 'a' OR c.pk = 'b'", None),
        ("NOT (c.pk = 'a')", None),
        ("c.pk != 'a'", None),
        ("c.pk NOT IN ('a')", None),
        ("c.pk = c.n", None),
        ("c.pk = @missing", None),
        ("c.other = 'a'", None),
        ("UPPER(c.pk) = 'A'", None),
    ],
)
def test_where_names_partition_keys_only_where_it_leaves_no_other(where: str, keys: Any) -> None:
    assert plan.key_values(parse(f"SELECT * FROM c WHERE {where}"), ["/pk"], {"@key": "p"}) == keys


def test_a_hierarchical_key_needs_every_level() -> None:
    paths = ["/tenant", "/user/id"]
    tree = parse("SELECT * FROM c WHERE c.tenant = 't' AND c.user.id IN (1, 2)")
    assert plan.key_values(tree, paths, {}) == [("t", 1), ("t", 2)]
    assert plan.key_values(parse("SELECT * FROM c WHERE c.tenant = 't'"), paths, {}) is None
