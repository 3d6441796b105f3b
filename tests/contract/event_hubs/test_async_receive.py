"""The asyncio client beyond the basics: every start, tracking, the sixth reader, large batches, a restart."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Self

from azure.eventhub import EventData
from azure.eventhub.aio import EventHubConsumerClient, EventHubProducerClient

import localazure
from localazure.handle import LocalAzure

PATIENCE_SECONDS = 60.0


class Reading:
    """A consumer in a task: events, errors and the last tracked properties, until the block ends."""

    def __init__(self, connection_string: str, hub: str, options: dict[str, Any], **where: Any) -> None:
        self.client = EventHubConsumerClient.from_connection_string(
            connection_string, consumer_group="$Default", eventhub_name=hub, **options
        )
        self.where = {"partition_id": "0", "starting_position": "-1", **where}
        self.events: list[EventData] = []
        self.errors: list[Exception] = []
        self.tracked: dict[str, Any] | None = None
        self._changed = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(
            self.client.receive_batch(self._take, on_error=self._fail, max_wait_time=0.05, **self.where)
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.close()
        self._task.cancel()
        await asyncio.wait([self._task], timeout=PATIENCE_SECONDS)

    async def _take(self, context: Any, batch: list[EventData]) -> None:
        self.events += batch
        if batch:
            self.tracked = context.last_enqueued_event_properties
            self._changed.set()

    async def _fail(self, _: Any, error: Exception) -> None:
        self.errors.append(error)
        self._changed.set()

    async def until(self, count: int) -> list[EventData]:
        """So many events. Raises: what the client was told instead."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(self.events) < count:
                if self.errors:
                    raise self.errors[0]
                await self._changed.wait()
                self._changed.clear()
        return self.events


def reading(azure: LocalAzure, hub: str, *, options: dict[str, Any] | None = None, **where: Any) -> Reading:
    return Reading(azure.event_hubs_connection_string_for("listen"), hub, options or {}, **where)


def producing(azure: LocalAzure, hub: str, **options: Any) -> EventHubProducerClient:
    return EventHubProducerClient.from_connection_string(
        azure.event_hubs_connection_string_for("send"), eventhub_name=hub, **options
    )


async def test_from_a_time_and_from_latest(azure: LocalAzure, hub: str) -> None:
    async with producing(azure, hub) as producer, reading(azure, hub, starting_position="@latest") as late:
        await producer.send_batch([EventData("zero"), EventData("one")], partition_id="0")
        async with reading(azure, hub) as first:
            moment = (await first.until(2))[0].enqueued_time
        async with reading(azure, hub, starting_position=moment, starting_position_inclusive=True) as again:
            assert len(await again.until(2)) == 2
        await asyncio.sleep(0.002)
        await producer.send_event(EventData("more"), partition_id="0")
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not late.events and not late.errors:  # it is about to attach, and nobody tells when it has
                await producer.send_event(EventData("more"), partition_id="0")
        await late.until(1)
        async with reading(azure, hub, starting_position=moment) as after:
            assert (await after.until(1))[0].sequence_number == 2
    numbers = [event.sequence_number for event in late.events]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


async def test_tracking_tells_where_the_log_ends(azure: LocalAzure, shelf: str) -> None:
    async with reading(azure, shelf, track_last_enqueued_event_properties=True) as reader:
        events = await reader.until(10)
        assert reader.tracked is not None
        assert reader.tracked["sequence_number"] == 9
        assert reader.tracked["offset"] == events[9].offset
        assert reader.tracked["enqueued_time"] == events[9].enqueued_time


async def test_the_sixth_reader_without_owner_level_gets_nothing_until_one_of_five_leaves(
    azure: LocalAzure, hub: str
) -> None:
    """The sync client is told so; this one attaches again and again without a word."""
    async with producing(azure, hub) as producer:
        await producer.send_event(EventData("one"), partition_id="0")
        five = [reading(azure, hub) for _ in range(5)]
        for one in five:
            await one.__aenter__()
            await one.until(1)
        async with reading(azure, hub) as sixth:
            for _ in range(20):
                await producer.send_event(EventData("more"), partition_id="0")
            for one in five:
                await one.until(21)
            assert sixth.events == []
            await five[0].__aexit__()
            await sixth.until(21)
        for one in five[1:]:
            await one.__aexit__()


async def test_a_mebibyte_arrives_over_many_frames_in_both_directions(azure: LocalAzure, hub: str) -> None:
    async with producing(azure, hub) as producer:
        batch = await producer.create_batch(partition_id="0")
        count = 0
        while True:
            event = EventData(bytes([count % 251]) * 9_000)
            event.properties = {"number": count}
            event.message_id, event.correlation_id, event.content_type = f"id {count}", "all", "application/x"
            try:
                batch.add(event)
            except ValueError:
                break
            count += 1
        await producer.send_batch(batch)
    async with reading(azure, hub) as reader:
        events = await reader.until(count)
    assert count > 110
    assert [next(iter(event.body)) for event in events] == [bytes([n % 251]) * 9_000 for n in range(count)]
    assert [(event.properties[b"number"], event.message_id) for event in events] == [
        (n, f"id {n}") for n in range(count)
    ]
    assert {(event.correlation_id, event.content_type) for event in events} == {("all", "application/x")}


async def test_a_producer_and_a_consumer_live_through_a_restart(tmp_path: Path) -> None:
    patient = {"retry_backoff_factor": 0.1, "retry_total": 10}
    azure = await asyncio.to_thread(localazure.start, tmp_path)
    try:
        azure.create_event_hub("orders", 1)
        async with (
            producing(azure, "orders", **patient) as producer,
            reading(azure, "orders", options=patient) as reader,
        ):
            await producer.send_batch([EventData("before")], partition_id="0")
            await reader.until(1)
            await asyncio.to_thread(azure.close)
            azure = await asyncio.to_thread(localazure.start, tmp_path, eventhubs_port=azure.eventhubs_port)
            await producer.send_batch([EventData("after")], partition_id="0")
            reader.errors.clear()
            events = await reader.until(2)
        assert [(event.sequence_number, event.body_as_str()) for event in events] == [(0, "before"), (1, "after")]
    finally:
        await asyncio.to_thread(azure.close)
