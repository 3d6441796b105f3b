"""The projector: the process that reads Event Hubs and writes the read models.

Owns the worker and its loop: take a batch, project it, say that it is visible. Refuses to know how events are received
(`inbox`), what one batch does (`projection`), how tables are written (`read_store`), how parked events are kept
(`parking`).

The tables are the only authority for positions. Reading starts behind the lowest position of the three tables, and
each table takes only what is new to it; nothing else is remembered, so a projector that died is replaced by starting
another one.

The worker thread has an event loop of its own for the SDK's asyncio client; commits run beside it in one thread, so
that receiving goes on meanwhile.

After a rebuild the pointer names other tables. The loop looks at each turn, and begins anew with those, at their
positions. Events parked and meanwhile replayed elsewhere are noticed when the next one of their aggregate arrives.

Several projectors may run on the same tables. With a `seat`, one is active and the others stand by; it is taken over
when its holder dies, left at once when it stops. Should two be active for a moment, the positions in the commits refuse
the slower one, which loads again and leaves out what is there.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime

from azure.core.exceptions import AzureError
from azure.eventhub.aio import EventHubConsumerClient
from deltalake.exceptions import CommitFailedError

from labkit.errors import LabError, NotYet
from labkit.events.ids import order_day, parse_token
from labkit.projections.folds import NOTHING, Arrival, Folded
from labkit.projections.inbox import Inbox
from labkit.projections.parking import ParkingLane
from labkit.projections.projection import project
from labkit.projections.query_container import QueryContainer, QueryFeed, missed_orders, opened
from labkit.projections.read_store import ReadStore
from labkit.projections.replay import settle
from labkit.projections.seat import Seat
from labkit.projections.upkeep import UPKEEP, Kept, Upkeep, keep

logger = logging.getLogger(__name__)

CONFLICT_RETRIES = 5
RECONNECT_SECONDS = 1.0
IDLE_SECONDS = 0.5
"""The heart beats at least this often, and a waiter looks again at least this often."""


ELSEWHERE_SECONDS = 0.05
"""So often a waiter looks whose own projector stands by."""


class AggregateParked(LabError):
    """The write cannot become visible: an event of its aggregate is parked. The message names it."""


class Projector:
    """One projector, running in a thread between `start` and `stop`; may be started again.

    `open_consumer` makes a new asyncio consumer client (`lab.async_consumer`). `first` says where to begin in a hub
    partition that the tables know nothing of (`lab.start_positions`). A batch is committed when it holds
    `commit_events`, or `commit_interval_seconds` after its first event: the knob between freshness, cost and files.
    Without a `seat` it is active at once; with a `query_container`, that gets the same orders, later than the tables.
    """

    def __init__(
        self,
        open_consumer: Callable[..., EventHubConsumerClient],
        store: ReadStore,
        parking: ParkingLane,
        *,
        first: Mapping[str, int] | None = None,
        commit_events: int = 1000,
        commit_interval_seconds: float = 0.1,
        seat: Seat | None = None,
        upkeep: Upkeep | None = UPKEEP,
        query_container: QueryContainer | None = None,
    ) -> None:
        self.error: BaseException | None = None
        self.heartbeat = 0.0
        """Wall time of the last turn of the loop, in seconds since 1970; 0 before the first."""
        self.applied_after_seconds: deque[float] = deque(maxlen=10_000)
        """Of the last events: committed minus enqueued, wall time."""
        self.active = False
        """Whether it reads the hub; a running one that does not stands by."""
        self.kept: list[Kept] = []
        """What the last upkeep did, by table."""
        self._open_consumer = open_consumer
        self._store = store
        self._parking = parking
        self._first = dict(first or {})
        self._commit_events = commit_events
        self._commit_interval_seconds = commit_interval_seconds
        self._counts = {"applied": 0, "dropped": 0, "parked": 0, "commits": 0}
        self._inbox = Inbox(commit_events, commit_interval_seconds)
        self._seat = seat
        self._upkeep = upkeep
        self._query_container = query_container
        self._feed: QueryFeed | None = None
        self._hub = self._group = ""
        self._lane: dict[str, int] = {}
        self._partitions: list[str] = []
        self._turned = threading.Condition()
        self._projecting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._ending = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None

    @property
    def running(self) -> bool:
        """Whether the worker is alive."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def counters(self) -> Mapping[str, int]:
        """Since the last start: events received, and of these applied, dropped and parked; commits; receive errors."""
        return self._counts | {"received": self._inbox.received, "receive_errors": self._inbox.errors}

    @property
    def query_lag(self) -> tuple[Mapping[str, int], int]:
        """Of the query container: hub partition -> the last sequence number that is in it; and the rows that wait."""
        return (self._feed.positions, self._feed.pending_rows) if self._feed else ({}, 0)

    def start(self) -> None:
        """Begin where the tables end. Starting a running projector does nothing."""
        if self.running:
            return
        self.error = None
        self._ending = False
        self._counts = dict.fromkeys(self._counts, 0)
        self._inbox = Inbox(self._commit_events, self._commit_interval_seconds)
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), name="projector", daemon=True)
        self._thread.start()
        ready.wait()

    def stop(self, timeout_seconds: float = 30.0) -> None:
        """Commit what has been received, close the client, end the worker. The worker's error stays in `error`."""
        thread = self._thread
        if thread is None:
            return
        self._ending = True
        loop, stopping = self._loop, self._stopping
        if loop is not None and stopping is not None and thread.is_alive():
            with suppress(RuntimeError):  # the worker ended by itself meanwhile, and its loop with it
                loop.call_soon_threadsafe(stopping.set)
        thread.join(timeout_seconds)
        if thread.is_alive():
            raise NotYet(f"the projector did not end within {timeout_seconds} s")

    def positions(self) -> dict[str, int]:
        """Hub partition -> the last sequence number that needs no reading (see `ReadStore.lowest`)."""
        return self._store.current().lowest(self._hub, self._partitions, self._first)

    def wait_until_visible(self, token: str, timeout_seconds: float) -> None:
        """Return once `orders` or `customers` shows this version of the aggregate, or a later one.

        Raises: the worker's own error if it has failed; `AggregateParked`; `NotYet` when the time is over.
        """
        aggregate_id, version = parse_token(token)

        def visible() -> bool:
            shown = self._store.current().version_of(aggregate_id)
            if shown < version:
                self._parking.refresh(self._hub, self._lane, [aggregate_id])
            if shown < version and aggregate_id in self._lane:
                raise AggregateParked(f"{aggregate_id} shows version {shown}: an event of it is parked")
            return shown >= version

        self._wait(visible, timeout_seconds, f"{token} is not visible")

    def wait_until_applied(self, ends: Mapping[str, int], timeout_seconds: float) -> None:
        """Return once every table has these sequence numbers (by hub partition) or later ones, parked events included.

        Raises: the worker's own error if it has failed; `NotYet` when the time is over.
        """

        def applied() -> bool:
            positions = self.positions()
            return all(positions.get(part, NOTHING) >= number for part, number in ends.items())

        self._wait(applied, timeout_seconds, f"not every table has reached {dict(ends)}")

    def _wait(self, arrived: Callable[[], bool], timeout_seconds: float, otherwise: str) -> None:
        """Look after each commit, between commits only: what is seen is never half a batch of this projector."""
        until = time.monotonic() + timeout_seconds
        while True:
            commits = self._counts["commits"]
            with self._projecting:
                if arrived():
                    return
            if self.error is not None:
                raise self.error
            left = until - time.monotonic()
            if left <= 0:
                raise NotYet(f"{otherwise} after {timeout_seconds} s; the projector is {self._state()}")
            with self._turned:
                if self._counts["commits"] == commits:
                    self._turned.wait(min(left, IDLE_SECONDS if self.active else ELSEWHERE_SECONDS))

    def _state(self) -> str:
        """In words. The SDK keeps a refused attach to itself, so that a missing group looks like an empty hub."""
        if not self.running:
            return "not running"
        if not self.active:
            return "standing by: another one is active"
        if self._inbox.received:
            return "running"
        return (
            f"running, but has received nothing yet from the hub {self._hub!r} through the consumer group "
            f"{self._group!r}: check that both exist, that its key may listen, and that the relay publishes"
        )

    def _run(self, ready: threading.Event) -> None:
        try:
            while asyncio.run(self._work(ready)):
                logger.info("the pointer has moved to %s", self._store.current().tables_url)
        except BaseException as error:
            logger.exception("the projector ends")
            self.error = error
        finally:
            ready.set()
            with self._turned:
                self._turned.notify_all()

    async def _work(self, ready: threading.Event) -> bool:
        """One session, on the tables in use at its beginning; whether another one is to follow, on other tables."""
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        if self._ending:
            self._stopping.set()
        async with self._open_consumer(load_balancing_interval=RECONNECT_SECONDS) as consumer:
            self._hub = consumer.eventhub_name
            self._group = consumer._consumer_group  # the client tells it in no other way
            self._partitions = list(await consumer.get_partition_ids())
            try:
                if await self._seated(ready):
                    self._store = self._store.current()
                    await self._follow(consumer, ready)
            finally:
                self.active = False
                if self._feed:
                    await asyncio.to_thread(self._feed.close)
                await self._leave()
        return not self._stopping.is_set()

    async def _follow(self, consumer: EventHubConsumerClient, ready: threading.Event) -> None:
        """Receive and commit, until told to stop, the seat is lost, or the pointer moves."""
        assert self._stopping is not None
        inbox = self._inbox = self._inbox.emptied()
        with ThreadPoolExecutor(1, "projector-commit") as commits:
            begin = await asyncio.get_running_loop().run_in_executor(commits, self._begin)
            self.active = True
            ready.set()
            receiving = asyncio.create_task(inbox.receive(consumer, begin))
            committing = asyncio.create_task(self._commit_all(inbox, commits))
            stopping = asyncio.create_task(self._stopping.wait())
            holding = asyncio.create_task(self._hold())
            await asyncio.wait({receiving, committing, stopping, holding}, return_when=asyncio.FIRST_COMPLETED)
            receiving.cancel()
            drained = asyncio.create_task(inbox.drain())
            if not holding.done():
                await asyncio.wait({drained, committing}, return_when=asyncio.FIRST_COMPLETED)
            tasks = (receiving, committing, stopping, holding, drained)
            for task in tasks:
                task.cancel()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
        for end in ends:
            if isinstance(end, Exception):
                raise end

    def _begin(self) -> dict[str, int]:
        """Where to read on in each hub partition: behind what every table has, and the query container."""
        self._lane = self._parking.firsts(self._hub)
        begin = self.positions()
        if self._query_container:
            self._feed = opened(self._query_container, self._store, self._hub, begin)
            begin = {part: min(number, self._feed.positions.get(part, NOTHING)) for part, number in begin.items()}
            begin = {part: max(number, self._first.get(part, NOTHING)) for part, number in begin.items()}
        return begin

    async def _seated(self, ready: threading.Event) -> bool:
        """Stand by until the seat is taken; False when told to stop before."""
        assert self._stopping is not None
        while not self._stopping.is_set():
            self.heartbeat = time.time()
            if self._seat is None or await self._takes(self._seat):
                return True
            ready.set()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), self._seat.lease_seconds / 3)
        return False

    async def _hold(self) -> None:
        """Renew the seat; return when it is another's, or could not be renewed for as long as it is respected."""
        if self._seat is None:
            await asyncio.Event().wait()
            return
        until = time.monotonic() + self._seat.lease_seconds
        while time.monotonic() < until:
            await asyncio.sleep(self._seat.lease_seconds / 3)
            if await self._takes(self._seat):
                until = time.monotonic() + self._seat.lease_seconds
        logger.warning("the seat of %s is lost", self._hub)

    async def _takes(self, seat: Seat) -> bool:
        try:
            async with asyncio.timeout(seat.lease_seconds):
                return await asyncio.to_thread(seat.take, self._hub, self._group)
        except (AzureError, TimeoutError) as error:
            logger.info("the seat cannot be asked for: %r", error)
            return False

    async def _leave(self) -> None:
        if self._seat is not None:
            with suppress(AzureError):
                await asyncio.to_thread(self._seat.leave, self._hub, self._group)

    async def _commit_all(self, inbox: Inbox, commits: Executor) -> None:
        loop = asyncio.get_running_loop()
        while await loop.run_in_executor(commits, self._still_in_use):
            self.heartbeat = time.time()
            chunks = await inbox.gather(IDLE_SECONDS)
            batch = [arrival for chunk in chunks for arrival in chunk.arrivals]
            if batch:
                await loop.run_in_executor(commits, self._commit, batch)
                now, taken = datetime.now(UTC), (at for chunk in chunks for at in chunk.enqueued_at)
                self.applied_after_seconds.extend((now - at).total_seconds() for at in taken if at)
            inbox.done(chunks)

    def _still_in_use(self) -> bool:
        """Whether the pointer names the tables of this session; on a data lake that is a request."""
        return self._store.current() is self._store

    def _commit(self, batch: list[Arrival]) -> None:
        with self._projecting:
            folded = self._project(batch)
        self._offer(batch, folded)
        for event in folded.parked:
            if event.aggregate_id:
                self._lane.setdefault(event.aggregate_id, event.arrival.sequence_number)
        with self._turned:
            for name, count in (("applied", folded.applied), ("dropped", folded.dropped), ("commits", 1)):
                self._counts[name] += count
            self._counts["parked"] += len(folded.parked)
            self._turned.notify_all()
        if self._upkeep and self._counts["commits"] % self._upkeep.every_commits == 0:
            self.kept = keep(self._store, self._upkeep)

    def _offer(self, batch: list[Arrival], folded: Folded) -> None:
        """Have the query container follow: with the rows of this fold, and of the events that the tables had before."""
        if self._feed is None:
            return
        missed = missed_orders(batch, folded.rows) if folded.applied < len(batch) else set()
        rows = [*folded.rows.values(), *self._store.orders(missed, {order_day(order) for order in missed}).values()]
        self._feed.offer(rows, {arrival.hub_partition: arrival.sequence_number for arrival in batch})

    def _project(self, batch: list[Arrival]) -> Folded:
        """Project, and again on what another writer left behind when that one was faster."""
        settle_here = functools.partial(settle, self._parking, self._store, self._hub)
        for attempt in range(CONFLICT_RETRIES):
            try:
                return project(batch, self._store, self._parking, self._hub, self._lane, settle_here)
            except CommitFailedError:
                logger.info("another writer was faster, attempt %d of %d", attempt + 1, CONFLICT_RETRIES)
        return project(batch, self._store, self._parking, self._hub, self._lane, settle_here)
