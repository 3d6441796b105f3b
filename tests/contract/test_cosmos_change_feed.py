"""The change feed through azure-cosmos: where it starts, what it holds, and that it resumes without loss."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from azure.cosmos import ContainerProxy, CosmosClient, PartitionKey
from azure.cosmos.exceptions import CosmosHttpResponseError

import localazure


def changed(container: ContainerProxy, **start: Any) -> list[str]:
    return [item["id"] for item in container.query_items_change_feed(**start)]


def continuation(container: ContainerProxy) -> str:
    return str(container.client_connection.last_response_headers["etag"])


def test_from_the_beginning_it_has_the_latest_version_of_each_item_in_the_order_of_its_last_write(
    container: ContainerProxy,
) -> None:
    for id in "abc":
        container.create_item({"id": id, "pk": id, "v": 1})
    container.upsert_item({"id": "a", "pk": "a", "v": 2})
    container.delete_item("b", "b")
    found = list(container.query_items_change_feed(start_time="Beginning"))
    assert [(item["id"], item["v"]) for item in found] == [("c", 1), ("a", 2)]
    assert [item["_lsn"] for item in found] == [3, 4]


def test_from_now_it_has_only_what_comes_later(container: ContainerProxy) -> None:
    container.create_item({"id": "early", "pk": "a"})
    assert changed(container, start_time="Now") == []
    token = continuation(container)
    container.create_item({"id": "late", "pk": "a"})
    assert changed(container, continuation=token) == ["late"]


def test_from_a_time_it_has_what_was_written_then_or_later(container: ContainerProxy) -> None:
    early = late = container.create_item({"id": "early", "pk": "a"})
    while late["_ts"] == early["_ts"]:  # documents know whole seconds
        late = container.upsert_item({"id": "late", "pk": "a"})
    assert changed(container, start_time=datetime.fromtimestamp(late["_ts"], UTC)) == ["late"]
    assert changed(container, start_time=datetime.fromtimestamp(early["_ts"], UTC)) == ["early", "late"]


def test_a_continuation_goes_on_where_the_last_page_ended(container: ContainerProxy) -> None:
    for index in range(25):
        container.create_item({"id": str(index), "pk": f"p{index % 3}"})
    seen: list[str] = []
    pages = container.query_items_change_feed(start_time="Beginning", max_item_count=10).by_page()
    seen += [item["id"] for item in next(pages)]
    token = continuation(container)
    seen += changed(container, continuation=token)
    assert seen == [str(index) for index in range(25)]
    assert changed(container, continuation=continuation(container)) == []


def test_a_batch_is_never_torn_between_two_pages(container: ContainerProxy) -> None:
    for batch in range(4):
        operations = [("create", ({"id": f"{batch}-{index}", "pk": "a"},)) for index in range(7)]
        container.execute_item_batch(operations, partition_key="a")
    pages = container.query_items_change_feed(start_time="Beginning", max_item_count=3).by_page()
    sizes = [[item["id"].split("-")[0] for item in page] for page in pages]
    assert [page for page in sizes if page] == [[str(batch)] * 7 for batch in range(4)]


def test_per_partition_key_it_has_that_key_alone(container: ContainerProxy) -> None:
    for index in range(9):
        container.create_item({"id": str(index), "pk": f"p{index % 3}"})
    assert changed(container, start_time="Beginning", partition_key="p1") == ["1", "4", "7"]
    key_range = container.feed_range_from_partition_key("p1")
    assert changed(container, start_time="Beginning", feed_range=key_range) == ["1", "4", "7"]


def test_all_versions_and_deletes_is_refused_where_the_container_keeps_none(container: ContainerProxy) -> None:
    with pytest.raises(CosmosHttpResponseError) as caught:
        list(container.query_items_change_feed(mode="AllVersionsAndDeletes"))
    assert caught.value.status_code == 400


def test_all_versions_and_deletes_are_told_where_the_container_keeps_them(
    client: CosmosClient, fresh_name: str
) -> None:
    database = client.create_database(fresh_name)
    container = database.create_container(
        "items", PartitionKey("/pk"), default_ttl=-1, change_feed_policy={"retentionDuration": 60}
    )
    everything: dict[str, Any] = {"mode": "AllVersionsAndDeletes"}
    assert list(container.query_items_change_feed(**everything)) == []
    token = continuation(container)
    container.create_item({"id": "1", "pk": "a", "v": 1})
    container.upsert_item({"id": "1", "pk": "a", "v": 2})
    container.execute_item_batch([("create", ({"id": "2", "pk": "a"},)), ("delete", ("1",))], partition_key="a")
    container.create_item({"id": "3", "pk": "a"})
    container.delete_all_items_by_partition_key("a")
    found = list(container.query_items_change_feed(continuation=token, **everything))
    told = [(change["metadata"]["operationType"], (change["current"] or {}).get("id")) for change in found]
    assert told[:3] == [("create", "1"), ("replace", "1"), ("create", "2")]
    assert told[3:] == [("delete", None), ("create", "3"), ("delete", None), ("delete", None)]
    replaced, deleted = found[1], found[3]
    assert replaced["current"]["v"] == 2
    assert replaced["metadata"]["previousImageLSN"] == found[0]["metadata"]["lsn"]
    assert deleted["previous"]["v"] == 2
    assert deleted["metadata"]["id"] == "1"
    assert deleted["metadata"]["partitionKey"] == {"pk": "a"}
    assert deleted["metadata"]["timeToLiveExpired"] is False
    assert found[2]["metadata"]["lsn"] == deleted["metadata"]["lsn"]
    assert list(container.query_items_change_feed(start_time="Beginning")) == []
    client.delete_database(fresh_name)


def test_each_feed_range_has_its_own_items_and_together_they_have_all(tmp_path: Path) -> None:
    with localazure.start(tmp_path / "azure", ranges=4) as azure:
        client = CosmosClient.from_connection_string(azure.cosmos_connection_string)
        container = client.create_database("d").create_container("items", PartitionKey("/pk"))
        for index in range(40):
            container.create_item({"id": str(index), "pk": f"p{index}"})
        ranges = list(container.read_feed_ranges())
        found = [changed(container, start_time="Beginning", feed_range=part) for part in ranges]
        assert len(ranges) == 4
        assert all(found)
        assert sorted(id for part in found for id in part) == sorted(str(index) for index in range(40))
        assert sorted(changed(container, start_time="Beginning")) == sorted(str(index) for index in range(40))


def test_a_continuation_survives_a_restart_and_a_split(tmp_path: Path) -> None:
    with localazure.start(tmp_path / "azure") as azure:
        client = CosmosClient.from_connection_string(azure.cosmos_connection_string)
        container = client.create_database("d").create_container("items", PartitionKey("/pk"), offer_throughput=11_000)
        for index in range(20):
            container.create_item({"id": str(index), "pk": f"p{index}"})
        assert len(changed(container, start_time="Beginning")) == 20
        token = continuation(container)
    with localazure.start(tmp_path / "azure") as azure:
        client = CosmosClient.from_connection_string(azure.cosmos_connection_string)
        container = client.get_database_client("d").get_container_client("items")
        for index in range(20, 30):
            container.create_item({"id": str(index), "pk": f"p{index}"})
        container.replace_throughput(35_000)
        assert len(list(container.read_feed_ranges(force_refresh=True))) == 4
        assert sorted(changed(container, continuation=token)) == [str(index) for index in range(20, 30)]
