"""Ownership of hub partitions on Cosmos DB: one contract, run on the sync and on the async store."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, TypeVar

import pytest
from azure.cosmos import ContainerProxy, CosmosClient, PartitionKey
from azure.eventhub import EventData, EventHubConsumerClient, EventHubProducerClient
from azure.eventhub.aio import EventHubConsumerClient as AsyncConsumerClient

from labkit.events.ownership import AsyncOwnershipStore, NoCheckpointsHere, OwnershipStore
from localazure.handle import LocalAzure

WHERE = ("127.0.0.1", "orders", "$Default")
NAMED = dict(zip(("fully_qualified_namespace", "eventhub_name", "consumer_group"), WHERE, strict=True))


class _Waited:
    """The async store with the sync store's face: every call is waited for."""

    def __init__(self, store: AsyncOwnershipStore, loop: asyncio.AbstractEventLoop) -> None:
        self._store = store
        self._loop = loop

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)
        return lambda *arguments, **named: self._loop.run_until_complete(method(*arguments, **named))


@pytest.fixture
def database(azure: LocalAzure, fresh_name: str) -> Iterator[str]:
    client = CosmosClient.from_connection_string(azure.cosmos_connection_string)
    client.create_database(fresh_name).create_container("ownership", PartitionKey("/scope"))
    yield fresh_name
    client.delete_database(fresh_name)


def ownership(azure: LocalAzure, database: str) -> ContainerProxy:
    client = CosmosClient.from_connection_string(azure.cosmos_connection_string)
    return client.get_database_client(database).get_container_client("ownership")


@pytest.fixture(params=["sync", "async"])
def store(request: pytest.FixtureRequest, azure: LocalAzure, database: str) -> Iterator[Any]:
    if request.param == "sync":
        yield OwnershipStore(ownership(azure, database))
        return
    loop = asyncio.new_event_loop()
    yield _Waited(AsyncOwnershipStore(ownership(azure, database)), loop)
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()


def _wish(partition: str, owner: str) -> dict[str, Any]:
    return {**NAMED, "partition_id": partition, "owner_id": owner}


def test_nothing_is_owned_at_first(store) -> None:
    assert list(store.list_ownership(*WHERE)) == []


def test_of_two_first_claims_one_wins(store) -> None:
    (won,) = store.claim_ownership([_wish("0", "ann")])
    assert (won["partition_id"], won["owner_id"]) == ("0", "ann")
    assert list(store.list_ownership(**NAMED)) == [won]
    (other,) = store.claim_ownership([_wish("0", "bob"), _wish("1", "bob")])
    assert other["partition_id"] == "1"
    owners = {one["partition_id"]: one["owner_id"] for one in store.list_ownership(*WHERE)}
    assert owners == {"0": "ann", "1": "bob"}


def test_a_claim_with_a_stale_etag_is_lost(store) -> None:
    (listed,) = store.claim_ownership([_wish("0", "ann")])
    (renewed,) = store.claim_ownership([dict(listed)])
    assert renewed["etag"] != listed["etag"]
    assert renewed["last_modified_time"] >= listed["last_modified_time"]
    assert list(store.claim_ownership([{**listed, "owner_id": "bob"}])) == []
    (stolen,) = store.claim_ownership([{**renewed, "owner_id": "bob"}])
    assert stolen["owner_id"] == "bob"


def test_other_groups_and_hubs_are_balanced_apart(store) -> None:
    store.claim_ownership([_wish("0", "ann")])
    assert list(store.list_ownership(WHERE[0], WHERE[1], "monitor")) == []
    assert list(store.list_ownership(WHERE[0], "customers", WHERE[2])) == []
    assert len(list(store.list_ownership(WHERE[0].upper(), "Orders", "$default"))) == 1


def test_checkpoints_are_refused(store) -> None:
    with pytest.raises(NoCheckpointsHere, match="read models"):
        store.update_checkpoint({})
    assert list(store.list_checkpoints(*WHERE)) == []


Client = TypeVar("Client", EventHubConsumerClient, AsyncConsumerClient)


def consumer(kind: type[Client], azure: LocalAzure, store: Any, hub: str) -> Client:
    return kind.from_connection_string(
        azure.event_hubs_connection_string_for("listen"),
        consumer_group="$Default",
        eventhub_name=hub,
        checkpoint_store=store,
        load_balancing_interval=0.2,
        partition_ownership_expiration_interval=5,
    )


@pytest.fixture
def hub_of(azure: LocalAzure, fresh_name: str) -> Iterator[Callable[[int], str]]:
    """Makes a hub with so many partitions."""
    name = f"{fresh_name}-hub"

    def make(partitions: int) -> str:
        azure.create_event_hub(name, partitions)
        return name

    yield make
    azure.delete_event_hub(name)


EVERYTHING = {"0", "1", "2", "3"}


@contextlib.contextmanager
def reader(azure: LocalAzure, store: OwnershipStore, hub: str) -> Iterator[set[str]]:
    """A consumer that balances through the store; the set holds the partitions it reads now."""
    owned: set[str] = set()
    client = consumer(EventHubConsumerClient, azure, store, hub)

    def reading() -> None:
        client.receive_batch(
            lambda *_: None,
            on_error=lambda *_: None,
            on_partition_initialize=lambda context: owned.add(context.partition_id),
            on_partition_close=lambda context, _: owned.discard(context.partition_id),
            starting_position="-1",
            max_wait_time=0.05,
        )

    thread = threading.Thread(target=reading)
    thread.start()
    try:
        yield owned
    finally:
        client.close()
        thread.join(20)


def until(condition: Callable[[], bool]) -> None:
    """The SDK balances on its own time and tells nobody."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        threading.Event().wait(0.05)


def test_two_readers_share_four_partitions_and_one_takes_over_what_the_other_leaves(
    azure: LocalAzure, database: str, hub_of: Callable[[int], str]
) -> None:
    hub = hub_of(4)
    store = OwnershipStore(ownership(azure, database))
    with reader(azure, store, hub) as first:
        until(lambda: first == EVERYTHING)
        with reader(azure, store, hub) as second:
            until(lambda: len(first) == len(second) == 2 and first | second == EVERYTHING)
        until(lambda: first == EVERYTHING)


@contextlib.asynccontextmanager
async def async_reader(azure: LocalAzure, database: str, hub: str) -> AsyncIterator[set[str]]:
    """A consumer that balances through the store; the set holds the partitions it reads now."""
    owned: set[str] = set()
    client = consumer(AsyncConsumerClient, azure, AsyncOwnershipStore(ownership(azure, database)), hub)

    async def gained(context: Any) -> None:
        owned.add(context.partition_id)

    async def lost(context: Any, _: Any) -> None:
        owned.discard(context.partition_id)

    async def ignore(*_: Any) -> None:
        return None

    task = asyncio.create_task(
        client.receive_batch(
            ignore,
            on_error=ignore,
            on_partition_initialize=gained,
            on_partition_close=lost,
            starting_position="-1",
            max_wait_time=0.05,
        )
    )
    try:
        yield owned
    finally:
        await client.close()
        await asyncio.wait([task], timeout=20)


async def until_so(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 (the SDK balances on its own time and tells nobody)
            await asyncio.sleep(0.05)


async def test_two_async_readers_share_four_partitions_and_one_takes_over_what_the_other_leaves(
    azure: LocalAzure, database: str, hub_of: Callable[[int], str]
) -> None:
    hub = hub_of(4)
    async with async_reader(azure, database, hub) as first:
        await until_so(lambda: first == EVERYTHING)
        async with async_reader(azure, database, hub) as second:
            await until_so(lambda: len(first) == len(second) == 2 and first | second == EVERYTHING)
        await until_so(lambda: first == EVERYTHING)


def test_a_reader_receives_what_it_owns(azure: LocalAzure, database: str, hub_of: Callable[[int], str]) -> None:
    hub = hub_of(1)
    with EventHubProducerClient.from_connection_string(
        azure.event_hubs_connection_string_for("send"), eventhub_name=hub
    ) as producer:
        producer.send_batch([EventData("owned")])
    store = OwnershipStore(ownership(azure, database))
    client = consumer(EventHubConsumerClient, azure, store, hub)
    bodies: list[str] = []

    def on_event(_: Any, event: EventData) -> None:
        bodies.append(event.body_as_str())
        client.close()

    client.receive(on_event, starting_position="-1")
    assert bodies == ["owned"]
    (owned,) = store.list_ownership(f"127.0.0.1:{azure.eventhubs_port}", hub, "$Default")
    assert owned["partition_id"] == "0"
