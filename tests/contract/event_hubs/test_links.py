"""Links of a client that has gone through `promptly`: no pause in opening or closing, all else as ever."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
from azure.eventhub import EventData, EventHubProducerClient
from azure.eventhub.aio import EventHubConsumerClient, PartitionContext
from azure.eventhub.exceptions import ConnectionLostError

from labkit.events.links import FRAMES, Handler, promptly
from labkit.events.reading import closed
from localazure.handle import LocalAzure
from tests.contract.event_hubs.conftest import MakeProducer

PAUSE_SECONDS = 0.05


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the SDK has slept, each time it did."""
    slept: list[float] = []
    sleep, sleep_async = time.sleep, asyncio.sleep

    def noted(seconds: float) -> None:
        slept.append(seconds)
        sleep(seconds)

    async def noted_async(seconds: float, *given: Any) -> None:
        slept.append(seconds)
        await sleep_async(seconds, *given)

    monkeypatch.setattr("time.sleep", noted)
    monkeypatch.setattr("asyncio.sleep", noted_async)
    return slept


def consumer(azure: LocalAzure, hub: str, policy: str = "listen") -> EventHubConsumerClient:
    connection = azure.event_hubs_connection_string_for(policy)
    return EventHubConsumerClient.from_connection_string(connection, "$Default", eventhub_name=hub)


@pytest.mark.parametrize(("through", "some"), [(promptly, False), (lambda client: client, True)])
def test_links_for_sending_and_for_asking_open_without_a_pause(
    producer_of: MakeProducer, hub: str, pauses: list[float], through: Callable[[Any], Any], some: bool
) -> None:
    client = through(producer_of(hub))
    for partition in client.get_partition_ids():
        batch = client.create_batch(partition_id=partition)
        batch.add(EventData(b"tea"))
        client.send_batch(batch)
    assert (PAUSE_SECONDS in pauses) is some


@pytest.mark.parametrize(("through", "keeps_waiting"), [(promptly, False), (lambda client: client, True)])
async def test_a_link_for_receiving_closes_without_waiting_for_the_task_that_keeps_it_alive(
    azure: LocalAzure, hub: str, producer: EventHubProducerClient, through: Callable[[Any], Any], keeps_waiting: bool
) -> None:
    for partition in ("0", "1"):
        batch = producer.create_batch(partition_id=partition)
        batch.add(EventData(b"tea"))
        producer.send_batch(batch)
    called, both = set(), asyncio.Event()

    async def on_events(context: PartitionContext, _: object) -> None:
        called.add(context.partition_id)
        if len(called) == 2:
            both.set()

    client = through(consumer(azure, hub))
    receiving = asyncio.create_task(client.receive_batch(on_events, starting_position="-1"))
    await asyncio.wait_for(both.wait(), 20)
    handlers = [
        one._handler for processor in client._event_processors.values() for one in processor._consumers.values()
    ]
    tasks = [handler._keep_alive_thread for handler in handlers]
    receiving.cancel()
    await closed(client)
    assert [task.cancelled() for task in tasks] == [not keeps_waiting] * 2


def test_a_refusal_is_the_sdks_own(producer_of: MakeProducer, hub: str) -> None:
    with pytest.raises(ConnectionLostError, match="Unauthorized"):
        promptly(producer_of(hub, "listen", retry_total=0)).create_batch(partition_id="0")


async def test_what_is_not_open_after_so_many_looks_is_left_to_the_sdk() -> None:
    class Never:
        looks = 0

        def client_ready(self) -> bool:
            self.looks += 1
            return False

        async def client_ready_async(self) -> bool:
            return self.client_ready()

    class Prompt(Handler, Never):
        pass

    assert not Never.client_ready(link := Prompt())
    assert not Handler.client_ready(link)
    assert not await Handler.client_ready_async(Prompt())
    assert link.looks == 1 + FRAMES
