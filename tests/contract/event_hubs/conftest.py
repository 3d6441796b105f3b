"""What the Event Hubs contract tests share: hubs, producers and a reader, all through the official SDK, unmodified."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from azure.eventhub import EventData, EventHubConsumerClient, EventHubProducerClient

from localazure.handle import LocalAzure

PATIENCE_SECONDS = 60.0
QUICK = {"socket_timeout": 0.02}
"""The SDK's socket reads block this long at most: 0.2 s, its default, makes sync receiving slow."""

MakeProducer = Callable[..., EventHubProducerClient]
Read = Callable[..., list[EventData]]


@pytest.fixture
def hub(azure: LocalAzure, fresh_name: str) -> Iterator[str]:
    """A hub of this test alone, with two partitions and the consumer group `monitor`."""
    azure.create_event_hub(fresh_name, 2, consumer_groups=["monitor"])
    yield fresh_name
    azure.delete_event_hub(fresh_name)


@pytest.fixture
def producer_of(azure: LocalAzure) -> Iterator[MakeProducer]:
    """Producer clients, closed at the end of the test."""
    made: list[EventHubProducerClient] = []

    def make(hub: str, policy: str = "send", **options: Any) -> EventHubProducerClient:
        connection_string = azure.event_hubs_connection_string_for(policy)
        client = EventHubProducerClient.from_connection_string(connection_string, eventhub_name=hub, **QUICK, **options)
        made.append(client)
        return client

    yield make
    for client in made:
        client.close()


@pytest.fixture
def producer(hub: str, producer_of: MakeProducer) -> EventHubProducerClient:
    return producer_of(hub)


class Reading:
    """A consumer in a thread: collects events and errors until told to stop."""

    def __init__(self, connection_string: str, hub: str, group: str, **options: Any) -> None:
        self.client = EventHubConsumerClient.from_connection_string(
            connection_string, consumer_group=group, eventhub_name=hub, **QUICK, **options
        )
        self.events: list[EventData] = []
        self.errors: list[Exception] = []
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def start(self, **where: Any) -> Reading:
        where.setdefault("starting_position", "-1")
        self._thread = threading.Thread(
            target=self.client.receive_batch,
            args=(self._on_events,),
            kwargs={"on_error": self._on_error, "max_wait_time": 0.05, **where},
            daemon=True,
        )
        self._thread.start()
        return self

    def until(self, done: Callable[[Reading], bool]) -> Reading:
        """Wait for the condition. Raises: `AssertionError` after `PATIENCE_SECONDS`."""
        with self._changed:
            assert self._changed.wait_for(lambda: done(self), PATIENCE_SECONDS), (len(self.events), self.errors)
        return self

    def stop(self) -> None:
        self.client.close()
        if self._thread is not None:
            self._thread.join(PATIENCE_SECONDS)

    def _on_events(self, _: Any, events: list[EventData]) -> None:
        with self._changed:
            self.events.extend(events)
            self._changed.notify_all()

    def _on_error(self, _: Any, error: Exception) -> None:
        with self._changed:
            self.errors.append(error)
            self._changed.notify_all()


MakeReading = Callable[..., Reading]


@pytest.fixture
def reading(azure: LocalAzure) -> Iterator[MakeReading]:
    """Starts a consumer; all are stopped at the end of the test."""
    started: list[Reading] = []

    def start(hub: str, *, group: str = "$Default", policy: str = "listen", **where: Any) -> Reading:
        options = {name: where.pop(name) for name in ("retry_total", "prefetch") if name in where}
        consumer = Reading(azure.event_hubs_connection_string_for(policy), hub, group, **options)
        started.append(consumer)
        return consumer.start(**where)

    yield start
    for consumer in started:
        consumer.stop()


@pytest.fixture
def read(reading: MakeReading) -> Read:
    """The first `count` events from somewhere, as a list."""

    def collect(hub: str, count: int, **where: Any) -> list[EventData]:
        consumer = reading(hub, **where).until(lambda it: len(it.events) >= count or bool(it.errors))
        consumer.stop()
        if consumer.errors:
            raise consumer.errors[0]
        return consumer.events[:count]

    return collect


@pytest.fixture(scope="module")
def shelf(azure: LocalAzure) -> Iterator[str]:
    """A hub that a module's tests only read: ten events in partition 0, two batches of five some milliseconds apart."""
    name = f"shelf-{uuid.uuid4().hex[:8]}"
    azure.create_event_hub(name, 2, consumer_groups=["monitor", "exclusive", "crowd"])
    with EventHubProducerClient.from_connection_string(
        azure.event_hubs_connection_string_for("send"), eventhub_name=name, **QUICK
    ) as producer:
        producer.send_batch([EventData(f"{number}") for number in range(5)], partition_id="0")
        time.sleep(0.01)
        producer.send_batch([EventData(f"{number}") for number in range(5, 10)], partition_id="0")
    yield name
    azure.delete_event_hub(name)
