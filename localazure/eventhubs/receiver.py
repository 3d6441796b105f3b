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
from itertools import islice

from localazure.amqp import encode
from localazure.amqp.link import Link
from localazure.amqp.skip import skip
from localazure.eventhubs.chunks import Chunk
from localazure.eventhubs.hub import Hub, Partition
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
        self._events = b""
        self._position = 0
        self._sizes: Iterator[int] = iter(())
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
        while link.sendable:
            if budget_bytes <= 0:
                return Next.TURN
            events = self._next_events(1 if faults.any_armed else link.sendable, budget_bytes)
            if not events:
                return self._wait_at_end()
            struck = faults.take("event_hubs", "detach_receiver", **facts)
            if struck is not None:
                self.end(OnPurpose(str(struck.values["condition"])))
                return Next.CREDIT
            link.send(*events)
            counters.events_out += len(events)
            size_bytes = sum(map(len, events))
            budget_bytes -= size_bytes
            if limit is not None:
                limit[1].give_out(size_bytes)
            if faults.take("event_hubs", "deliver_twice", **facts):
                self._again = events[-1]
        return Next.CREDIT

    def _wait_at_end(self) -> Next:
        if self.link.is_draining:
            self.link.drained()
        self.partition.waiting.add(self)
        return Next.EVENTS

    def _next_events(self, most: int, most_bytes: int) -> list[bytes]:
        """The events that follow: none at the end of the log, else at least one, of one chunk."""
        if self._again is not None:
            again, self._again = self._again, None
            return [again]
        events = self._take(most, most_bytes)
        if not events and self._load():
            events = self._take(most, most_bytes)
        self._next_sequence += len(events)
        return [self._tracked(event) for event in events] if self.tracks_last_enqueued else events

    def _take(self, most: int, most_bytes: int) -> list[bytes]:
        """Cut the next events off the chunk, the last of them where `most_bytes` are reached."""
        taken, start = [], self._position
        end = start + most_bytes
        for size in islice(self._sizes, most):
            taken.append(self._events[start : start + size])
            start += size
            if start >= end:
                break
        self._position = start
        return taken

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
        self._events, self._position = chunk.events, sum(chunk.sizes[:skipped])
        self._sizes = iter(chunk.sizes[skipped:])
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
