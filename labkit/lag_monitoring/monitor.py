"""`LagMonitor`: takes a sample every so often in a thread of its own, and keeps them as a tidy frame and a Delta table.

Owns the loop and the clients it reads with. Refuses to know how a figure is read (`sources`), what it means
(`measures`), and how samples are kept (`history`). It may read everything, and writes nothing but that table: role
"monitor", consumer group "monitor".

A sample that cannot be read is a gap in the frame and counts in `failures`: a service that is away may be back, and
meanwhile it is for the alerts to say that there are no samples. What no other try can change ends the monitor, and
`error` says why. It never guesses.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime

import pandas as pd
from azure.cosmos import ContainerProxy
from azure.eventhub.aio import EventHubConsumerClient
from deltalake.exceptions import DeltaError

from labkit.errors import NotYet
from labkit.events.relay import may_pass
from labkit.lag_monitoring import sources
from labkit.lag_monitoring.history import LagHistory
from labkit.lag_monitoring.measures import LagSample, OutboxLag
from labkit.projections.read_store import ReadStore
from labkit.worker import Worker

log = logging.getLogger(__name__)

INTERVAL_SECONDS = 10.0
"""From one sample's beginning to the next. One takes some 40 ms of processor time, 100 while much is applied,
and alerts are about a minute. Who looks closer says so."""
RECONNECT_SECONDS = 1.0
APPEND_SECONDS = 10.0
"""So often the samples taken meanwhile go to the table, in one commit."""
SAMPLES_IN_MEMORY = 20_000


class LagMonitor(Worker):
    """Samples between `start` and `stop`; may be started again and keeps what it has seen.

    `open_consumer` makes a new asyncio consumer client of the monitor's consumer group. `first` says what was in the
    hub before the lab was opened (`lab.start_positions`). `projector_beat` gives the projector's last sign of life in
    seconds since 1970: `lambda: projector.heartbeat`.
    `on_sample` is told of each sample (`alerter.observe`) and must not wait. With a `history` the samples go there too,
    and those of earlier monitors are there from the beginning.
    """

    def __init__(
        self,
        open_consumer: Callable[..., EventHubConsumerClient],
        store: ReadStore,
        write_model: ContainerProxy,
        relay_state: ContainerProxy,
        parked_events: ContainerProxy,
        *,
        first: Mapping[str, int] | None = None,
        projector_beat: Callable[[], float] | None = None,
        history: LagHistory | None = None,
        on_sample: Callable[[LagSample], None] | None = None,
        interval_seconds: float = INTERVAL_SECONDS,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        super().__init__("lag monitor")
        self.failures = 0
        """Samples that could not be taken."""
        self._open_consumer = open_consumer
        self._store = store
        self._first = dict(first or {})
        self._containers = (write_model, relay_state, parked_events)
        self._projector_beat = projector_beat
        self._interval_seconds = interval_seconds
        self._now = now
        self._history = history
        self._on_sample = on_sample or (lambda sample: None)
        self._samples = deque(history.samples() if history else (), SAMPLES_IN_MEMORY)
        self._unwritten: deque[LagSample] = deque(maxlen=SAMPLES_IN_MEMORY)
        self._next_append = 0.0
        self._empty_at = datetime.fromtimestamp(0, UTC)
        self._sampled = threading.Condition()

    @property
    def samples(self) -> tuple[LagSample, ...]:
        """The last `SAMPLES_IN_MEMORY` samples, oldest first."""
        with self._sampled:
            return tuple(self._samples)

    def frame(self) -> pd.DataFrame:
        """One row per sample (see `LagSample.as_row`), and `seconds` since the first one."""
        frame = pd.DataFrame([sample.as_row() for sample in self.samples])
        if len(frame):
            frame.insert(1, "seconds", (frame["at"] - frame["at"].iloc[0]).dt.total_seconds())
        return frame

    def wait_until(self, holds: Callable[[LagSample], bool], timeout_seconds: float) -> LagSample:
        """The first sample taken from now on for which `holds` is true.

        Raises: the worker's error; `NotYet` after `timeout_seconds`.
        """
        deadline = time.monotonic() + timeout_seconds
        asked_at = self._now()
        with self._sampled:
            while True:
                for sample in self._samples:
                    if sample.at >= asked_at and holds(sample):
                        return sample
                left = deadline - time.monotonic()
                if left <= 0 or not self.running:
                    if self.error is not None:
                        raise self.error
                    last = self._samples[-1].as_row() if self._samples else "none was taken"
                    rests = "" if self.running else "the monitor is not running: start it. There was "
                    raise NotYet(f"{rests}no such sample within {timeout_seconds} s; the last: {last}")
                self._sampled.wait(left)

    def _work(self) -> None:
        asyncio.run(self._watch())

    def _ended(self) -> None:
        with self._sampled:
            self._sampled.notify_all()

    async def _watch(self) -> None:
        ending = self._told_to_end()
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))  # whose handles of the tables are kept
        options = {"load_balancing_interval": RECONNECT_SECONDS, "socket_timeout": sources.RECEIVE_SECONDS}
        async with self._open_consumer(**options) as consumer:
            hub = sources.HubWatch(consumer, self._positions)
            self._ready.set()
            try:
                while not ending.is_set():
                    due = time.monotonic() + self._interval_seconds
                    await self._try(hub, consumer.eventhub_name)
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(ending.wait(), due - time.monotonic())
            finally:
                await asyncio.to_thread(self._append)
                await hub.close()

    async def _try(self, hub: sources.HubWatch, name: str) -> None:
        """Take a sample, or note that it failed. Raises: what no other try can change."""
        try:
            await self._sample(hub, name)
        except Exception as error:
            if not may_pass(error):
                raise
            self.failures += 1
            log.warning("no sample: %r", error)
        if self._interval_seconds > sources.HOLD_SECONDS:
            await hub.close()

    async def _sample(self, hub: sources.HubWatch, name: str) -> None:
        """Read everything once. What is missing at the end was missing at the beginning: the sample is dated then.

        Outbox before hub, the way that events travel: one on the move may be counted twice, and never not at all. What
        is in the outbox now came after it was seen empty: that is more exact than `_ts`, which counts whole seconds.
        """
        at = self._now()
        (outbox, relay_beat_at), (parked, oldest_parked_at), beat = await asyncio.to_thread(self._read_cosmos, name)
        if outbox.oldest_at is None:
            self._empty_at = at
        elif self._empty_at <= at:  # and no clock was set back since
            outbox = replace(outbox, oldest_at=max(outbox.oldest_at, self._empty_at))
        sample = LagSample(
            at=at,
            partitions=await hub.partitions(),
            outbox=outbox,
            parked_events=parked,
            oldest_parked_at=oldest_parked_at,
            relay_beat_at=relay_beat_at,
            projector_beat_at=datetime.fromtimestamp(beat, UTC) if beat else None,
            newest_event_at=hub.newest_event_at,
            newest_update_at=await asyncio.to_thread(sources.newest_update, self._store),
        )
        with self._sampled:
            self._samples.append(sample)
            self._sampled.notify_all()
        self._unwritten.append(sample)
        self._on_sample(sample)
        if time.monotonic() >= self._next_append:
            await asyncio.to_thread(self._append)
            self._next_append = time.monotonic() + APPEND_SECONDS

    def _positions(self, hub: str, partition_ids: list[str]) -> Mapping[str, int]:
        """The last sequence number that every table has applied; where none has, what was there on opening the lab."""
        return self._store.current().lowest(hub, partition_ids, self._first)

    def _append(self) -> None:
        """What cannot be written now, as on a full disk, is tried again with the next samples."""
        try:
            if self._history is not None:
                self._history.append(self._unwritten)
            self._unwritten.clear()
        except (OSError, DeltaError) as error:
            log.warning("%d samples are not in the history yet: %r", len(self._unwritten), error)

    def _read_cosmos(self, hub: str) -> tuple[tuple[OutboxLag, datetime | None], tuple[int, datetime | None], float]:
        write_model, relay_state, parked_events = self._containers
        beat = self._projector_beat() if self._projector_beat else 0.0
        return sources.outbox_lag(write_model, relay_state), sources.parked(parked_events, hub), beat
