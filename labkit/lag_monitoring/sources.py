"""Where the figures of a sample are read: Event Hubs, Cosmos DB and the tables, with the monitor's read-only rights.

Owns: how the oldest unapplied event is found without disturbing the projector, and how the outbox is counted without
moving the relay. Refuses to know what the figures mean (`measures`).

The hub is read through a consumer group of the monitor's own. In each hub partition one receiver stands in front of the
first event that is not applied and holds it; it moves on when a sample finds that event applied. So the hub is read a
second time, with Event Hubs' egress to match, but never ahead of the projector.

The outbox is what the change feed holds behind the relays' saved continuations. Nothing is written.

Known gap: each sample asks for the ends of all hub partitions, for which the SDK opens a connection each.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain
from typing import Any

from azure.cosmos import ContainerProxy
from azure.eventhub import EventData
from azure.eventhub.aio import EventHubConsumerClient, PartitionContext

from labkit.documents import document_named
from labkit.events.leases import pages, read_leases
from labkit.events.ownership import OwnershipStore
from labkit.lag_monitoring.measures import OutboxLag, PartitionLag
from labkit.projections.folds import NOTHING
from labkit.projections.read_store import ORDERS, ReadStore
from labkit.projections.seat import NOBODY, SCOPE

log = logging.getLogger(__name__)

PEEK_SECONDS = 2.0
"""How long a sample waits for the hub to hand out the first unapplied event before it says that the age is unknown."""
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
        self._ids: list[str] = []
        self._held: dict[str, _Held] = {}
        self._receiving: list[asyncio.Task[None]] = []
        self.newest_event_at: datetime | None = None

    async def open(self) -> None:
        """Put a receiver before the first unapplied event of each hub partition."""
        self._ids = list(await self._consumer.get_partition_ids())
        for partition_id, applied in (await self._applied()).items():
            self._held[partition_id] = _Held(applied)
            self._receiving.append(asyncio.create_task(self._receive(partition_id, applied)))

    async def partitions(self) -> tuple[PartitionLag, ...]:
        """All hub partitions, the ends first and what is applied afterwards."""
        ends = await asyncio.gather(*map(self._consumer.get_partition_properties, self._ids))
        self.newest_event_at = max((end["last_enqueued_time_utc"] for end in ends if not end["is_empty"]), default=None)
        applied = await self._applied()
        return tuple(await asyncio.gather(*(self._partition(end, applied[end["id"]]) for end in ends)))

    async def close(self) -> None:
        """End the receivers; what ended one before its time is raised."""
        for task in self._receiving:
            task.cancel()
        for end in await asyncio.gather(*self._receiving, return_exceptions=True):
            if isinstance(end, Exception):
                raise end

    async def _applied(self) -> Mapping[str, int]:
        return await asyncio.to_thread(self._positions, self._consumer.eventhub_name, self._ids)

    async def _partition(self, end: Mapping[str, Any], applied: int) -> PartitionLag:
        first, last = int(end["beginning_sequence_number"]), int(end["last_enqueued_sequence_number"])
        held = self._held[end["id"]]
        await held.let_pass(applied)
        if end["is_empty"] or last <= applied:
            return PartitionLag(end["id"], first, NOTHING if end["is_empty"] else last, applied)
        return PartitionLag(end["id"], first, last, applied, await held.after(applied))

    async def _receive(self, partition_id: str, applied: int) -> None:
        await self._consumer.receive(
            on_event=self._held[partition_id].on_event,
            on_error=_on_error,
            partition_id=partition_id,
            starting_position="-1" if applied < 0 else applied,
        )


@dataclass(slots=True)
class _Held:
    """The receiver of one hub partition: the event in its hands, and what it may let pass."""

    applied: int
    sequence_number: int = NOTHING
    enqueued_at: datetime | None = None
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def on_event(self, context: PartitionContext, event: EventData | None) -> None:
        if event is None or event.sequence_number is None:
            return
        number = event.sequence_number
        async with self.changed:
            if number > self.applied:
                self.sequence_number, self.enqueued_at = number, event.enqueued_time
                self.changed.notify_all()
                await self.changed.wait_for(lambda: self.applied >= number)

    async def let_pass(self, applied: int) -> None:
        async with self.changed:
            self.applied = applied
            self.changed.notify_all()

    async def after(self, applied: int) -> datetime | None:
        """When the hub took the first event after `applied`; None if the hub does not hand it out in time."""
        async with self.changed:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PEEK_SECONDS):
                    await self.changed.wait_for(lambda: self.sequence_number > applied)
            return self.enqueued_at if self.sequence_number > applied else None


async def _on_error(context: PartitionContext | None, error: Exception) -> None:
    log.warning("monitor receiving from %s: %r", context.partition_id if context else "the hub", error)


def applied_positions(
    store: ReadStore, first: Mapping[str, int] | None = None
) -> Callable[[str, list[str]], dict[str, int]]:
    """The last sequence number that every table has applied; where none has, what was there when the lab was opened."""
    beginnings = dict(first or {})

    return lambda hub, partition_ids: store.current().lowest(hub, partition_ids, beginnings)


def newest_update(store: ReadStore) -> datetime | None:
    """When the newest commit to `orders` was made: `updated_at` as MERGE statements usually write it."""
    newest = store.current().table(ORDERS).history(1)  # more than one when a commit comes in between
    times = [commit["timestamp"] for commit in newest if "timestamp" in commit]
    return datetime.fromtimestamp(max(times) / 1000, UTC) if times else None


def outbox_lag(write_model: ContainerProxy, relay_state: ContainerProxy) -> OutboxLag:
    """Events behind the relays' continuations. Ages are in whole seconds, because `_ts` is."""
    events, oldest = 0, None
    for lease in read_leases(relay_state, write_model):
        for document in chain.from_iterable(page for page, _ in pages(write_model, lease, PAGE_DOCUMENTS)):
            if document.get("kind") == "event":
                events += 1
                oldest = min(oldest or document["_ts"], document["_ts"])
            if events == COUNT_AT_MOST:
                return OutboxLag(events, datetime.fromtimestamp(oldest or 0, UTC), is_at_least=True)
    return OutboxLag(events, None if oldest is None else datetime.fromtimestamp(oldest, UTC))


def relay_beat(relay_state: ContainerProxy) -> datetime | None:
    """The relay's last sign of life."""
    beat = document_named(relay_state, "heartbeat")
    return datetime.fromisoformat(beat["at"]) if beat else None


def seat_beat(ownership: ContainerProxy, hub: str, group: str = "$Default") -> Callable[[], float]:
    """When the active projector last renewed its seat, in whole seconds since 1970; 0 if nobody holds it.

    For a monitor in another process than the projector's: one that has no seat leaves no trace there.
    """
    seats = OwnershipStore(ownership)

    def beat() -> float:
        held = [seat for seat in seats.list_ownership(SCOPE, hub, group) if seat["owner_id"] != NOBODY]
        return max((float(seat["last_modified_time"]) for seat in held), default=0.0)

    return beat


def parked(parked_events: ContainerProxy, hub: str) -> tuple[int, datetime | None]:
    """How many events of this hub are parked, and since when the oldest."""
    found = parked_events.query_items(
        "SELECT VALUE c.parkedAt FROM c WHERE c.hub = @hub",
        parameters=[{"name": "@hub", "value": hub}],
        enable_cross_partition_query=True,
    )
    moments = [datetime.fromisoformat(str(moment)) for moment in found]
    return len(moments), min(moments, default=None)
