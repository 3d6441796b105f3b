"""Sessions and regions: what a reader may count on, through azure-cosmos."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from azure.cosmos import ContainerProxy, CosmosClient, PartitionKey
from azure.cosmos.exceptions import CosmosHttpResponseError

from localazure.handle import LocalAzure

LAG_MS = 400
SECOND = ["Local Second"]


@pytest.fixture
def container(own_azure: LocalAzure) -> Iterator[ContainerProxy]:
    with CosmosClient.from_connection_string(own_azure.cosmos_connection_string) as client:
        yield client.create_database("d").create_container("items", PartitionKey("/pk"))


def reader(azure: LocalAzure, consistency: str) -> ContainerProxy:
    """The same container, read in the second region."""
    client = CosmosClient.from_connection_string(
        azure.cosmos_connection_string, preferred_locations=SECOND, consistency_level=consistency
    )
    return client.get_database_client("d").get_container_client("items")


def test_session_tokens_count_the_writes_of_the_container(container: ContainerProxy) -> None:
    tokens = []
    for index in range(3):
        container.create_item({"id": str(index), "pk": f"p{index}"})
        tokens.append(container.client_connection.last_response_headers["x-ms-session-token"])
    assert tokens == ["0:-1#1", "0:-1#2", "0:-1#3"]


def test_a_session_token_from_the_future_is_404_with_substatus_1002(container: ContainerProxy) -> None:
    container.create_item({"id": "1", "pk": "a"})
    with pytest.raises(CosmosHttpResponseError) as caught:
        container.read_item("1", "a", session_token="0:-1#99")
    assert (caught.value.status_code, caught.value.sub_status) == (404, 1002)


def test_without_a_second_region_the_account_has_one(own_azure: LocalAzure) -> None:
    with CosmosClient.from_connection_string(own_azure.cosmos_connection_string) as client:
        account = client.get_database_account()
    assert [place["name"] for place in account.ReadableLocations] == ["Local"]
    assert account.ReadableLocations[0]["databaseAccountEndpoint"] == own_azure.cosmos_endpoint


def test_an_eventual_reader_of_the_second_region_sees_the_past_and_then_the_present(
    own_azure: LocalAzure, container: ContainerProxy
) -> None:
    fault = own_azure.faults.cosmos.lag_second_region(LAG_MS)
    container.create_item({"id": "1", "pk": "a", "v": 1})
    time.sleep(1.5 * LAG_MS / 1000)
    behind = reader(own_azure, "Eventual")
    assert behind.read_item("1", "a")["v"] == 1
    container.upsert_item({"id": "1", "pk": "a", "v": 2})
    container.create_item({"id": "2", "pk": "a"})
    assert behind.read_item("1", "a")["v"] == 1
    assert [item["id"] for item in behind.read_all_items()] == ["1"]
    assert list(behind.query_items("SELECT VALUE c.v FROM c", partition_key="a")) == [1]
    assert [item["v"] for item in behind.query_items_change_feed(start_time="Beginning")] == [1]
    time.sleep(1.5 * LAG_MS / 1000)
    assert behind.read_item("1", "a")["v"] == 2
    assert [item["id"] for item in behind.read_all_items()] == ["1", "2"]
    assert fault.clear() >= 5


def test_a_deleted_item_lives_on_in_the_second_region_for_a_moment(
    own_azure: LocalAzure, container: ContainerProxy
) -> None:
    own_azure.faults.cosmos.lag_second_region(LAG_MS)
    container.create_item({"id": "1", "pk": "a"})
    time.sleep(1.5 * LAG_MS / 1000)
    behind = reader(own_azure, "Eventual")
    behind.read_item("1", "a")
    container.delete_all_items_by_partition_key("a")
    assert behind.read_item("1", "a")["id"] == "1"
    time.sleep(1.5 * LAG_MS / 1000)
    with pytest.raises(CosmosHttpResponseError) as caught:
        behind.read_item("1", "a")
    assert caught.value.status_code == 404


def test_a_session_reads_its_own_writes_also_where_the_second_region_lags(own_azure: LocalAzure) -> None:
    with CosmosClient.from_connection_string(own_azure.cosmos_connection_string) as client:
        client.create_database("d").create_container("items", PartitionKey("/pk"))
    fault = own_azure.faults.cosmos.lag_second_region(60_000)
    session = reader(own_azure, "Session")
    for version in range(3):
        session.upsert_item({"id": "1", "pk": "a", "v": version})
        assert session.read_item("1", "a")["v"] == version
    assert fault.clear() >= 3
