"""Where the figures of a sample are read: Event Hubs, Cosmos DB and the tables, with the monitor's read-only rights.

Owns: how the oldest unapplied event is found without disturbing the projector, and how the outbox is counted without
moving the relay. Refuses to know what the figures mean (`measures`).

The hub is asked for the ends of its partitions, all at once, for the SDK opens a connection for each answer and takes
half a second. It is read through a consumer group of the monitor's own: in a hub partition in which more than its last
event is unapplied, a receiver reads on from there, and what it has read tells the age as long as it is asked for. Where
many were applied since, it is closed, and another one is opened behind them: so of each hub partition some dozens of
events are read for a sample at most, and busy hubs are not read a second time. Between two samples a receiver is held,
where they follow each other soon, or else closed, for the SDK looks 20 times a second whether it may read on.

The outbox is what the change feed holds behind the relays' saved continuations. Nothing is written.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import chain
from typing import Any

from azure.cosmos import ContainerProxy
from azure.eventhub import EventData
from azure.eventhub.aio import EventHubConsumerClient, PartitionContext

from labkit.documents import queried
from labkit.events.leases import pages, read_leases
from labkit.events.relay import may_pass
from labkit.lag_monitoring.measures import OutboxLag, PartitionLag
from labkit.projections.folds import NOTHING
from labkit.projections.read_store import ReadStore
from labkit.projections.tables import ORDERS

log = logging.getLogger(__name__)

PEEK_SECONDS = 2.0
"""How long a sample waits for the hub to hand out the first unapplied event before it says that the age is unknown."""
LOOK_SECONDS = 0.02
"""After so long without events the SDK calls all the same, and so can be held."""
RECEIVE_SECONDS = 0.5
"""How long the SDK waits for the next frame on a connection before it looks up, or notices that it is to end."""
FAR_EVENTS = 20
"""To let more pass takes about as much processor time as to open another receiver, and the hub's egress beside."""
HOLD_SECONDS = 5.0
"""To hold receivers for longer until the next sample costs more processor time than to open others then."""
COUNT_AT_MOST = 10_000
"""A longer outbox is reported as at least this long."""
PAGE_DOCUMENTS = 1_000


class HubWatch:
    """Ends and oldest unapplied events of one hub, through one asyncio consumer client of the monitor's group."""

    def __init__(
        self, consumer: EventHubConsumerClient, positions: Callable[[str, list[str]], Mapping[str, int]]
    ) -> None:
        self._consumer = consumer
        self._positions = positions
        self._peeks: dict[str, Peek] = {}
        self.newest_event_at: datetime | None = None

    async def partitions(self) -> tuple[PartitionLag, ...]:
        """All hub partitions, the ends first and what is applied afterwards."""
        if not self._peeks:
            self._peeks = {part: Peek(self._consumer, part) for part in await self._consumer.get_partition_ids()}
        ends = await asyncio.gather(*(self._consumer.get_partition_properties(part) for part in self._peeks))
        self.newest_event_at = max((end["last_enqueued_time_utc"] for end in ends if not end["is_empty"]), default=None)
        applied = await asyncio.to_thread(self._positions, self._consumer.eventhub_name, list(self._peeks))
        return tuple(await asyncio.gather(*(self._partition(end, applied[end["id"]]) for end in ends)))

    async def close(self) -> None:
        """End the receivers. Raises: as `Peek.close`."""
        await asyncio.gather(*(peek.close() for peek in self._peeks.values()))

    async def _partition(self, end: Mapping[str, Any], applied: int) -> PartitionLag:
        first, last = int(end["beginning_sequence_number"]), int(end["last_enqueued_sequence_number"])
        peek, before = self._peeks[end["id"]], max(applied, first - 1)  # what the hub has dropped has no age any more
        if last > before + 1:
            return PartitionLag(end["id"], first, last, applied, await peek.after(before))
        await peek.let_pass(before)
        # of the last event alone the hub has told the time
        return PartitionLag(end["id"], first, last, applied, end["last_enqueued_time_utc"] if last > before else None)


class Peek:
    """One hub partition's receiver, opened when more than its last event is unapplied, and the events in its hands.

    It holds the SDK's callback until more is to be read: until then the SDK neither looks nor calls.
    """

    def __init__(self, consumer: EventHubConsumerClient, partition_id: str) -> None:
        self._consumer = consumer
        self._partition_id = partition_id
        self._receiving: asyncio.Task[None] | None = None
        self._changed = asyncio.Condition()
        self._held: Sequence[tuple[int, datetime | None]] = ()
        self._let_go = self._read = self._applied = NOTHING
        """The last event that is not in its hands any more, the last one received, and the last one applied."""
        self._asked = False

    async def let_pass(self, applied: int) -> None:
        """What is applied need not be held."""
        if not self._let_go <= applied <= self._read + FAR_EVENTS:  # or the read models went back, to an older folder
            await self.close()
        async with self._changed:
            self._applied = applied
            self._changed.notify_all()

    async def after(self, applied: int) -> datetime | None:
        """When the hub took the first event after `applied`; None if the hub does not hand it out in time."""
        await self.let_pass(applied)
        if self._receiving is not None and self._receiving.done():
            await self.close()  # it ended by itself: another one is opened
        if self._receiving is None and not self._let_go <= applied < self._read:
            self._held, self._let_go, self._read = (), applied, applied
            self._receiving = asyncio.create_task(self._receive(applied))
        async with self._changed:
            self._asked = True
            self._changed.notify_all()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PEEK_SECONDS):
                    await self._changed.wait_for(lambda: self._read > applied)
            self._asked = False
            return next((enqueued_at for number, enqueued_at in self._held if number > applied), None)

    async def close(self) -> None:
        """End the receiver; what it has read is kept. What had ended it is told, for another one will be opened.
        Raises: what no other try can change."""
        if self._receiving is None:
            return
        self._receiving.cancel()
        (end,) = await asyncio.gather(self._receiving, return_exceptions=True)
        self._receiving = None
        if isinstance(end, Exception):
            if not may_pass(end):
                raise end
            log.warning("the receiver of %s had ended: %r", self._partition_id, end)

    async def _receive(self, applied: int) -> None:
        await self._consumer.receive_batch(
            on_event_batch=self._on_events,
            on_error=_on_error,
            partition_id=self._partition_id,
            max_wait_time=LOOK_SECONDS,
            max_batch_size=FAR_EVENTS,  # the SDK reads on while it is held, until it has so many
            prefetch=FAR_EVENTS,
            starting_position="-1" if applied < 0 else applied,
        )

    async def _on_events(self, context: PartitionContext, events: Sequence[EventData]) -> None:
        """What has come, perhaps nothing: held until it is applied and there is more to read, or somebody asks."""
        found = [(event.sequence_number or 0, event.enqueued_time) for event in events]
        async with self._changed:
            self._held, self._read = found, found[-1][0] if found else self._read
            self._changed.notify_all()
            await self._changed.wait_for(
                lambda: self._applied > self._read or (self._asked and self._applied == self._read)
            )
            self._held, self._let_go = (), self._read


async def _on_error(context: PartitionContext | None, error: Exception) -> None:
    log.warning("monitor receiving from %s: %r", context.partition_id if context else "the hub", error)


def newest_update(store: ReadStore) -> datetime | None:
    """When the newest commit to `orders` was made: `updated_at` as MERGE statements usually write it."""
    newest = store.current().table(ORDERS).history(1)  # more than one when a commit comes in between
    times = [commit["timestamp"] for commit in newest if "timestamp" in commit]
    return datetime.fromtimestamp(max(times) / 1000, UTC) if times else None


def outbox_lag(write_model: ContainerProxy, relay_state: ContainerProxy) -> tuple[OutboxLag, datetime | None]:
    """Events behind the relays' continuations, and the relays' last sign of life.

    Its times are in whole seconds, because `_ts` is. The few documents of `relay_state` come in one answer.
    """
    known = {document["id"]: document for document in queried(relay_state, "SELECT * FROM c")}
    beat = datetime.fromisoformat(known["heartbeat"]["at"]) if "heartbeat" in known else None
    events, oldest = 0, None
    for lease in read_leases(relay_state, write_model, known=known):
        for document in chain.from_iterable(page for page, _ in pages(write_model, lease, PAGE_DOCUMENTS)):
            if document.get("kind") == "event":
                events += 1
                oldest = min(oldest or document["_ts"], document["_ts"])
            if events == COUNT_AT_MOST:
                return OutboxLag(events, datetime.fromtimestamp(oldest or 0, UTC), is_at_least=True), beat
    return OutboxLag(events, None if oldest is None else datetime.fromtimestamp(oldest, UTC)), beat


def parked(parked_events: ContainerProxy, hub: str) -> tuple[int, datetime | None]:
    """How many events of this hub are parked, and since when the oldest."""
    found = queried(parked_events, "SELECT VALUE c.parkedAt FROM c WHERE c.hub = @hub", hub=hub)
    moments = [datetime.fromisoformat(str(moment)) for moment in found]
    return len(moments), min(moments, default=None)
