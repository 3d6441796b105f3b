"""The asynchronous client of azure-cosmos: the same account, the same answers."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from azure.core import MatchConditions
from azure.cosmos import PartitionKey
from azure.cosmos.aio import CosmosClient
from azure.cosmos.exceptions import (
    CosmosBatchOperationError,
    CosmosHttpResponseError,
    CosmosResourceExistsError,
    CosmosResourceNotFoundError,
)

import localazure
from localazure.handle import LocalAzure


async def test_the_asynchronous_client_does_what_the_other_does(azure: LocalAzure, fresh_name: str) -> None:
    async with CosmosClient.from_connection_string(azure.cosmos_connection_string) as client:
        database = await client.create_database(fresh_name)
        container = await database.create_container("items", PartitionKey("/pk"), offer_throughput=500)
        assert (await container.get_throughput()).offer_throughput == 500
        created = await container.create_item({"id": "1", "pk": "a"})
        assert await container.read_item("1", "a") == created
        await container.patch_item("1", "a", [{"op": "set", "path": "/v", "value": 1}])
        results = await container.execute_item_batch([("create", ({"id": "2", "pk": "a"},)), ("read", ("1",))], "a")
        assert [result["statusCode"] for result in results] == [201, 200]
        with pytest.raises(CosmosBatchOperationError):
            await container.execute_item_batch([("create", ({"id": "2", "pk": "a"},))], "a")
        assert [item["id"] async for item in container.query_items_change_feed(start_time="Beginning")] == ["1", "2"]
        assert [item["id"] async for item in container.read_all_items()] == ["1", "2"]
        assert [found async for found in container.query_items("SELECT VALUE COUNT(1) FROM c", partition_key="a")] == [
            2
        ]
        await container.delete_item("1", "a")
        with pytest.raises(CosmosResourceNotFoundError):
            await container.read_item("1", "a")
        await client.delete_database(database)


async def test_writes_that_share_a_commit_succeed_and_fail_each_for_itself(azure: LocalAzure, fresh_name: str) -> None:
    async with CosmosClient.from_connection_string(azure.cosmos_connection_string) as client:
        database = await client.create_database(fresh_name)
        container = await database.create_container("items", PartitionKey("/pk"))
        writes = [container.create_item({"id": str(index % 40), "pk": "a", "try": index // 40}) for index in range(120)]
        outcomes = await asyncio.gather(*writes, return_exceptions=True)
        refused = [outcome for outcome in outcomes if isinstance(outcome, CosmosResourceExistsError)]
        kept = {outcome["id"]: outcome["try"] for outcome in outcomes if isinstance(outcome, dict)}
        assert (len(kept), len(refused)) == (40, 80)
        found = [item async for item in container.query_items_change_feed(start_time="Beginning")]
        assert {item["id"]: item["try"] for item in found} == kept
        assert [item["_lsn"] for item in found] == list(range(1, 41))
        await client.delete_database(database)


async def test_many_writers_at_once_are_all_kept(azure: LocalAzure, fresh_name: str) -> None:
    async with CosmosClient.from_connection_string(azure.cosmos_connection_string) as client:
        database = await client.create_database(fresh_name)
        container = await database.create_container("items", PartitionKey("/pk"))
        await asyncio.gather(
            *(container.create_item({"id": str(index), "pk": f"p{index % 10}"}) for index in range(200))
        )
        found = [item["_lsn"] async for item in container.query_items_change_feed(start_time="Beginning")]
        assert found == list(range(1, 201))
        await client.delete_database(database)


async def test_the_asynchronous_client_is_refused_as_the_other_is(azure: LocalAzure, fresh_name: str) -> None:
    async with CosmosClient.from_connection_string(azure.cosmos_connection_string) as client:
        database = await client.create_database(fresh_name)
        container = await database.create_container(fresh_name, PartitionKey("/pk"), default_ttl=-1)
        first = await container.create_item({"id": "1", "pk": "a", "v": 1})
        stale: dict[str, Any] = {"etag": first["_etag"], "match_condition": MatchConditions.IfNotModified}
        second = await container.replace_item("1", {"id": "1", "pk": "a", "v": 2}, **stale)
        for refused, status in (
            (container.replace_item("1", {"id": "1", "pk": "a", "v": 3}, **stale), 412),
            (container.delete_item("1", "a", **stale), 412),
            (container.create_item({"id": "1", "pk": "a"}), 409),
            (container.create_item({"id": "2", "pk": "a", "text": "x" * 2_100_000}), 413),
            (container.patch_item("1", "a", [{"op": "remove", "path": "/none"}]), 400),
            (container.read_item("none", "a"), 404),
            (container.scripts.create_stored_procedure({"id": "s", "body": "x"}), 405),
        ):
            with pytest.raises(CosmosHttpResponseError) as caught:
                await refused
            assert caught.value.status_code == status
        assert await container.read_item("1", "a") == second
        fault = azure.faults.cosmos.respond(429, retry_after_ms=5, times=2, operation="upsert", container=fresh_name)
        await container.upsert_item({"id": "2", "pk": "b"})
        assert fault.clear() == 2
        await client.delete_database(database)
    strong = CosmosClient.from_connection_string(azure.cosmos_connection_string, consistency_level="Strong")
    async with strong:
        with pytest.raises(CosmosHttpResponseError) as caught:
            await strong.create_database(fresh_name)
        assert caught.value.status_code == 400


async def test_the_asynchronous_client_reads_many_ranges(tmp_path: Path) -> None:
    with localazure.start(tmp_path / "azure", ranges=3) as azure:
        async with CosmosClient.from_connection_string(azure.cosmos_connection_string) as client:
            container = await (await client.create_database("d")).create_container("items", PartitionKey("/pk"))
            everything = {str(index): f"p{index}" for index in range(30)}
            await asyncio.gather(*(container.create_item({"id": id, "pk": pk}) for id, pk in everything.items()))
            assert sorted([item["id"] async for item in container.read_all_items(max_item_count=4)]) == sorted(
                everything
            )
            assert [item["id"] for item in await container.read_items(list(everything.items()))] == list(everything)
            ordered = container.query_items("SELECT VALUE c.id FROM c ORDER BY c.id")
            assert [id async for id in ordered] == sorted(everything)
            found = []
            async for part in container.read_feed_ranges():
                feed = container.query_items_change_feed(start_time="Beginning", feed_range=part)
                found.append([item["id"] async for item in feed])
            assert len(found) == 3
            assert sorted(id for part in found for id in part) == sorted(everything)
            await container.delete_all_items_by_partition_key("p7")
            assert "7" not in [item["id"] async for item in container.read_all_items()]
