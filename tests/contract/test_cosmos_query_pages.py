"""Pages, continuations and metrics of queries through the official SDK, over orders in four physical partitions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from azure.cosmos import ContainerProxy, CosmosClient, PartitionKey
from azure.cosmos.exceptions import CosmosHttpResponseError

import localazure
from localazure.handle import LocalAzure
from tests.contract.queried_orders import ORDERS, of_customer, orders_in, within


@pytest.fixture(scope="module")
def orders(azure: LocalAzure) -> Iterator[ContainerProxy]:
    yield from orders_in(azure, "query-pages")


PAGED = [
    "SELECT VALUE c.id FROM c",
    "SELECT VALUE i.productId FROM c JOIN i IN c.items",
    "SELECT VALUE c.id FROM c ORDER BY c.status",
    "SELECT VALUE c.id FROM c ORDER BY c.note DESC",
    "SELECT c.status, COUNT(1) AS n FROM c GROUP BY c.status",
    "SELECT DISTINCT VALUE c.total FROM c",
    "SELECT TOP 5 VALUE c.id FROM c",
    "SELECT VALUE c.id FROM c OFFSET 2 LIMIT 5",
    "SELECT VALUE c.id FROM c ORDER BY c.total DESC OFFSET 1 LIMIT 5",
    "SELECT DISTINCT VALUE c.status FROM c ORDER BY c.status",
    "SELECT VALUE x FROM (SELECT TOP 4 VALUE c.id FROM c) x",
]
MERGED = [
    "SELECT VALUE c.id FROM c ORDER BY c.total",
    "SELECT TOP 30 VALUE c.id FROM c",
    "SELECT VALUE c.id FROM c OFFSET 3 LIMIT 20",
    "SELECT DISTINCT VALUE c.status FROM c",
]


@pytest.mark.parametrize("query", PAGED)
def test_pages_of_every_size_make_the_same_whole(orders: ContainerProxy, query: str) -> None:
    whole = within(orders, query)
    assert whole
    for size in (1, 2, 3, 100):
        pages = [list(p) for p in orders.query_items(query, partition_key="customer-1", max_item_count=size).by_page()]
        assert [item for page in pages for item in page] == whole
        assert all(len(page) <= size for page in pages)


def resumed(container: ContainerProxy, query: str, token: str | None, **options: Any) -> list[list[Any]]:
    """All pages from `token` on, each by a pager of its own that knows nothing but the token before it."""
    found: list[list[Any]] = []
    while True:
        pages = container.query_items(query, **options).by_page(token)
        found.append(list(next(pages)))
        token = pages.continuation_token
        if token is None:
            return found


@pytest.mark.parametrize("query", PAGED)
def test_a_continuation_of_the_sdk_resumes_after_the_page(orders: ContainerProxy, query: str) -> None:
    pages = resumed(orders, query, None, partition_key="customer-1", max_item_count=2)
    assert [item for page in pages for item in page] == within(orders, query)
    assert len(pages) > 1


@pytest.mark.parametrize("query", MERGED)
def test_a_continuation_of_a_merged_query_is_refused(orders: ContainerProxy, query: str) -> None:
    """The SDK hands out the token of one of the ranges it read, and asks for the whole query with it."""
    pages = orders.query_items(query, enable_cross_partition_query=True, max_item_count=1).by_page()
    assert len(list(next(pages))) == 1
    again = orders.query_items(query, enable_cross_partition_query=True).by_page(pages.continuation_token)
    with pytest.raises(CosmosHttpResponseError, match="Invalid Continuation Token") as caught:
        next(again)
    assert caught.value.status_code == 400


def test_an_aggregate_over_all_ranges_has_no_continuation(orders: ContainerProxy) -> None:
    pages = orders.query_items("SELECT VALUE COUNT(1) FROM c", enable_cross_partition_query=True).by_page()
    assert list(next(pages)) == [60]
    assert pages.continuation_token is None


def test_a_cross_partition_filter_resumes_in_the_next_range(orders: ContainerProxy) -> None:
    query = "SELECT VALUE c.id FROM c"
    found: list[str] = []
    token = None
    while True:
        pages = orders.query_items(query, enable_cross_partition_query=True, max_item_count=7).by_page(token)
        found += list(next(pages))
        token = pages.continuation_token
        if token is None:
            break
    assert sorted(found) == [order["id"] for order in ORDERS]


def test_a_continuation_outlives_a_restart_of_the_server(tmp_path: Any) -> None:
    """Of every kind of query; and an item that was given may be gone by then."""
    whole: dict[str, list[Any]] = {}
    begun: dict[str, list[Any]] = {}
    tokens: dict[str, str | None] = {}
    with localazure.start(tmp_path) as azure:
        client = CosmosClient.from_connection_string(azure.cosmos_connection_string)
        container = client.create_database("d").create_container("c", PartitionKey("/customerId"))
        for order in of_customer(1):
            container.create_item(order)
        for query in (*PAGED, "SELECT VALUE c.id FROM c ORDER BY c.total DESC"):
            whole[query] = within(container, query)
            pages = container.query_items(query, partition_key="customer-1", max_item_count=2).by_page()
            begun[query] = list(next(pages))
            tokens[query] = pages.continuation_token
    with localazure.start(tmp_path) as azure:
        client = CosmosClient.from_connection_string(azure.cosmos_connection_string)
        container = client.get_database_client("d").get_container_client("c")
        for query, token in tokens.items():
            if query == "SELECT VALUE c.id FROM c ORDER BY c.total DESC":
                container.delete_item(begun[query][-1], "customer-1")
            rest = resumed(container, query, token, partition_key="customer-1", max_item_count=3)
            assert begun[query] + [item for page in rest for item in page] == whole[query], query


def test_a_page_holds_no_more_than_four_megabytes(azure: LocalAzure, fresh_name: str) -> None:
    client = CosmosClient.from_connection_string(azure.cosmos_connection_string)
    container = client.create_database(fresh_name).create_container("large", PartitionKey("/pk"))
    for number in range(9):
        container.create_item({"id": str(number), "pk": "x", "filler": "f" * 1_000_000})
    pages = [list(page) for page in container.query_items("SELECT * FROM c", partition_key="x").by_page()]
    assert [len(page) for page in pages] == [4, 4, 1]
    client.delete_database(fresh_name)


def test_a_foreign_continuation_is_refused(orders: ContainerProxy) -> None:
    for token in ("nonsense", '{"token":"AAAA","range":{"min":"","max":"FF"}}'):
        pages = orders.query_items("SELECT * FROM c", partition_key="customer-1").by_page(token)
        with pytest.raises(CosmosHttpResponseError, match="Invalid Continuation Token") as caught:
            next(pages)
        assert caught.value.status_code == 400


def test_query_metrics_count_what_was_read_and_given(orders: ContainerProxy) -> None:
    seen: list[dict[str, str]] = []
    query = "SELECT VALUE c.id FROM c WHERE ENDSWITH(c.id, '8')"
    found = within(
        orders, query, populate_query_metrics=True, response_hook=lambda headers, _: seen.append(dict(headers))
    )
    metrics = dict(pair.split("=") for pair in seen[0]["x-ms-documentdb-query-metrics"].split(";"))
    assert int(metrics["retrievedDocumentCount"]) == len(of_customer(1))
    assert int(metrics["outputDocumentCount"]) == len(found) == 1
    assert int(metrics["outputDocumentSize"]) == sum(len(json.dumps(item)) for item in found)
    assert float(metrics["totalExecutionTimeInMs"]) >= 0
