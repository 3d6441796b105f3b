"""Orders in four physical partitions, and the ways to ask for them: what the contract tests of queries share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from azure.cosmos import ContainerProxy, CosmosClient, PartitionKey
from azure.cosmos.exceptions import CosmosHttpResponseError

from localazure.handle import LocalAzure

FOUR_PARTITIONS = 40_000
STATUSES = ("Created", "Paid", "Shipped")
ORDERS = [
    {
        "id": f"order-{number:02}",
        "customerId": f"customer-{number % 7}",
        "status": STATUSES[number % 3],
        "total": number * 1.5,
        "items": [{"productId": f"p{item}", "quantity": item + 1} for item in range(number % 4)],
        **({"note": None} if number % 5 == 0 else {"note": "gift"} if number % 5 == 1 else {}),
    }
    for number in range(60)
]
COMPOSITE = {
    "indexingMode": "consistent",
    "includedPaths": [{"path": "/*"}, {"path": "/note/?"}],
    "excludedPaths": [{"path": "/secret/*"}],
    "compositeIndexes": [[{"path": "/status", "order": "ascending"}, {"path": "/total", "order": "descending"}]],
}


def orders_in(azure: LocalAzure, name: str) -> Iterator[ContainerProxy]:
    """The body of a fixture: a container of `ORDERS` in a database of that name."""
    client = CosmosClient.from_connection_string(azure.cosmos_connection_string)
    database = client.create_database(name)
    container = database.create_container(
        "orders", PartitionKey("/customerId"), offer_throughput=FOUR_PARTITIONS, indexing_policy=COMPOSITE
    )
    for order in ORDERS:
        container.create_item(order)
    yield container
    client.delete_database(name)


def across(container: ContainerProxy, query: str, **options: Any) -> list[Any]:
    return list(container.query_items(query, enable_cross_partition_query=True, **options))


def within(container: ContainerProxy, query: str, customer: str = "customer-1", **options: Any) -> list[Any]:
    return list(container.query_items(query, partition_key=customer, **options))


def refusal(container: ContainerProxy, query: str, **options: Any) -> CosmosHttpResponseError:
    with pytest.raises(CosmosHttpResponseError) as caught:
        list(container.query_items(query, **options))
    assert caught.value.status_code == 400
    return caught.value


def of_customer(number: int) -> list[dict[str, Any]]:
    return [order for order in ORDERS if order["customerId"] == f"customer-{number}"]
