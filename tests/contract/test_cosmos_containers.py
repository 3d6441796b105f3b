"""Databases, containers and throughput through azure-cosmos, and what the account refuses to offer."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from azure.cosmos import ContainerProxy, CosmosClient, DatabaseProxy, PartitionKey, ThroughputProperties
from azure.cosmos.exceptions import (
    CosmosBatchOperationError,
    CosmosHttpResponseError,
    CosmosResourceExistsError,
    CosmosResourceNotFoundError,
)

import localazure
from localazure.handle import LocalAzure


@pytest.fixture
def database(client: CosmosClient, fresh_name: str) -> Iterator[DatabaseProxy]:
    yield client.create_database(fresh_name)
    client.delete_database(fresh_name)


def refused(act: Callable[[], Any], status: int, substatus: int | None = None) -> None:
    with pytest.raises(CosmosHttpResponseError) as caught:
        act()
    assert (caught.value.status_code, caught.value.sub_status) == (status, substatus)


def test_a_database_is_created_listed_found_and_deleted(client: CosmosClient, fresh_name: str) -> None:
    client.create_database(fresh_name)
    assert client.get_database_client(fresh_name).read()["id"] == fresh_name
    assert fresh_name in [found["id"] for found in client.list_databases()]
    query = "SELECT * FROM root r WHERE r.id = @id"
    found = client.query_databases(query, parameters=[{"name": "@id", "value": fresh_name}])
    assert [database["id"] for database in found] == [fresh_name]
    with pytest.raises(CosmosResourceExistsError):
        client.create_database(fresh_name)
    client.delete_database(fresh_name)
    refused(lambda: client.get_database_client(fresh_name).read(), 404)
    refused(lambda: client.delete_database(fresh_name), 404)


def test_a_container_is_created_listed_found_and_deleted(database: DatabaseProxy) -> None:
    container = database.create_container("orders", PartitionKey("/pk"))
    properties = container.read()
    assert properties["partitionKey"] == {"paths": ["/pk"], "kind": "Hash", "version": 2}
    assert properties["indexingPolicy"]["includedPaths"] == [{"path": "/*"}]
    assert [found["id"] for found in database.list_containers()] == ["orders"]
    assert [found["id"] for found in database.query_containers("SELECT * FROM c WHERE c.id = 'orders'")] == ["orders"]
    with pytest.raises(CosmosResourceExistsError):
        database.create_container("orders", PartitionKey("/pk"))
    database.delete_container("orders")
    refused(container.read, 404)


def test_create_if_not_exists_finds_what_is_there(client: CosmosClient, database: DatabaseProxy) -> None:
    first = database.create_container_if_not_exists("orders", PartitionKey("/pk")).read()["_rid"]
    assert database.create_container_if_not_exists("orders", PartitionKey("/pk")).read()["_rid"] == first
    assert client.create_database_if_not_exists(database.id).id == database.id


@pytest.mark.parametrize("version", [1, 2])
def test_both_hash_versions_of_the_partition_key_work(database: DatabaseProxy, version: int) -> None:
    container = database.create_container("orders", PartitionKey("/pk", version=version))
    for index in range(10):
        container.create_item({"id": str(index), "pk": f"p{index % 2}"})
    assert container.read()["partitionKey"]["version"] == version
    assert container.read_item("3", "p1")["id"] == "3"
    assert len(list(container.query_items("SELECT * FROM c", partition_key="p1"))) == 5


def test_a_hierarchical_partition_key_has_up_to_three_levels(tmp_path: Path) -> None:
    with localazure.start(tmp_path / "azure", ranges=3) as azure:
        client = CosmosClient.from_connection_string(azure.cosmos_connection_string)
        key = PartitionKey(["/tenant", "/user", "/session"], kind="MultiHash")
        container = client.create_database("d").create_container("items", key)
        for tenant, user, index in itertools.product("ab", "xy", range(4)):
            document = {"id": f"{tenant}{user}{index}", "tenant": tenant, "user": user, "session": str(index % 2)}
            container.create_item(document)
        ids = "SELECT VALUE c.id FROM c"
        assert container.read_item("ax2", ["a", "x", "0"])["id"] == "ax2"
        assert sorted(container.query_items(ids, partition_key=["a", "x", "0"])) == ["ax0", "ax2"]
        assert sorted(container.query_items(ids, partition_key=["a", "x"])) == ["ax0", "ax1", "ax2", "ax3"]
        assert len(list(container.query_items(ids, partition_key=["a"]))) == 8
        changed = container.query_items_change_feed(start_time="Beginning", partition_key=["b", "y"])
        assert [item["id"] for item in changed] == ["by0", "by1", "by2", "by3"]
        container.delete_all_items_by_partition_key(["a", "x", "0"])
        assert len(list(container.read_all_items())) == 14
        for part in (["a"], ["a", "x"]):
            refused(lambda part=part: container.read_item("ax1", part), 400, 1001)
            refused(lambda part=part: container.delete_item("ax1", part), 400, 1001)
            refused(lambda part=part: container.execute_item_batch([("read", ("ax1",))], part), 400, 1001)
        set_user = [{"op": "set", "path": "/user", "value": "z"}]
        refused(lambda: container.patch_item("ax1", ["a", "x", "1"], set_user), 400)


def test_a_unique_key_is_held_by_one_document_of_a_logical_partition(database: DatabaseProxy) -> None:
    policy = {"uniqueKeys": [{"paths": ["/email"]}, {"paths": ["/first", "/last"]}]}
    container = database.create_container("people", PartitionKey("/pk"), unique_key_policy=policy, default_ttl=-1)
    assert container.read()["uniqueKeyPolicy"] == policy

    def person(id: str, email: str, first: str, **fields: Any) -> dict[str, Any]:
        return {"id": id, "pk": "a", "email": email, "first": first, "last": "L", **fields}

    container.create_item(person("1", "one@x", "One"))
    container.create_item({**person("1", "one@x", "One"), "pk": "b"})
    container.create_item({**person("2", "two@x", "Two"), "pk": "b", "email": 1})
    refused(lambda: container.create_item({**person("3", "", "Three"), "pk": "b", "email": 1.0}), 409)
    for taken in (person("2", "one@x", "Two"), person("2", "two@x", "One")):
        refused(lambda taken=taken: container.create_item(taken), 409)
        refused(lambda taken=taken: container.upsert_item(taken), 409)
    container.create_item(person("2", "two@x", "Two"))
    refused(lambda: container.replace_item("2", person("2", "one@x", "Two")), 409)
    refused(lambda: container.patch_item("2", "a", [{"op": "set", "path": "/email", "value": "one@x"}]), 409)
    container.replace_item("1", person("1", "new@x", "One"))
    container.replace_item("2", person("2", "one@x", "Two"))
    container.delete_item("1", "a")
    container.create_item(person("3", "new@x", "One"))
    container.delete_all_items_by_partition_key("a")
    with pytest.raises(CosmosBatchOperationError) as caught:
        container.execute_item_batch(
            [("create", (person("4", "same@x", "Four"),)), ("create", (person("5", "same@x", "Five"),))], "a"
        )
    assert (caught.value.status_code, caught.value.error_index) == (409, 1)
    container.create_item(person("4", "same@x", "Four", ttl=1))
    while list(container.query_items("SELECT * FROM c", partition_key="a")):
        pass  # until it has expired
    container.create_item(person("5", "same@x", "Five"))
    refused(lambda: database.replace_container(container, PartitionKey("/pk")), 400)


def test_replacing_a_container_changes_indexing_and_time_to_live_only(database: DatabaseProxy) -> None:
    container = database.create_container("orders", PartitionKey("/pk"))
    container.create_item({"id": "1", "pk": "a"})
    policy = {"indexingMode": "consistent", "includedPaths": [{"path": "/pk/?"}], "excludedPaths": [{"path": "/*"}]}
    database.replace_container(container, PartitionKey("/pk"), indexing_policy=policy, default_ttl=3600)
    properties = container.read()
    assert properties["defaultTtl"] == 3600
    assert properties["indexingPolicy"]["includedPaths"] == [{"path": "/pk/?"}]
    assert container.read_item("1", "a")["id"] == "1"
    refused(lambda: database.replace_container(container, PartitionKey("/other")), 400)


def test_a_recreated_container_is_told_apart_from_the_old_one(azure: LocalAzure, database: DatabaseProxy) -> None:
    container = database.create_container("orders", PartitionKey("/pk"))
    container.create_item({"id": "1", "pk": "a"})
    old_rid = container.read()["_rid"]
    with CosmosClient.from_connection_string(azure.cosmos_connection_string) as other:
        again = other.get_database_client(database.id)
        again.delete_container("orders")
        again.create_container("orders", PartitionKey("/pk"))
    stale = {"x-ms-cosmos-intended-collection-rid": old_rid}
    seen: list[tuple[int, str | None]] = []

    def note(response: Any) -> None:
        seen.append((response.http_response.status_code, response.http_response.headers.get("x-ms-substatus")))

    with pytest.raises(CosmosResourceNotFoundError) as caught:
        container.read_item("1", "a", initial_headers=stale, raw_response_hook=note)
    assert (400, "1024") in seen
    assert (caught.value.status_code, caught.value.sub_status) == (404, None)
    refused(lambda: container.read_item("1", "a"), 404)
    assert list(container.read_all_items()) == []
    container.create_item({"id": "1", "pk": "a"})


def test_what_lies_below_a_missing_container_is_404_with_substatus_1003(
    azure: LocalAzure, database: DatabaseProxy
) -> None:
    container = database.create_container("orders", PartitionKey("/pk"))
    container.create_item({"id": "1", "pk": "a"})
    with CosmosClient.from_connection_string(azure.cosmos_connection_string) as other:
        other.get_database_client(database.id).delete_container("orders")
    refused(lambda: container.read_item("1", "a"), 404, 1003)
    refused(lambda: container.create_item({"id": "2", "pk": "a"}), 404, 1003)


def test_a_deleted_container_leaves_nothing_to_its_successor(azure: LocalAzure, database: DatabaseProxy) -> None:
    container = database.create_container("orders", PartitionKey("/pk"))
    for index in range(50):
        container.create_item({"id": str(index), "pk": "a"})
    database.delete_container("orders")
    database.create_container("orders", PartitionKey("/pk"))
    with CosmosClient.from_connection_string(azure.cosmos_connection_string) as other:
        successor = other.get_database_client(database.id).get_container_client("orders")
        assert list(successor.read_all_items()) == []
        assert list(successor.query_items_change_feed(start_time="Beginning")) == []


def test_throughput_is_400_unless_asked_for_and_can_be_replaced(database: DatabaseProxy) -> None:
    container = database.create_container("orders", PartitionKey("/pk"))
    assert container.get_throughput().offer_throughput == 400
    assert container.replace_throughput(1200).offer_throughput == 1200
    assert container.get_throughput().offer_throughput == 1200
    assert (
        database.create_container("other", PartitionKey("/pk"), offer_throughput=500).get_throughput().offer_throughput
        == 500
    )
    refused(lambda: container.replace_throughput(450), 400)
    refused(lambda: database.create_container("small", PartitionKey("/pk"), offer_throughput=100), 400)


def test_autoscale_has_a_maximum(database: DatabaseProxy) -> None:
    container = database.create_container(
        "orders", PartitionKey("/pk"), offer_throughput=ThroughputProperties(auto_scale_max_throughput=4000)
    )
    assert container.get_throughput().auto_scale_max_throughput == 4000
    container.replace_throughput(ThroughputProperties(auto_scale_max_throughput=6000))
    assert container.get_throughput().auto_scale_max_throughput == 6000
    refused(lambda: container.replace_throughput(ThroughputProperties(auto_scale_max_throughput=1500)), 400)


def test_containers_may_share_the_throughput_of_their_database(client: CosmosClient, fresh_name: str) -> None:
    database = client.create_database(fresh_name, offer_throughput=600)
    database.create_container("orders", PartitionKey("/pk"))
    assert database.get_throughput().offer_throughput == 600
    assert database.replace_throughput(800).offer_throughput == 800
    client.delete_database(fresh_name)


def feed_ranges(container: ContainerProxy) -> int:
    return len(list(container.read_feed_ranges(force_refresh=True)))


def test_physical_partitions_follow_the_provisioned_throughput(database: DatabaseProxy) -> None:
    container = database.create_container("orders", PartitionKey("/pk"), offer_throughput=10_000)
    for index in range(30):
        container.create_item({"id": str(index), "pk": f"p{index}"})
    assert feed_ranges(container) == 1
    container.replace_throughput(10_100)
    assert feed_ranges(container) == 2
    container.replace_throughput(30_000)
    assert feed_ranges(container) == 3
    container.replace_throughput(400)
    assert feed_ranges(container) == 3
    assert container.read_item("7", "p7")["id"] == "7"
    assert sorted(item["id"] for item in container.read_all_items()) == sorted(str(index) for index in range(30))


def test_the_number_of_physical_partitions_can_be_fixed(tmp_path: Path) -> None:
    with localazure.start(tmp_path / "azure", ranges=5) as azure:
        client = CosmosClient.from_connection_string(azure.cosmos_connection_string)
        container = client.create_database("d").create_container("orders", PartitionKey("/pk"))
        assert feed_ranges(container) == 5


def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    with localazure.start(tmp_path / "azure") as azure:
        client = CosmosClient.from_connection_string(azure.cosmos_connection_string)
        container = client.create_database("d").create_container("orders", PartitionKey("/pk"), offer_throughput=700)
        created = container.create_item({"id": "1", "pk": "a"})
    with localazure.start(tmp_path / "azure") as azure:
        client = CosmosClient.from_connection_string(azure.cosmos_connection_string)
        container = client.get_database_client("d").get_container_client("orders")
        assert container.read_item("1", "a") == created
        assert container.get_throughput().offer_throughput == 700
        assert container.create_item({"id": "2", "pk": "a"})["_etag"] > created["_etag"]


UNSUPPORTED: dict[str, Callable[[DatabaseProxy, ContainerProxy], Any]] = {
    "users": lambda database, _: database.create_user({"id": "u"}),
    "list of users": lambda database, _: list(database.list_users()),
    "permissions": lambda database, _: list(database.get_user_client("u").list_permissions()),
    "stored procedures": lambda _, container: container.scripts.create_stored_procedure({"id": "s", "body": "x"}),
    "run of a stored procedure": lambda _, container: container.scripts.execute_stored_procedure("s", "a"),
    "triggers": lambda _, container: container.scripts.create_trigger(
        {"id": "t", "body": "x", "triggerType": "Pre", "triggerOperation": "All"}
    ),
    "user-defined functions": lambda _, container: container.scripts.create_user_defined_function(
        {"id": "f", "body": "x"}
    ),
    "conflict feed": lambda _, container: list(container.list_conflicts()),
}


@pytest.mark.parametrize("what", UNSUPPORTED)
def test_what_the_account_does_not_offer_is_405(database: DatabaseProxy, what: str) -> None:
    container = database.create_container("orders", PartitionKey("/pk"))
    with pytest.raises(CosmosHttpResponseError) as caught:
        UNSUPPORTED[what](database, container)
    assert caught.value.status_code == 405
    assert "not supported" in str(caught.value)


@pytest.mark.parametrize(
    "policy",
    [
        {"conflict_resolution_policy": {"mode": "Custom", "conflictResolutionPath": ""}},
        {"computed_properties": [{"name": "lower", "query": "SELECT VALUE LOWER(c.name) FROM c"}]},
        {"vector_embedding_policy": {"vectorEmbeddings": [{"path": "/v", "dataType": "float32", "dimensions": 2}]}},
        {"full_text_policy": {"defaultLanguage": "en-US", "fullTextPaths": [{"path": "/t", "language": "en-US"}]}},
        {"analytical_storage_ttl": -1},
        {"change_feed_policy": {"retentionDuration": -60}},
    ],
)
def test_a_container_policy_that_is_not_offered_is_400(database: DatabaseProxy, policy: dict[str, Any]) -> None:
    refused(lambda: database.create_container("orders", PartitionKey("/pk"), **policy), 400)
    assert list(database.list_containers()) == []


@pytest.mark.parametrize("name", ["", "x" * 256])
def test_a_name_that_cosmos_db_refuses_is_400(client: CosmosClient, database: DatabaseProxy, name: str) -> None:
    refused(lambda: client.create_database(name), 400)
    refused(lambda: database.create_container(name, PartitionKey("/pk")), 400)
    assert name not in [found["id"] for found in client.list_databases()]
    assert list(database.list_containers()) == []
