"""A link that delivers events: one consumer's place in one partition.

Owns: the next event to deliver, the chunk being delivered, last-enqueued tracking, the faults that strike deliveries.
Refuses to know: the connection's other links; `pump` sends what credit and budget allow and says what is next.

How: chunks are read from the log as they are needed and let go when delivered, so an idle receiver holds no events.
Reading does not consume: outcomes of deliveries change nothing.

Source: learn.microsoft.com/azure/event-hubs/event-hubs-amqp-protocol-guide (receiver links);
azure-eventhub 5.15.1, `_utils.get_last_enqueued_event_properties` (delivery annotations).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from enum import Enum

from localazure.amqp import encode
from localazure.amqp.link import Link
from localazure.amqp.skip import skip
from localazure.eventhubs.hub import Hub, Partition
from localazure.eventhubs.log import Chunk
from localazure.eventhubs.messages import DELIVERY_ANNOTATIONS, HEADER
from localazure.eventhubs.refusals import OnPurpose, Refused
from localazure.eventhubs.world import World

READ_AHEAD_BYTES = 131_072
RUNTIME_METRIC = "com.microsoft:enable-receiver-runtime-metric"


class Next(Enum):
    """What a receiver waits for after a pump."""

    TURN = "its turn"
    EVENTS = "new events"
    CREDIT = "credit"
    PAUSE = "the end of a pause"


class Receiver:
    """The service's side of a link whose peer receives."""

    def __init__(
        self,
        link: Link,
        hub: Hub,
        partition: Partition,
        group: str,
        next_sequence: int,
        *,
        owner_level: int | None,
        tracks_last_enqueued: bool,
        world: World,
        wake: Callable[[Receiver], None],
        end: Callable[[Refused], None],
    ) -> None:
        self.link = link
        self.hub = hub
        self.partition = partition
        self.group = group
        self.owner_level = owner_level
        self.tracks_last_enqueued = tracks_last_enqueued
        self.end = end
        self._next_sequence = next_sequence
        self._world = world
        self._wake = wake
        self._chunks: deque[Chunk] = deque()
        self._events: Iterator[bytes] = iter(())
        self._again: bytes | None = None

    def wake(self) -> None:
        """There are new events."""
        self._wake(self)

    def pump(self, budget_bytes: int) -> Next:
        """Send until credit, window, events or budget end."""
        facts = {"hub": self.hub.name, "partition": self.partition.number, "group": self.group}
        faults, counters, link = self._world.faults, self._world.counters, self.link
        limit = self._world.throttle(self.hub)
        if limit is not None:
            budget_bytes = min(budget_bytes, int(limit[1].egress_bytes(self._world.now())))
        if budget_bytes <= 0 or faults.peek("event_hubs", "pause_partition", **facts):
            return Next.PAUSE
        while link.can_send:
            if budget_bytes <= 0:
                return Next.TURN
            event = self._next_event()
            if event is None:
                return self._wait_at_end()
            struck = faults.take("event_hubs", "detach_receiver", **facts)
            if struck is not None:
                self.end(OnPurpose(str(struck.values["condition"])))
                return Next.CREDIT
            link.send(event)
            counters.events_out += 1
            budget_bytes -= len(event)
            if limit is not None:
                limit[1].give_out(len(event))
            if faults.take("event_hubs", "deliver_twice", **facts):
                self._again = event
        return Next.CREDIT

    def _wait_at_end(self) -> Next:
        if self.link.is_draining:
            self.link.drained()
        self.partition.waiting.add(self)
        return Next.EVENTS

    def _next_event(self) -> bytes | None:
        event, self._again = self._again, None
        if event is not None:
            return event
        event = next(self._events, None)
        if event is None:
            if not self._load():
                return None
            event = next(self._events)
        self._next_sequence += 1
        return self._tracked(event) if self.tracks_last_enqueued else event

    def _load(self) -> bool:
        """Take up the next chunk; False at the end of the log."""
        if not self._chunks:
            if self._next_sequence >= self.partition.tail.next_sequence:
                return False
            self._chunks.extend(self._world.log.read(self.partition.id, self._next_sequence, READ_AHEAD_BYTES))
            if not self._chunks:
                return False
        chunk = self._chunks.popleft()
        skipped = max(0, self._next_sequence - chunk.first_sequence)
        self._next_sequence = max(self._next_sequence, chunk.first_sequence)
        if skipped >= len(chunk.sizes):
            self._next_sequence = self.partition.tail.next_sequence
            return False
        self._events = _cut(chunk, skipped)
        return True

    def _tracked(self, event: bytes) -> bytes:
        """The event with the delivery annotations that tell where the log ends."""
        tail = self.partition.tail
        annotations = encode.map_of(
            (
                (encode.symbol("last_enqueued_sequence_number"), encode.long(tail.next_sequence - 1)),
                (encode.symbol("last_enqueued_offset"), encode.string(str(tail.last_offset))),
                (encode.symbol("last_enqueued_time_utc"), encode.timestamp(tail.last_enqueued_ms)),
                (encode.symbol("runtime_info_retrieval_time_utc"), encode.timestamp(int(self._world.now() * 1000))),
            )
        )
        header_end = skip(event, 0) if event[2] == HEADER else 0
        return event[:header_end] + encode.described(DELIVERY_ANNOTATIONS, annotations) + event[header_end:]


def _cut(chunk: Chunk, skipped: int) -> Iterator[bytes]:
    position = sum(chunk.sizes[:skipped])
    events = chunk.events
    for size in chunk.sizes[skipped:]:
        yield events[position : position + size]
        position += size
