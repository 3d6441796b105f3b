"""Look at what a hub holds: read each hub partition from a noted position to its end, then stop.

For lessons and tests, which look at a hub that stands still. A projector does not read like this: it follows.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from azure.eventhub import EventData, EventHubConsumerClient, PartitionContext

from labkit.errors import NotYet


@dataclass(frozen=True, slots=True)
class Received:
    """One stored event and where it lies."""

    partition_id: str
    sequence_number: int
    event: EventData


def read_to_end(
    consumer: EventHubConsumerClient, after: Mapping[str, int], *, timeout_seconds: float = 20.0
) -> list[Received]:
    """What lies after these sequence numbers (hub partition id -> number, -1: from the beginning), up to now.

    In order of hub partition, then sequence number. The consumer is closed afterwards.
    Raises: `NotYet` if the end is not reached in time; the consumer's error.
    """
    ends = {partition_id: _end(consumer, partition_id) for partition_id in after}
    missing = {partition_id for partition_id, end in ends.items() if end > after[partition_id]}
    found: list[Received] = []
    errors: list[BaseException] = []
    done = threading.Event()

    def on_batch(context: PartitionContext, events: list[EventData]) -> None:
        for event in events:
            number = int(event.sequence_number or 0)
            if number <= ends[context.partition_id]:
                found.append(Received(context.partition_id, number, event))
            if number >= ends[context.partition_id]:
                missing.discard(context.partition_id)
        if not missing:
            done.set()

    def on_error(context: PartitionContext | None, error: Exception) -> None:
        errors.append(error)
        done.set()

    if missing:
        _receive(consumer, after, on_batch, on_error, done, timeout_seconds)
    consumer.close()
    if errors:
        raise errors[0]
    if missing:
        raise NotYet(f"hub partitions {sorted(missing)} were not read to their end within {timeout_seconds} seconds")
    return sorted(found, key=lambda one: (int(one.partition_id), one.sequence_number))


def _end(consumer: EventHubConsumerClient, partition_id: str) -> int:
    properties: dict[str, Any] = consumer.get_partition_properties(partition_id)
    return -1 if properties["is_empty"] else int(properties["last_enqueued_sequence_number"])


def _receive(
    consumer: EventHubConsumerClient,
    after: Mapping[str, int],
    on_batch: Any,
    on_error: Any,
    done: threading.Event,
    timeout_seconds: float,
) -> None:
    positions: dict[str, str | int] = {p: "-1" if number < 0 else number for p, number in after.items()}

    def receive() -> None:
        consumer.receive_batch(on_batch, on_error=on_error, starting_position=positions, prefetch=1000)

    thread = threading.Thread(target=receive, name="read-to-end", daemon=True)
    thread.start()
    deadline = time.monotonic() + timeout_seconds
    while thread.is_alive() and time.monotonic() < deadline and not done.wait(0.05):
        pass
    consumer.close()
    thread.join(timeout=5)
