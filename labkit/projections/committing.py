"""Committing: the loop of a running projector, what it does with each batch, and how waiters hear of it.

Owns the lane as the projector knows it, the retries when another writer was faster, the query container's feed, the
upkeep, the counts. Refuses to know where batches come from (`inbox`) and when a session begins and ends (`projector`).
"""

from __future__ import annotations

import asyncio
import functools
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor

from labkit import tracing
from labkit.events.ids import order_day
from labkit.projections.folds import NOTHING, Arrival, Folded
from labkit.projections.inbox import Chunk, Inbox
from labkit.projections.parking import ParkingLane
from labkit.projections.projection import project
from labkit.projections.query_container import QueryContainer, QueryFeed, missed_orders, opened
from labkit.projections.read_store import ReadStore, until_first
from labkit.projections.replay import settle
from labkit.projections.tables import DiskFull
from labkit.projections.upkeep import Upkeep, keep

IDLE_SECONDS = 0.5
"""The heart beats at least this often, and a waiter looks again at least this often."""


class Committing:
    """One store's batches, one after the other, on one thread. `turned` is notified after each; whoever holds
    `between` sees no batch half done."""

    def __init__(
        self, store: ReadStore, parking: ParkingLane, upkeep: Upkeep | None, query_container: QueryContainer | None
    ) -> None:
        self.store = store
        self.lane: dict[str, int] = {}
        self.feed: QueryFeed | None = None
        self.counts = {"applied": 0, "dropped": 0, "parked": 0, "commits": 0}
        self.applied_after_seconds: deque[float] = deque(maxlen=10_000)
        self.turned = threading.Condition()
        self.between = threading.Lock()
        self._parking = parking
        self._upkeep = upkeep
        self._query_container = query_container
        self._hub = ""

    def begin(self, hub: str, partitions: Sequence[str], first: Mapping[str, int]) -> dict[str, int]:
        """A session begins, on the tables in use. Where it reads on in each hub partition: behind what every table
        has, and the query container."""
        self._hub, self.store, self.feed = hub, self.store.current(), None
        self.lane = self._parking.firsts(hub)
        begin = self.store.lowest(hub, partitions, first)
        if self._query_container:
            self.feed = opened(self._query_container, self.store, hub, begin)
            fed = self.feed.positions
            begin = {p: max(min(n, fed.get(p, NOTHING)), first.get(p, NOTHING)) for p, n in begin.items()}
        return begin

    def end(self) -> None:
        """The session ends: what waits for the query container is written. Raises: the feed's error."""
        if self.feed:
            self.feed.close()

    async def run(self, inbox: Inbox, thread: Executor, beat: Callable[[], None]) -> None:
        """Commit what arrives, on this one thread, until the pointer names other tables."""
        loop = asyncio.get_running_loop()
        while await loop.run_in_executor(thread, self.store.current) is self.store:  # on a data lake, a request
            beat()
            chunks = await inbox.gather(IDLE_SECONDS)
            if any(chunk.arrivals for chunk in chunks):
                await loop.run_in_executor(thread, self._commit, chunks)
            inbox.done(chunks)

    def _commit(self, chunks: Sequence[Chunk]) -> None:
        """All tables, the lane, what is told of the batch; upkeep if it is due."""
        batch = [arrival for chunk in chunks for arrival in chunk.arrivals]
        with self.between:
            began = time.time()
            folded = self._project(batch)
            ended = time.time()
            self.applied_after_seconds.extend(ended - one.enqueued_ms / 1000 for one in batch if one.enqueued_ms)
            trace(chunks if tracing.is_on() else (), began, ended)
            came = {"applied": folded.applied, "dropped": folded.dropped, "parked": len(folded.parked), "commits": 1}
            self.counts = {name: count + came.get(name, 0) for name, count in self.counts.items()}
        self._offer(batch, folded)
        with self.turned:
            self.turned.notify_all()
        if self._upkeep and self.counts["commits"] % self._upkeep.every_commits == 0:
            keep(self.store, self._upkeep)

    def _offer(self, batch: Sequence[Arrival], folded: Folded) -> None:
        """Have the query container follow: with the rows of this fold, and of the events that the tables had before."""
        if self.feed is None:
            return
        missed = missed_orders(batch, folded.rows) if folded.applied < len(batch) else set()
        rows = [*folded.rows.values(), *self.store.orders(missed, {order_day(order) for order in missed}).values()]
        self.feed.offer(rows, {arrival.hub_partition: arrival.sequence_number for arrival in batch})

    def _project(self, batch: Sequence[Arrival]) -> Folded:
        """Project, and again on what another writer left behind when that one was faster; and once more if the disk is
        full, when upkeep has freed what it can."""
        settle_here = functools.partial(settle, self._parking, self.store, self._hub)
        work = functools.partial(project, batch, self.store, self._parking, self._hub, self.lane, settle_here)
        try:
            return until_first(work)
        except DiskFull:
            if self._upkeep:
                keep(self.store, self._upkeep)
            return until_first(work)


def trace(chunks: Iterable[Chunk], began: float, ended: float) -> None:
    """Where the time of each traced event went, up to the end of its commit."""
    for chunk in chunks:
        for arrival in chunk.arrivals:
            parent = tracing.parent_in(arrival.body)
            taken = arrival.enqueued_ms / 1000 if arrival.enqueued_ms else chunk.received_at
            steps = ("hub", taken, chunk.received_at), ("projector", chunk.received_at, began), ("commit", began, ended)
            for name, since, until in steps:
                tracing.record(name, parent, since, until)
