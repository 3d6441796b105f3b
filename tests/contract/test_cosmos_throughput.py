"""Provisioned throughput, enforced when asked: 429 for the physical partition that is hot, and for no other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from azure.cosmos import ContainerProxy, CosmosClient, PartitionKey
from azure.cosmos.exceptions import CosmosHttpResponseError

import localazure
from localazure.handle import LocalAzure

LARGE = "x" * 500_000
"""Two in a second are more than there is, so that a slow machine is too fast as well."""


@pytest.fixture
def two_partitions(tmp_path: Path) -> Iterator[LocalAzure]:
    with localazure.start(tmp_path / "azure", ranges=2) as azure:
        yield azure


def impatient(azure: LocalAzure) -> ContainerProxy:
    """A container whose client does not wait and try again."""
    client = CosmosClient.from_connection_string(azure.cosmos_connection_string, retry_throttle_backoff_max=-1)
    database = client.create_database_if_not_exists("d")
    return database.create_container_if_not_exists("items", PartitionKey("/pk"), offer_throughput=400)


def keys_by_range(container: ContainerProxy) -> list[str]:
    """One partition key value for each of the two physical partitions."""
    found: dict[str, str] = {}
    index = 0
    while len(found) < 2:
        container.upsert_item({"id": "probe", "pk": f"p{index}"})
        headers = container.client_connection.last_response_headers
        found.setdefault(headers["x-ms-documentdb-partitionkeyrangeid"], f"p{index}")
        index += 1
    return [found["0"], found["1"]]


def test_nothing_is_throttled_unless_it_is_asked_for(two_partitions: LocalAzure) -> None:
    container = impatient(two_partitions)
    for index in range(60):
        container.create_item({"id": str(index), "pk": "a"})


def test_a_hot_partition_is_refused_while_the_other_one_still_writes(two_partitions: LocalAzure) -> None:
    container = impatient(two_partitions)
    hot, cool = keys_by_range(container)
    fault = two_partitions.faults.cosmos.enforce_throughput(container="items")
    refusals: list[CosmosHttpResponseError] = []
    charged_ru = 0.0
    while not refusals:
        try:
            container.upsert_item({"id": "large", "pk": hot, "text": LARGE})
            charged_ru += float(container.client_connection.last_response_headers["x-ms-request-charge"])
        except CosmosHttpResponseError as refusal:
            refusals.append(refusal)
    assert (refusals[0].status_code, refusals[0].sub_status) == (429, 3200)
    assert 0 < int(refusals[0].headers["x-ms-retry-after-ms"]) < 1000
    assert charged_ru >= 200
    container.upsert_item({"id": "cool", "pk": cool})
    assert fault.clear() == 1
    container.upsert_item({"id": "hot again", "pk": hot})


READS: dict[str, Callable[[ContainerProxy, str], Any]] = {
    "query over all ranges": lambda container, _: list(
        container.query_items("SELECT * FROM c", enable_cross_partition_query=True)
    ),
    "query of one key without saying so": lambda container, key: list(
        container.query_items(
            "SELECT * FROM c WHERE c.pk = @key",
            parameters=[{"name": "@key", "value": key}],
            enable_cross_partition_query=True,
        )
    ),
    "plain read": lambda container, _: list(container.read_all_items()),
    "change feed": lambda container, _: list(container.query_items_change_feed(start_time="Beginning")),
}


@pytest.mark.parametrize("what", READS)
def test_reads_without_a_key_use_up_the_partition_that_holds_the_data(two_partitions: LocalAzure, what: str) -> None:
    container = impatient(two_partitions)
    cool, hot = keys_by_range(container)
    container.upsert_item({"id": "large", "pk": hot, "text": "x" * 1_900_000})
    fault = two_partitions.faults.cosmos.enforce_throughput(container="items")
    refusals: list[CosmosHttpResponseError] = []
    while not refusals:
        try:
            READS[what](container, hot)
        except CosmosHttpResponseError as refusal:
            refusals.append(refusal)
    assert refusals[0].status_code == 429
    container.upsert_item({"id": "cool", "pk": cool})
    assert fault.clear() == 1


def test_a_patient_client_waits_as_told_and_loses_nothing(two_partitions: LocalAzure) -> None:
    impatient(two_partitions)
    fault = two_partitions.faults.cosmos.enforce_throughput()
    with CosmosClient.from_connection_string(two_partitions.cosmos_connection_string) as client:
        container = client.get_database_client("d").get_container_client("items")
        for index in range(4):
            container.create_item({"id": str(index), "pk": "a", "text": LARGE})
        assert fault.clear() > 0
        assert len(list(container.query_items("SELECT c.id FROM c", partition_key="a"))) == 4
