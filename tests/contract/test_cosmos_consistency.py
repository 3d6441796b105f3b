"""Sessions and regions: what a reader may count on, through azure-cosmos."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from azure.cosmos import ContainerProxy, CosmosClient, PartitionKey
from azure.cosmos.exceptions import CosmosHttpResponseError, CosmosResourceNotFoundError

import localazure
from localazure.handle import LocalAzure

LONG_MS, SHORT_MS = 60_000, 20
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
    container.create_item({"id": "1", "pk": "a", "v": 1})
    fault = own_azure.faults.cosmos.lag_second_region(LONG_MS)
    behind = reader(own_azure, "Eventual")
    container.upsert_item({"id": "1", "pk": "a", "v": 2})
    container.create_item({"id": "2", "pk": "a"})
    assert behind.read_item("1", "a")["v"] == 1
    assert [item["id"] for item in behind.read_all_items()] == ["1"]
    assert list(behind.query_items("SELECT VALUE c.v FROM c", partition_key="a")) == [1]
    assert [item["v"] for item in behind.query_items_change_feed(start_time="Beginning")] == [1]
    assert fault.clear() == 5, "a read, a plain read, a query and two pages of the change feed"
    fault = own_azure.faults.cosmos.lag_second_region(SHORT_MS)
    reads = 1
    while [item["id"] for item in behind.read_all_items()] != ["1", "2"]:
        reads += 1
    assert behind.read_item("1", "a")["v"] == 2
    assert fault.clear() == reads + 1


def test_a_write_that_comes_to_the_second_region_is_403_with_substatus_3_and_the_sdk_turns_to_the_first(
    own_azure: LocalAzure, container: ContainerProxy
) -> None:
    second = own_azure.cosmos_endpoint.replace("127.0.0.1", "localhost")
    key = own_azure.keys.cosmos_read_write
    with CosmosClient(second, key, enable_endpoint_discovery=False) as fixed, CosmosClient(second, key) as free:
        there, turning = (client.get_database_client("d").get_container_client("items") for client in (fixed, free))
        there.create_item({"id": "before", "pk": "a"})
        fault = own_azure.faults.cosmos.lag_second_region(SHORT_MS)
        with pytest.raises(CosmosHttpResponseError) as caught:
            there.create_item({"id": "refused", "pk": "a"})
        assert (caught.value.status_code, caught.value.sub_status) == (403, 3)
        turning.create_item({"id": "turned", "pk": "a"})
        fault.clear()
        there.create_item({"id": "after", "pk": "a"})
    assert [item["id"] for item in container.read_all_items()] == ["before", "turned", "after"]


def test_a_deleted_item_lives_on_in_the_second_region_for_a_moment(
    own_azure: LocalAzure, container: ContainerProxy
) -> None:
    container.create_item({"id": "1", "pk": "a"})
    fault = own_azure.faults.cosmos.lag_second_region(LONG_MS)
    behind = reader(own_azure, "Eventual")
    container.delete_all_items_by_partition_key("a")
    assert behind.read_item("1", "a")["id"] == "1"
    fault.clear()
    own_azure.faults.cosmos.lag_second_region(SHORT_MS)
    while list(behind.read_all_items()):
        pass
    with pytest.raises(CosmosResourceNotFoundError):
        behind.read_item("1", "a")


def test_a_session_reads_its_own_writes_also_where_the_second_region_lags(own_azure: LocalAzure) -> None:
    with CosmosClient.from_connection_string(own_azure.cosmos_connection_string) as client:
        client.create_database("d").create_container("items", PartitionKey("/pk"))
    fault = own_azure.faults.cosmos.lag_second_region(LONG_MS)
    session = reader(own_azure, "Session")
    for version in range(3):
        session.upsert_item({"id": "1", "pk": "a", "v": version})
        assert session.read_item("1", "a")["v"] == version
    assert fault.clear() == 3, "each read was tried there, refused with 404/1002, and answered by the first region"


def test_only_reads_of_documents_count_as_reads_of_the_second_region(
    own_azure: LocalAzure, container: ContainerProxy
) -> None:
    fault = own_azure.faults.cosmos.lag_second_region(LONG_MS)
    behind = reader(own_azure, "Eventual")
    behind.read()
    assert list(behind.read_feed_ranges())
    assert fault.hits == 0
    with pytest.raises(CosmosHttpResponseError):
        behind.read_item("none", "a")
    assert fault.clear() == 1


@pytest.mark.parametrize("level", ["Strong", "BoundedStaleness"])
def test_a_level_stronger_than_the_accounts_is_400(azure: LocalAzure, fresh_name: str, level: str) -> None:
    with CosmosClient.from_connection_string(azure.cosmos_connection_string) as client:
        container = client.create_database(fresh_name).create_container("items", PartitionKey("/pk"))
        container.create_item({"id": "1", "pk": "a"})

        def items_of(level: str) -> ContainerProxy:
            return client_of(azure, level).get_database_client(fresh_name).get_container_client("items")

        for stronger in (
            lambda: items_of(level).read_item("1", "a"),
            lambda: list(items_of(level).query_items("SELECT * FROM c", partition_key="a")),
            lambda: items_of(level).create_item({"id": "2", "pk": "a"}),
            lambda: client_of(azure, level).create_database("other"),
        ):
            with pytest.raises(CosmosHttpResponseError) as caught:
                stronger()
            assert caught.value.status_code == 400
            assert "not stronger than the service consistency level" in str(caught.value)
        assert [item["id"] for item in container.read_all_items()] == ["1"]
        client.delete_database(fresh_name)


def client_of(azure: LocalAzure, level: str) -> CosmosClient:
    return CosmosClient.from_connection_string(azure.cosmos_connection_string, consistency_level=level)


@pytest.mark.parametrize(
    ("default", "asked", "charge"),
    [
        ("Strong", None, "2.0"),
        ("Strong", "Session", "1.0"),
        ("Strong", "Eventual", "1.0"),
        ("BoundedStaleness", None, "2.0"),
        ("BoundedStaleness", "ConsistentPrefix", "1.0"),
        ("Eventual", None, "1.0"),
    ],
)
def test_strong_and_bounded_staleness_reads_are_charged_twice(
    tmp_path: Path, default: str, asked: str | None, charge: str
) -> None:
    with localazure.start(tmp_path / "azure", consistency=default) as azure:
        settings = {} if asked is None else {"consistency_level": asked}
        with CosmosClient.from_connection_string(azure.cosmos_connection_string, **settings) as client:
            policy = client.get_database_account().ConsistencyPolicy
            assert policy == {"defaultConsistencyLevel": default}
            container = client.create_database("d").create_container("items", PartitionKey("/pk"))
            container.create_item({"id": "1", "pk": "a"})
            container.read_item("1", "a")
            assert container.client_connection.last_response_headers["x-ms-request-charge"] == charge


def test_a_strong_reader_sees_the_present_in_the_second_region_too(tmp_path: Path) -> None:
    with localazure.start(tmp_path / "azure", consistency="Strong") as azure:
        with CosmosClient.from_connection_string(azure.cosmos_connection_string) as client:
            container = client.create_database("d").create_container("items", PartitionKey("/pk"))
            fault = azure.faults.cosmos.lag_second_region(LONG_MS)
            container.create_item({"id": "1", "pk": "a"})
        strong, eventual = reader(azure, "Strong"), reader(azure, "Eventual")
        assert strong.read_item("1", "a")["id"] == "1"
        assert [item["id"] for item in strong.query_items("SELECT * FROM c", partition_key="a")] == ["1"]
        with pytest.raises(CosmosHttpResponseError) as caught:
            eventual.read_item("1", "a")
        assert caught.value.status_code == 404
        assert fault.clear() == 3
