"""The projector: the process that reads Event Hubs and writes the read models.

Owns the worker, when its sessions begin and end, and the waiting of others for it. Refuses to know how events are
received (`inbox`), what is done with a batch (`committing`), who may be active (`seat`).

The tables are the only authority for positions. Reading starts behind the lowest position of the three tables, and
each table takes only what is new to it; nothing else is remembered, so a projector that died is replaced by starting
another one.

The worker thread has an event loop of its own for the SDK's asyncio client; commits run beside it in one thread, so
that receiving goes on meanwhile.

A session is the work between two beginnings at the tables' positions. The next one begins when the pointer names other
tables (after a rebuild; the loop looks at each turn), or when a service was out of reach and may be back. Any other
error ends the projector. Events parked and meanwhile replayed elsewhere are noticed when the next one of their
aggregate arrives.

Several projectors may run on the same tables. With a `seat`, one is active and the others stand by; it is taken over
when its holder dies, left at once when it stops. Should two be active for a moment, the positions in the commits refuse
the slower one, which loads again and leaves out what is there.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from azure.eventhub.aio import EventHubConsumerClient
from azure.eventhub.exceptions import ConnectError, ConnectionLostError

from labkit.documents import is_unanswered
from labkit.errors import LabError, NotYet
from labkit.events.ids import parse_token
from labkit.events.reading import closed
from labkit.projections.committing import IDLE_SECONDS, Committing
from labkit.projections.folds import NOTHING
from labkit.projections.inbox import Inbox
from labkit.projections.parking import ParkingLane
from labkit.projections.query_container import QueryContainer
from labkit.projections.read_store import ReadStore
from labkit.projections.seat import Seat
from labkit.projections.upkeep import UPKEEP, Upkeep
from labkit.worker import Worker

logger = logging.getLogger(__name__)

RECONNECT_SECONDS = 1.0
ELSEWHERE_SECONDS = 0.05
"""So often a waiter looks whose own projector stands by."""


def out_of_reach(error: BaseException) -> bool:
    """A service did not answer, not even with a refusal, or not to the answer's end: it may be back in a moment."""
    return is_unanswered(error) or isinstance(error, (ConnectError, ConnectionLostError))


class AggregateParked(LabError):
    """The write cannot become visible: an event of its aggregate is parked. The message names it."""


class Projector(Worker):
    """One projector, running in a thread between `start` and `stop`; may be started again.

    `open_consumer` makes a new asyncio consumer client (`lab.async_consumer`). `first` says where to begin in a hub
    partition that the tables know nothing of (`lab.start_positions`). `partition_ids` are those of the hub; without
    them each session asks for them, which takes the SDK four tenths of a second and is what a wrong key fails at: else
    only whoever waits is told, by `NotYet`. A batch is committed when it holds
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
        partition_ids: Sequence[str] = (),
        commit_events: int = 1000,
        commit_interval_seconds: float = 0.1,
        seat: Seat | None = None,
        upkeep: Upkeep | None = UPKEEP,
        query_container: QueryContainer | None = None,
    ) -> None:
        super().__init__("projector")
        self.heartbeat = 0.0
        """Wall time of the last turn of the loop, in seconds since 1970; 0 before the first."""
        self.active = False
        """Whether it reads the hub; a running one that does not stands by."""
        self._open_consumer = open_consumer
        self._committing = Committing(store, parking, upkeep, query_container)
        self.applied_after_seconds = self._committing.applied_after_seconds
        """Of the last events: committed minus enqueued, wall time."""
        self._parking = parking
        self._first = dict(first or {})
        self._knobs = commit_events, commit_interval_seconds
        self._inbox = Inbox(*self._knobs)
        self._seat = seat
        self._hub = self._group = ""
        self._partition_ids = partition_ids
        self._partitions: list[str] = []
        self._out_of_reach = ("", 0)
        """What did not answer, and the commits until then."""

    @property
    def counters(self) -> Mapping[str, int]:
        """Since the last start: events received, and of these applied, dropped and parked; commits."""
        return self._committing.counts | {"received": self._inbox.received}

    def positions(self) -> dict[str, int]:
        """Hub partition -> the last sequence number that needs no reading (see `ReadStore.lowest`)."""
        return self._committing.store.current().lowest(self._hub, self._partitions, self._first)

    def wait_until_visible(self, token: str, timeout_seconds: float) -> None:
        """Return once `orders` or `customers` shows this version of the aggregate, or a later one.

        Raises: the worker's own error if it has failed; `AggregateParked`; `NotYet` when the time is over.
        """
        aggregate_id, version = parse_token(token)

        def visible() -> bool:
            shown = self._committing.store.current().version_of(aggregate_id)
            waits = shown < version and aggregate_id in self._committing.lane
            if waits and self._parking.first(self._hub, aggregate_id) is not None:
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
        """Look after each commit, between commits only: what is seen is never half a batch of this projector. What it
        had committed before it failed is seen."""
        until = time.monotonic() + timeout_seconds
        while True:
            commits, error = self._committing.counts["commits"], self.error
            with self._committing.between:
                if arrived():
                    return
            if error is not None:
                raise error
            left = until - time.monotonic()
            if left <= 0:
                raise NotYet(f"{otherwise} after {timeout_seconds} s; the projector is {self._state()}")
            with self._committing.turned:
                if self._committing.counts["commits"] == commits:
                    self._committing.turned.wait(min(left, IDLE_SECONDS if self.active else ELSEWHERE_SECONDS))

    def _state(self) -> str:
        """In words. The SDK keeps a refused attach to itself, so that a missing group looks like an empty hub."""
        if not self.running:
            return "not running: start it"
        trouble, commits = self._out_of_reach
        if trouble and commits == self.counters["commits"]:
            return f"running, but a service is out of reach: {trouble}"
        if not self.active:
            return "standing by: another one is active"
        if self._inbox.received:
            return "running"
        return (
            f"running, but has received nothing yet from the hub {self._hub!r} through the consumer group "
            f"{self._group!r}: check that both exist, that its key may listen, and that the relay publishes"
        )

    def _work(self) -> None:
        """Begin where the tables end."""
        self._out_of_reach = ("", 0)
        self._committing.counts = dict.fromkeys(self._committing.counts, 0)
        self._inbox = Inbox(*self._knobs)
        while self._begins_again():
            logger.info("another session follows")

    def _ended(self) -> None:
        with self._committing.turned:
            self._committing.turned.notify_all()

    def _begins_again(self) -> bool:
        """Work until told to stop; whether another session is to follow."""
        try:
            return asyncio.run(self._session())
        except Exception as error:
            if self._ending.is_set() or not out_of_reach(error):
                raise
            logger.warning("begins again in %s s, for a service is out of reach: %r", RECONNECT_SECONDS, error)
            self._out_of_reach = (str(error), self.counters["commits"])
            self._ready.set()
            return not self._ending.wait(RECONNECT_SECONDS)

    async def _session(self) -> bool:
        """One session; whether it ended because the pointer has moved or the seat is lost."""
        ending = self._told_to_end()
        async with self._open_consumer(load_balancing_interval=RECONNECT_SECONDS) as consumer:
            self._hub = consumer.eventhub_name
            self._group = consumer._consumer_group  # the client tells it in no other way
            self._partitions = list(self._partition_ids or await consumer.get_partition_ids())
            if self._seat is None:
                await self._follow(consumer, ending)
            else:
                async with self._seat.seated(self._hub, self._group, ending, self._beat) as seated:
                    if seated:
                        await self._follow(consumer, ending)
        return not ending.is_set()

    def _beat(self) -> None:
        """It stands by, or looks for a batch."""
        self.heartbeat = time.time()
        self._ready.set()

    async def _follow(self, consumer: EventHubConsumerClient, ending: asyncio.Event) -> None:
        """Receive and commit, until told to stop, the seat is lost, or the pointer moves."""
        inbox = self._inbox = Inbox(*self._knobs, self._inbox.received)
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1, "projector-commit") as commits:
            try:
                begin = await loop.run_in_executor(
                    commits, self._committing.begin, self._hub, self._partitions, self._first
                )
                self.active = True
                receiving = asyncio.create_task(inbox.receive(consumer, begin))
                committing = asyncio.create_task(self._committing.run(inbox, commits, self._beat))
                stopping = asyncio.create_task(ending.wait())
                held = self._seat.hold(self._hub, self._group) if self._seat else asyncio.Event().wait()
                holding = asyncio.create_task(held)
                await asyncio.wait({receiving, committing, stopping, holding}, return_when=asyncio.FIRST_COMPLETED)
                receiving.cancel()
                drained = asyncio.create_task(inbox.drain())
                if not holding.done():
                    await asyncio.wait({drained, committing}, return_when=asyncio.FIRST_COMPLETED)
                tasks = (receiving, committing, stopping, holding, drained)
                for task in tasks:
                    task.cancel()
                for end in await asyncio.gather(*tasks, return_exceptions=True):
                    if isinstance(end, Exception):
                        raise end
            finally:
                self.active = False
                await closed(consumer)
                await loop.run_in_executor(commits, self._committing.end)
