"""Receivers that outlive a task: one hub partition followed by the official SDK, ahead of who takes from it.

Owns the connection and what came over it. To open one takes the SDK half a second, to close one up to two, and a
trigger may be over in less: so a worker process keeps its receivers, as Spark's own Kafka source keeps its consumers in
the executors. What a task is given never depends on that: it names a range, and gets that range.

A receiver holds a few thousand events at most and then keeps the SDK waiting.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections import deque

from azure.eventhub import EventData
from azure.eventhub.aio import EventHubConsumerClient, PartitionContext

from labkit.projections.folds import Arrival
from labkit.projections.inbox import arrival_of

CONNECTION = "EVENTHUB_LISTEN_CONNECTION"
PREFETCH = 300
HELD_EVENTS = 5_000
PATIENCE_SECONDS = 120.0
"""For the next event of a range, which is there. The SDK swallows some refusals, and then only this speaks."""


class EventsLost(RuntimeError):
    """Retention has dropped events that were not read yet."""


def consumer(hub: str) -> EventHubConsumerClient:
    """The connection string comes from the environment, so that no option, plan or log of Spark shows it."""
    return EventHubConsumerClient.from_connection_string(os.environ[CONNECTION], "$Default", eventhub_name=hub)


class Follower:
    """Follows one hub partition from behind `after` on, on a thread of its own. One task takes from it at a time."""

    def __init__(self, hub: str, hub_partition: str, after: int) -> None:
        self.after = after
        """The last sequence number that was handed out or passed over."""
        self.error: BaseException | None = None
        self._hub_partition = hub_partition
        self._held: deque[Arrival] = deque()
        self._changed = threading.Condition()
        self._room = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name=f"follower-{hub_partition}", daemon=True).start()
        self._receiving = asyncio.run_coroutine_threadsafe(self._receive(hub, after), self._loop)

    def take(self, after: int, last: int) -> list[Arrival]:
        """All events behind `after` up to `last`, which the hub holds. Raises: `EventsLost`, the SDK's error."""
        taken: list[Arrival] = []
        while self.after < last:
            taken += (one for one in self._next(last) if one.sequence_number > after)
        if len(taken) != last - after:
            there = f"{len(taken)} of {last - after} events behind {after} in hub partition {self._hub_partition}"
            raise EventsLost(f"{there} are left: retention has dropped the others, which are in the event store")
        return taken

    def stop(self) -> None:
        """Let the connection go, without waiting for it."""
        self._receiving.cancel()

    def _next(self, last: int) -> list[Arrival]:
        """What is held, up to `last`, as soon as there is something."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._held) or self.error is not None, PATIENCE_SECONDS)
            if not self._held:
                raise self.error or TimeoutError(f"nothing came from hub partition {self._hub_partition}")
            found = []
            while self._held and self._held[0].sequence_number <= last:
                found.append(self._held.popleft())
            self.after = last if self._held else found[-1].sequence_number
        self._loop.call_soon_threadsafe(self._room.set)
        return found

    async def _receive(self, hub: str, after: int) -> None:
        async with consumer(hub) as client:
            await client.receive_batch(
                self._on_events,
                on_error=self._on_error,
                partition_id=self._hub_partition,
                starting_position="-1" if after < 0 else after,
                prefetch=PREFETCH,
                max_batch_size=PREFETCH,
            )

    async def _on_events(self, context: PartitionContext, events: list[EventData]) -> None:
        self._room.clear()
        with self._changed:
            self._held.extend(arrival_of(self._hub_partition, event) for event in events)
            full = len(self._held) > HELD_EVENTS
            self._changed.notify_all()
        if full:
            await self._room.wait()

    async def _on_error(self, context: PartitionContext | None, error: Exception) -> None:
        with self._changed:
            self.error = error
            self._changed.notify_all()


_kept: dict[tuple[str, str], Follower] = {}
"""Of this process: Spark gives a worker no other place that lasts from one task to the next."""


def followed(hub: str, hub_partition: str, after: int) -> Follower:
    """The follower of this process, if it can still hand out what lies behind `after` soon; else a new one there."""
    kept = _kept.get((hub, hub_partition))
    if kept and kept.error is None and kept.after <= after <= kept.after + HELD_EVENTS:
        return kept
    if kept:
        kept.stop()
    made = _kept[hub, hub_partition] = Follower(hub, hub_partition, after)
    return made
