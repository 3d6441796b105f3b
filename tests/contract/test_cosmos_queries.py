"""Queries through the official SDK: one partition, several ranges, pages, refusals.

The container has four physical partitions, so that every cross-partition result was merged by the SDK from several.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from azure.cosmos import ContainerProxy
from azure.cosmos.aio import CosmosClient as AsyncCosmosClient
from azure.cosmos.exceptions import CosmosHttpResponseError

from localazure.handle import LocalAzure
from tests.contract.queried_orders import ORDERS, STATUSES, across, of_customer, orders_in, refusal, within


@pytest.fixture(scope="module")
def orders(azure: LocalAzure) -> Iterator[ContainerProxy]:
    yield from orders_in(azure, "queries")


# One partition


def test_a_query_of_one_partition_returns_whole_items_in_the_order_of_their_creation(orders: ContainerProxy) -> None:
    found = within(orders, "SELECT * FROM c")
    assert [item["id"] for item in found] == [order["id"] for order in of_customer(1)]
    assert {"_rid", "_self", "_etag", "_ts", "_attachments"} <= found[0].keys()


def test_parameters_compare_by_type(orders: ContainerProxy) -> None:
    query = "SELECT VALUE c.id FROM c WHERE c.total >= @least AND c.status = @status"
    parameters = [{"name": "@least", "value": 30}, {"name": "@status", "value": "Paid"}]
    wanted = [order["id"] for order in of_customer(1) if order["total"] >= 30 and order["status"] == "Paid"]
    assert within(orders, query, parameters=parameters) == wanted
    parameters = [{"name": "@least", "value": "30"}, {"name": "@status", "value": "Paid"}]
    assert within(orders, query, parameters=parameters) == []


def test_group_by_is_served_within_one_partition(orders: ContainerProxy) -> None:
    found = within(orders, "SELECT c.status, COUNT(1) AS orders, SUM(c.total) AS total FROM c GROUP BY c.status")
    wanted = {}
    for order in of_customer(1):
        count, total = wanted.get(order["status"], (0, 0.0))
        wanted[order["status"]] = (count + 1, total + order["total"])
    assert {row["status"]: (row["orders"], row["total"]) for row in found} == wanted


def test_an_aggregate_without_value_is_served_within_one_partition(orders: ContainerProxy) -> None:
    assert within(orders, "SELECT COUNT(1) AS n, MAX(c.total) AS most FROM c") == [
        {"n": len(of_customer(1)), "most": max(order["total"] for order in of_customer(1))}
    ]


def test_undefined_and_null_are_kept_apart(orders: ContainerProxy) -> None:
    ids = {
        condition: set(across(orders, f"SELECT VALUE c.id FROM c WHERE {condition}"))
        for condition in ("IS_NULL(c.note)", "NOT IS_DEFINED(c.note)", "c.note = null", "c.note != null", "true")
    }
    assert ids["IS_NULL(c.note)"] == ids["c.note = null"] == {o["id"] for o in ORDERS if o.get("note", 0) is None}
    assert ids["NOT IS_DEFINED(c.note)"] == {o["id"] for o in ORDERS if "note" not in o}
    assert ids["c.note != null"] == {o["id"] for o in ORDERS if o.get("note") is not None}
    assert len(ids["true"]) == 60


@pytest.mark.parametrize(
    ("expression", "wanted"),
    [
        ("IS_DEFINED(c.nowhere)", False),
        ("CONCAT(UPPER(c.id), '!')", "ORDER-01!"),
        ("ARRAY_CONTAINS(c.items, {productId: 'p0'}, true)", True),
        ("ROUND(c.total) + POWER(2, 3)", 10),
        ("DateTimeAdd('dd', 1, '2026-01-05T09:00:00.0000000Z')", "2026-01-06T09:00:00.0000000Z"),
        ("c.note ?? 'none'", "gift"),
        ("c.total > 1 ? 'dear' : 'cheap'", "dear"),
        ("c.id LIKE 'order-_1'", True),
        ("(5 & 3) || 'x'", None),
        ("[c.id, c.nowhere, {n: c.total}]", ["order-01", None, {"n": 1.5}]),
    ],
)
def test_an_expression_of_every_family_is_answered(orders: ContainerProxy, expression: str, wanted: Any) -> None:
    found = within(orders, f"SELECT VALUE {expression} FROM c WHERE c.id = 'order-01'")
    assert found == ([] if wanted is None else [wanted])


def test_subqueries_see_the_item_around_them(orders: ContainerProxy) -> None:
    query = (
        "SELECT c.id, ARRAY(SELECT VALUE i.productId FROM i IN c.items WHERE i.quantity > 1) AS many, "
        "EXISTS(SELECT VALUE i FROM i IN c.items WHERE i.quantity = 3) AS three, "
        "(SELECT VALUE SUM(i.quantity) FROM i IN c.items) AS pieces FROM c WHERE ARRAY_LENGTH(c.items) = 3"
    )
    wanted = [o["id"] for o in of_customer(1) if len(o["items"]) == 3]
    assert within(orders, query) == [{"id": id, "many": ["p1", "p2"], "three": True, "pieces": 6} for id in wanted]


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("SELECT 1 AS one, 'a' || 'b' AS two", {"one": 1, "two": "ab"}),
        ("SELECT VALUE COUNT(1)", 1),
        ("SELECT VALUE SUM(2)", 2),
        ("SELECT DISTINCT VALUE RAND() < 2", True),
        ("SELECT TOP 3 VALUE 1", 1),
        ("SELECT VALUE 1 OFFSET 0 LIMIT 3", 1),
        ("SELECT VALUE 1 + 1 WHERE true", 2),
    ],
)
def test_a_query_without_from_gives_one_result_over_all_ranges(orders: ContainerProxy, query: str, wanted: Any) -> None:
    assert across(orders, query) == [wanted]


# Several ranges, merged by the SDK


def test_the_container_has_four_ranges(orders: ContainerProxy) -> None:
    assert len(list(orders.read_feed_ranges())) == 4


def test_a_filter_is_served_over_all_ranges(orders: ContainerProxy) -> None:
    found = across(orders, "SELECT VALUE c.id FROM c WHERE c.status = 'Paid'")
    assert sorted(found) == [order["id"] for order in ORDERS if order["status"] == "Paid"]


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("SELECT VALUE COUNT(1) FROM c", 60),
        ("SELECT VALUE COUNT(c.note) FROM c", 24),
        ("SELECT VALUE SUM(c.total) FROM c", sum(order["total"] for order in ORDERS)),
        ("SELECT VALUE AVG(c.total) FROM c", sum(order["total"] for order in ORDERS) / 60),
        ("SELECT VALUE MIN(c.total) FROM c WHERE c.total > 10", 10.5),
        ("SELECT VALUE MAX(c.id) FROM c", "order-59"),
    ],
)
def test_an_aggregate_is_merged_from_all_ranges(orders: ContainerProxy, query: str, wanted: Any) -> None:
    assert across(orders, query) == [wanted]


def test_order_by_is_merged_from_all_ranges(orders: ContainerProxy) -> None:
    found = across(orders, "SELECT VALUE c.total FROM c WHERE c.total < 60 ORDER BY c.total DESC")
    assert found == sorted((o["total"] for o in ORDERS if o["total"] < 60), reverse=True)


def test_order_by_projects_a_list_under_its_names(orders: ContainerProxy) -> None:
    found = across(orders, "SELECT TOP 2 c.id, c.total AS amount, 1 + 1 FROM c ORDER BY c.total")
    assert found == [{"id": "order-00", "amount": 0, "$1": 2}, {"id": "order-01", "amount": 1.5, "$1": 2}]


def test_top_over_all_ranges_takes_as_many_as_asked(orders: ContainerProxy) -> None:
    parameters = [{"name": "@most", "value": 7}]
    assert len(across(orders, "SELECT TOP @most * FROM c", parameters=parameters)) == 7


def test_offset_and_limit_count_over_all_ranges(orders: ContainerProxy) -> None:
    found = across(orders, "SELECT VALUE c.total FROM c ORDER BY c.total OFFSET 10 LIMIT 5")
    assert found == [15, 16.5, 18, 19.5, 21]


def test_offset_and_limit_work_without_an_order(orders: ContainerProxy) -> None:
    assert len(across(orders, "SELECT VALUE c.id FROM c WHERE (c.total >= 0) OFFSET 55 LIMIT 10")) == 5


def test_distinct_values_are_merged_from_all_ranges(orders: ContainerProxy) -> None:
    assert sorted(across(orders, "SELECT DISTINCT VALUE c.status FROM c")) == sorted(STATUSES)
    assert across(orders, "SELECT DISTINCT VALUE c.status FROM c ORDER BY c.status") == sorted(STATUSES)
    for order in ("c.status", "c.id"):
        found = [order["status"] for order in across(orders, f"SELECT DISTINCT c.status FROM c ORDER BY {order}")]
        assert sorted(found) == sorted(STATUSES)


def test_a_join_unfolds_arrays_in_every_range(orders: ContainerProxy) -> None:
    found = across(orders, "SELECT c.id, i.productId FROM c JOIN i IN c.items WHERE i.quantity = 3")
    assert sorted(row["id"] for row in found) == [o["id"] for o in ORDERS if len(o["items"]) == 3]


def test_a_query_that_names_its_partition_key_reaches_one_range_without_the_flag(orders: ContainerProxy) -> None:
    found = list(orders.query_items("SELECT VALUE c.id FROM c WHERE c.customerId = 'customer-3'"))
    assert found == [order["id"] for order in of_customer(3)]


def test_several_partition_keys_in_where_narrow_the_plan(orders: ContainerProxy) -> None:
    query = "SELECT VALUE COUNT(1) FROM c WHERE c.customerId IN ('customer-3', 'customer-5')"
    assert across(orders, query) == [len(of_customer(3)) + len(of_customer(5))]


def test_a_feed_range_is_queried_alone(orders: ContainerProxy) -> None:
    parts = [
        list(orders.query_items("SELECT VALUE c.id FROM c", feed_range=part)) for part in orders.read_feed_ranges()
    ]
    assert sorted(item for part in parts for item in part) == [order["id"] for order in ORDERS]
    assert max(map(len, parts)) < 60


# Refusals


def test_a_cross_partition_query_without_the_flag_is_refused(orders: ContainerProxy) -> None:
    error = refusal(orders, "SELECT * FROM c WHERE c.total > 3")
    assert "Cross partition query is required but disabled" in error.message


@pytest.mark.parametrize(
    "query",
    [
        "SELECT c.status FROM c GROUP BY c.status",
        "SELECT VALUE COUNT(1) FROM c GROUP BY c.status",
        "SELECT c.status FROM c WHERE c.customerId = 'customer-1' GROUP BY c.status",
    ],
)
def test_group_by_over_several_ranges_is_a_feature_the_client_lacks(orders: ContainerProxy, query: str) -> None:
    error = refusal(orders, query, enable_cross_partition_query=True)
    assert "Query contains the following features, which the calling client does not support: GroupBy" in error.message


@pytest.mark.parametrize(
    "query", ["SELECT COUNT(1) AS n FROM c", "SELECT c.status, COUNT(1) AS n FROM c GROUP BY c.status"]
)
def test_an_aggregate_without_value_is_refused_over_several_ranges(orders: ContainerProxy, query: str) -> None:
    error = refusal(orders, query, enable_cross_partition_query=True)
    assert "Cross partition query only supports 'VALUE <AggregateFunc>' for aggregates." in error.message


def test_an_aggregate_inside_an_expression_is_refused_over_several_ranges(orders: ContainerProxy) -> None:
    error = refusal(orders, "SELECT VALUE COUNT(1) + 1 FROM c", enable_cross_partition_query=True)
    assert "Compositions of aggregates and other expressions are not allowed." in error.message


def test_a_syntax_error_names_its_place(orders: ContainerProxy) -> None:
    error = refusal(orders, "SELECT * FORM c", partition_key="customer-1")
    assert '"location":{"start":9,"end":13},"code":"SC1001"' in error.message
    assert "Syntax error, incorrect syntax near 'FORM'." in error.message


def test_an_unknown_name_names_its_place(orders: ContainerProxy) -> None:
    error = refusal(orders, "SELECT x.id FROM c", partition_key="customer-1")
    assert '"location":{"start":7,"end":8},"code":"SC2001"' in error.message


def test_a_division_by_zero_refuses_the_query(orders: ContainerProxy) -> None:
    error = refusal(orders, "SELECT VALUE c.total / 0 FROM c", partition_key="customer-1")
    assert error.sub_status == 4001


def test_order_by_several_paths_needs_their_composite_index(orders: ContainerProxy) -> None:
    served = within(orders, "SELECT c.status, c.total FROM c ORDER BY c.status ASC, c.total DESC")
    key = [(row["status"], -row["total"]) for row in served]
    assert key == sorted(key)
    backwards = within(orders, "SELECT c.status, c.total FROM c ORDER BY c.status DESC, c.total ASC")
    assert backwards == served[::-1]
    for clause in ("c.status, c.total", "c.total, c.status", "c.total DESC, c.status", "c.status, c.id"):
        error = refusal(orders, f"SELECT * FROM c ORDER BY {clause}", partition_key="customer-1")
        assert "does not have a corresponding composite index" in error.message


def test_order_by_several_paths_is_merged_from_all_ranges(orders: ContainerProxy) -> None:
    found = across(orders, "SELECT c.status, c.total FROM c ORDER BY c.status, c.total DESC")
    assert [(row["status"], row["total"]) for row in found] == sorted(
        ((order["status"], order["total"]) for order in ORDERS), key=lambda pair: (pair[0], -pair[1])
    )


def test_order_by_an_excluded_path_is_refused(orders: ContainerProxy) -> None:
    error = refusal(orders, "SELECT * FROM c ORDER BY c.secret.value1", partition_key="customer-1")
    assert "The index path corresponding to the specified order-by item is excluded." in error.message


def test_order_by_keeps_items_without_the_path_only_if_the_policy_includes_it(orders: ContainerProxy) -> None:
    assert len(within(orders, "SELECT c.id, c.note FROM c ORDER BY c.note")) == len(of_customer(1))
    assert within(orders, "SELECT c.id FROM c ORDER BY c.nowhere") == []


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ([{"name": "least", "value": 1}], "Parameter names should be in the format of symbol '@'"),
        ([{"name": "@a", "value": 1}, {"name": "@a", "value": 2}], "Specified duplicate parameter name"),
        ([{"name": f"@p{number}", "value": number} for number in range(10_000)], "parameters"),
    ],
)
def test_parameters_that_cannot_be_are_refused(orders: ContainerProxy, parameters: Any, words: str) -> None:
    error = refusal(orders, "SELECT * FROM c", parameters=parameters, partition_key="customer-1")
    assert words in error.message


@pytest.mark.parametrize(
    "query",
    [
        "SELECT VALUE " + "(" * 5_000 + "1" + ")" * 5_000,
        "SELECT VALUE " + "[" * 5_000 + "]" * 5_000,
        "SELECT VALUE 1 FROM c WHERE " + " AND ".join(["true"] * 3_000),
        "SELECT VALUE 1" + " " * 262_144,
        "SELECT * FROM c WHERE c.id IN (" + ", ".join(["1"] * 16_001) + ")",
    ],
    ids=["parentheses", "arrays", "conjunction", "length", "list"],
)
def test_a_query_beyond_the_limits_is_refused_and_not_an_error_of_the_server(
    orders: ContainerProxy, query: str
) -> None:
    assert "exceeded the maximum" in refusal(orders, query, partition_key="customer-1").message


@pytest.mark.parametrize(
    "call",
    [
        "ST_AREA(c.place)",
        "ST_DISTANCE(c.place, c.place)",
        "ST_INTERSECTS(c.place, c.place)",
        "ST_ISVALID(c.place)",
        "ST_ISVALIDDETAILED(c.place)",
        "ST_WITHIN(c.place, c.place)",
        "VECTORDISTANCE(c.vector, [1])",
        "FULLTEXTCONTAINS(c.note, 'gift')",
        "FULLTEXTCONTAINSALL(c.note, 'gift')",
        "FULLTEXTCONTAINSANY(c.note, 'gift')",
        "FULLTEXTSCORE(c.note, 'gift')",
        "RRF(1, 2)",
    ],
)
def test_a_function_that_is_not_served_is_refused_as_an_unknown_one(orders: ContainerProxy, call: str) -> None:
    error = refusal(orders, f"SELECT VALUE {call} FROM c", partition_key="customer-1")
    assert '"code":"SC2005"' in error.message
    assert "is not a recognized built-in function name." in error.message


@pytest.mark.parametrize("specifier", ["dddd", "MMM", "hh", "tt", "zzz", "d", "yy"])
def test_a_specifier_of_datetimeformat_that_is_not_served_is_refused(orders: ContainerProxy, specifier: str) -> None:
    query = f"SELECT VALUE DateTimeFormat('2024-10-10', 'yyyy {specifier}') FROM c"
    error = refusal(orders, query, partition_key="customer-1")
    assert '"code":"SC2060"' in error.message
    assert f"'{specifier}'" in error.message


def test_a_user_defined_function_is_refused(orders: ContainerProxy) -> None:
    error = refusal(orders, "SELECT VALUE udf.tax(c.total) FROM c", partition_key="customer-1")
    assert "User-defined function 'tax' could not be resolved." in error.message


def test_order_by_rank_is_refused(orders: ContainerProxy) -> None:
    error = refusal(orders, "SELECT * FROM c ORDER BY RANK c.id", partition_key="customer-1")
    assert "Syntax error" in error.message


def test_order_by_an_expression_or_a_joined_item_is_refused(orders: ContainerProxy) -> None:
    error = refusal(orders, "SELECT * FROM c ORDER BY LOWER(c.id)", partition_key="customer-1")
    assert "ORDER BY item expression could not be mapped to a document path." in error.message
    error = refusal(orders, "SELECT c.id FROM c JOIN i IN c.items ORDER BY i.quantity", partition_key="customer-1")
    assert "Order-by over correlated collections is not supported." in error.message


async def test_the_asynchronous_client_merges_alike(azure: LocalAzure, orders: ContainerProxy) -> None:
    async with AsyncCosmosClient.from_connection_string(azure.cosmos_connection_string) as client:
        container = client.get_database_client("queries").get_container_client("orders")
        query = "SELECT VALUE c.total FROM c ORDER BY c.total OFFSET 3 LIMIT 4"
        assert [value async for value in container.query_items(query)] == [4.5, 6, 7.5, 9]
        count = [value async for value in container.query_items("SELECT VALUE COUNT(1) FROM c")]
        assert count == [60]
        with pytest.raises(CosmosHttpResponseError, match="calling client does not support: GroupBy"):
            [row async for row in container.query_items("SELECT c.status FROM c GROUP BY c.status")]
