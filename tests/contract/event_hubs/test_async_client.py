"""The asyncio half of azure-eventhub, unmodified: it shares no code with the sync half above the codec."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from azure.eventhub import EventData
from azure.eventhub.aio import EventHubConsumerClient, EventHubProducerClient
from azure.eventhub.exceptions import AuthenticationError, ConnectionLostError, EventDataSendError

from localazure.handle import LocalAzure

PATIENCE_SECONDS = 60.0


async def _receive(client: EventHubConsumerClient, count: int, **where: Any) -> list[EventData]:
    """The first `count` events."""
    events: list[EventData] = []
    problem: list[Exception] = []
    done = asyncio.Event()

    async def on_events(_: Any, batch: list[EventData]) -> None:
        events.extend(batch)
        if len(events) >= count:
            done.set()

    async def on_error(_: Any, error: Exception) -> None:
        problem.append(error)
        done.set()

    where.setdefault("starting_position", "-1")
    task = asyncio.create_task(client.receive_batch(on_events, on_error=on_error, max_wait_time=0.05, **where))
    try:
        await asyncio.wait_for(done.wait(), PATIENCE_SECONDS)
    finally:
        task.cancel()
        await asyncio.wait([task], timeout=PATIENCE_SECONDS)
        await client.close()
    if problem:
        raise problem[0]
    return events


def _consumer(azure: LocalAzure, hub: str, **options: Any) -> EventHubConsumerClient:
    return EventHubConsumerClient.from_connection_string(
        azure.event_hubs_connection_string_for("listen"), consumer_group="$Default", eventhub_name=hub, **options
    )


async def test_what_is_sent_by_key_partition_and_turn_is_received(azure: LocalAzure, hub: str) -> None:
    async with EventHubProducerClient.from_connection_string(
        azure.event_hubs_connection_string_for("send"), eventhub_name=hub
    ) as producer:
        assert (await producer.get_eventhub_properties())["partition_ids"] == ["0", "1"]
        batch = await producer.create_batch(partition_id="1")
        for number in range(40):
            batch.add(EventData("x" * 20_000 + str(number)))
        await producer.send_batch(batch)
        await producer.send_event(EventData("by key"), partition_key="order-1")
        await producer.send_batch([EventData("any"), EventData("any")])
        ends = [(await producer.get_partition_properties(one))["last_enqueued_sequence_number"] for one in ("0", "1")]
    assert sum(ends) + 2 == 43
    events = await _receive(_consumer(azure, hub), 43)
    assert len(events) == 43
    assert {event.body_as_str() for event in events if event.partition_key} == {"by key"}


async def test_buffered_mode_sends_everything_and_reports_each_event_once(azure: LocalAzure, hub: str) -> None:
    reports: list[tuple[int, str | None]] = []
    failures: list[Exception] = []

    async def on_success(events: list[Any], partition: str | None) -> None:
        reports.append((len(events), partition))

    async def on_error(_: list[Any], __: str | None, error: Exception) -> None:
        failures.append(error)

    producer = EventHubProducerClient.from_connection_string(
        azure.event_hubs_connection_string_for("send"),
        eventhub_name=hub,
        buffered_mode=True,
        on_success=on_success,
        on_error=on_error,
        max_wait_time=0.2,
    )
    async with producer:
        for number in range(100):
            await producer.send_event(EventData(f"{number}"), partition_key=f"key-{number % 7}")
        await producer.flush(timeout=60)
    assert failures == []
    assert sum(count for count, _ in reports) == 100
    assert {partition for _, partition in reports} == {"0", "1"}
    events = await _receive(_consumer(azure, hub), 100)
    assert sorted((event.body_as_str() for event in events), key=int) == [f"{number}" for number in range(100)]


async def test_from_a_sequence_number_and_an_offset(azure: LocalAzure, shelf: str) -> None:
    events = await _receive(_consumer(azure, shelf), 5, partition_id="0", starting_position=4)
    assert [event.sequence_number for event in events] == [5, 6, 7, 8, 9]
    events = await _receive(
        _consumer(azure, shelf),
        4,
        partition_id="0",
        starting_position=events[1].offset,
        starting_position_inclusive=True,
    )
    assert [event.sequence_number for event in events] == [6, 7, 8, 9]


async def test_a_higher_owner_level_takes_over(azure: LocalAzure, hub: str) -> None:
    async with EventHubProducerClient.from_connection_string(
        azure.event_hubs_connection_string_for("send"), eventhub_name=hub
    ) as producer:
        await producer.send_batch([EventData("one")], partition_id="0")
    first = asyncio.create_task(_receive(_consumer(azure, hub), 99, partition_id="0", owner_level=1))
    for _ in range(10):
        second = await _receive(_consumer(azure, hub), 1, partition_id="0", owner_level=2)
        assert second[0].body_as_str() == "one"
        done, _ = await asyncio.wait([first], timeout=1)
        if done:
            break
    with pytest.raises(ConnectionLostError, match="amqp:link:stolen"):
        await first


async def test_refusals_have_the_same_errors_as_in_the_sync_client(own_azure: LocalAzure) -> None:
    own_azure.create_event_hub("orders", 1)
    text = own_azure.event_hubs_connection_string_for("send")
    async with EventHubProducerClient.from_connection_string(text, eventhub_name="orders", retry_total=0) as producer:
        await producer.send_batch([EventData("warm")])
        fault = own_azure.faults.event_hubs.refuse_send(times=2)
        with pytest.raises(EventDataSendError, match=r"com\.microsoft:server-busy"):
            await producer.send_batch([EventData("refused")])
        assert fault.hits == 2
    async with EventHubProducerClient.from_connection_string(text, eventhub_name="nowhere", retry_total=0) as producer:
        with pytest.raises(AuthenticationError, match="Status code: 404"):
            await producer.send_batch([EventData("refused")])


async def test_a_lost_acknowledgement_stores_twice_here_too(own_azure: LocalAzure) -> None:
    own_azure.create_event_hub("orders", 1)
    text = own_azure.event_hubs_connection_string_for("send")
    async with EventHubProducerClient.from_connection_string(
        text, eventhub_name="orders", retry_backoff_factor=0.05
    ) as producer:
        await producer.send_batch([EventData("warm")])
        own_azure.faults.event_hubs.lose_acknowledgement()
        await producer.send_batch([EventData("twice")])
        assert (await producer.get_partition_properties("0"))["last_enqueued_sequence_number"] == 2
