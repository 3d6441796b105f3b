"""The asynchronous client of azure-cosmos: the same account, the same answers."""

from __future__ import annotations

import asyncio

import pytest
from azure.cosmos import PartitionKey
from azure.cosmos.aio import CosmosClient
from azure.cosmos.exceptions import CosmosBatchOperationError, CosmosResourceExistsError, CosmosResourceNotFoundError

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
