"""The inbox: what Event Hubs delivers, each event once, handed out in batches by count and time.

Owns the SDK's side of the projector: how an event of the SDK becomes an `Arrival`, the receiving from all hub
partitions, and the queue between receiving and committing. Refuses to know what is done with a batch.

The queue holds two batches at most, so a slow commit holds the receivers back instead of filling the memory, and while
one batch is being committed the next one comes in. After a lost connection the SDK starts again at the positions it was
given at first; what has been received since is left out here. The SDK waits for what is done here with each event, so
it is little: the message below the event is asked once, and the enqueued time stays the number that came.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from azure.eventhub import EventData
from azure.eventhub.aio import EventHubConsumerClient, PartitionContext
from azure.eventhub.amqp import AmqpMessageBodyType

from labkit.projections.folds import Arrival

logger = logging.getLogger(__name__)

PREFETCH = 300
"""Events that the SDK asks each hub partition for in advance."""
QUEUED_BATCHES = 2
SEQUENCE_NUMBER, ENQUEUED_TIME = b"x-opt-sequence-number", b"x-opt-enqueued-time"


@dataclass(frozen=True, slots=True)
class Chunk:
    """What one callback of the SDK brought, and when."""

    arrivals: Sequence[Arrival] = ()
    received_at: float = field(default_factory=time.time)


def arrival_of(hub_partition: str, event: EventData) -> Arrival:
    """The SDK's event as the folds take it. Property names and values come as bytes from the wire. Of a body that is no
    bytes (an AMQP value or sequence), the text: nothing can be read from it."""
    message = event.raw_amqp_message
    properties, notes = message.application_properties or {}, message.annotations or {}
    named = properties.get(b"aggregateId") or properties.get("aggregateId", "")
    text = named.decode("utf-8", "replace") if isinstance(named, bytes) else str(named)
    is_data = message.body_type is AmqpMessageBodyType.DATA
    body = b"".join(message.body) if is_data else repr(message.body).encode()
    return Arrival(hub_partition, notes.get(SEQUENCE_NUMBER) or 0, body, text, notes.get(ENQUEUED_TIME))


class Inbox:
    """Between one consumer and one loop that commits. `commit_events` and `commit_interval_seconds` end a batch."""

    def __init__(self, commit_events: int, commit_interval_seconds: float, received: int = 0) -> None:
        self.received = received
        """By the inbox before, and taken in here, so committed before a stop ends: what waits for room is not yet."""
        self._commit_events = commit_events
        self._commit_interval_seconds = commit_interval_seconds
        self._chunks: asyncio.Queue[Chunk] = asyncio.Queue()
        self._held = 0
        self._room = asyncio.Event()
        self._ends: dict[str, int] = {}

    async def receive(self, consumer: EventHubConsumerClient, begin: Mapping[str, int]) -> None:
        """Take in what lies behind `begin` (hub partition -> sequence number, -1: all of it), until cancelled."""
        self._ends = dict(begin)
        await consumer.receive_batch(
            on_event_batch=self._on_event_batch,
            on_error=self._on_error,
            starting_position={part: "-1" if number < 0 else number for part, number in begin.items()},
            max_batch_size=min(self._commit_events, PREFETCH),
            prefetch=PREFETCH,
        )

    async def gather(self, idle_seconds: float) -> list[Chunk]:
        """The next batch; nothing if nothing has come for `idle_seconds`. Say `done` when it is committed."""
        chunks: list[Chunk] = []
        size, until = 0, time.monotonic() + idle_seconds
        while size < self._commit_events:
            try:
                chunk = await self._next(until)
            except TimeoutError:
                break
            chunks.append(chunk)
            size += len(chunk.arrivals)
            if not chunk.arrivals:
                break
            if len(chunks) == 1:
                until = time.monotonic() + self._commit_interval_seconds
        return chunks

    async def _next(self, until: float) -> Chunk:
        if not self._chunks.empty():
            return self._chunks.get_nowait()
        return await asyncio.wait_for(self._chunks.get(), max(until - time.monotonic(), 0))

    def done(self, chunks: Iterable[Chunk]) -> None:
        """These chunks are committed."""
        for chunk in chunks:
            self._held -= len(chunk.arrivals)
            self._chunks.task_done()
        self._room.set()

    async def drain(self) -> None:
        """Return when all that has arrived is committed; an empty chunk ends the batch that is being gathered."""
        await self._chunks.put(Chunk())
        await self._chunks.join()

    async def _on_event_batch(self, context: PartitionContext, events: list[EventData]) -> None:
        part: str = context.partition_id
        new: list[Arrival] = []
        for event in events:
            arrival = arrival_of(part, event)
            if arrival.sequence_number > self._ends[part]:
                self._ends[part] = arrival.sequence_number
                new.append(arrival)
        if not new:
            return
        while self._held >= QUEUED_BATCHES * self._commit_events:
            self._room.clear()
            await self._room.wait()
        self._held += len(new)
        self._chunks.put_nowait(Chunk(new))
        self.received += len(new)

    async def _on_error(self, context: PartitionContext | None, error: Exception) -> None:
        """After the SDK's own retries; it goes on by itself."""
        logger.warning("receiving from %s: %r", context.partition_id if context else "the hub", error)
