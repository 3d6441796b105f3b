"""The projector: from bodies in memory to committed tables, from the hub to the tables, and how both last.

The events are of days that have 10,000 orders each: new orders that are paid at once, and payments and shipments of
the day before. What is committed is all three tables, each time, with positions.
End to end, the projector runs beside the same consumer of the SDK with a callback that only counts.
Each part can be measured alone. With `--short` the large table, the soak and the hub are smaller; figures say of what.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import statistics
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from itertools import count, islice
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil
from azure.eventhub import EventData
from azure.eventhub.aio import EventHubConsumerClient
from azure.eventhub.amqp import AmqpAnnotatedMessage
from measure import Figure, Missed, Pairs, interleaved, main
from orders import NINE, PARTITIONS, batches, copied, customer, days_before, seeded, seeded_order, traffic, updates
from tqdm import tqdm

import localazure
from labkit.documents import client_of
from labkit.events.ids import event_id
from labkit.events.partition_key import partition_of
from labkit.lab import Lab, open_lab
from labkit.projections import inbox
from labkit.projections.folds import Parked
from labkit.projections.parking import ParkingLane
from labkit.projections.projection import project
from labkit.projections.projector import Projector
from labkit.projections.read_store import Batch, ReadStore
from labkit.projections.rows import OrderRow
from labkit.projections.upkeep import Upkeep, keep
from labkit.settings import Target, embedded

BATCH_EVENTS, BATCHES = 5_000, 13
BY_COUNT: Any = {"commit_events": BATCH_EVENTS, "commit_interval_seconds": 2.0}
"""So that a batch ends by its count, as in memory. The default interval, for freshness, cuts it much earlier, and is
measured beside it."""
MILLION, SMALL = 1_000_000, 100_000
MERGED_ROWS = 1_000
SOAK_EVENTS = 500
SOAK_UPKEEP = Upkeep(every_commits=25, retention_seconds=1)
PATIENCE_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured. Of the soak, the last `window` commits are compared with the first after `warm_up`."""

    large: int = 5 * MILLION
    commits: int = 300
    window: int = 50
    warm_up: int = 100
    hub_events: int = 100_000


SHORT = Size(large=MILLION, commits=100, window=25, warm_up=50, hub_events=40_000)


class NoLane:
    """Where nothing may be parked."""

    def park(self, hub: str, events: Sequence[Parked]) -> None:
        if events:
            raise Missed(f"parked: {events[0].reason}")


def in_memory(size: Size, folder: Path) -> Iterator[Figure]:
    """One process, no hub: read, fold, three commits."""
    store = copied(seeded(MILLION), folder / "in-memory")
    rates, busy_ms = [], []
    for batch in batches(traffic(), BATCH_EVENTS, BATCHES):
        began, busy = time.perf_counter(), time.process_time()
        folded = project(batch, store, NoLane(), "bench", {})  # type: ignore[arg-type]
        rates.append(BATCH_EVENTS / (time.perf_counter() - began))
        busy_ms.append((time.process_time() - busy) * 1000)
        if folded.applied != BATCH_EVENTS:
            raise Missed(f"{folded.applied} of {BATCH_EVENTS} events were applied")
    method = f"median of {BATCHES} batches of {BATCH_EVENTS:,}, bodies in memory to three commits, 1M orders"
    yield Figure("events_per_s_at_1m", statistics.median(rates), "1/s", method)
    yield Figure("batch_cpu_ms", statistics.median(busy_ms), "ms", "processor time of one, all threads, median")


def merge_ms(store: ReadStore, versions: Iterator[int]) -> Callable[[], float]:
    """One guarded, bounded MERGE of changed orders of the two newest days, and the other two commits of its batch."""

    def once() -> float:
        version = next(versions)
        rows = [
            OrderRow(seeded_order(day, number), customer(number), "Created", 2, Decimal("29.00"), NINE, NINE, version)
            for number in range(MERGED_ROWS // 2)
            for day in (days_before(0), days_before(1))
        ]
        began = time.perf_counter()
        store.commit(Batch("bench", {"0": version}, rows, {days_before(0), days_before(1)}))
        return (time.perf_counter() - began) * 1000

    once()
    return once


def growth(size: Size, folder: Path) -> Iterator[Figure]:
    first, second = (
        merge_ms(copied(seeded(rows), folder / f"merged-{rows}"), count(2)) for rows in (SMALL, size.large)
    )
    pairs = interleaved(first, second, pairs=11, title="merges")
    method = f"median of {len(pairs.first)} paired ratios, {MERGED_ROWS:,} changed rows of two days, three commits"
    large = f"{size.large // MILLION}m"
    yield Figure(f"merge_ratio_{large}_to_100k", pairs.ratio, "ratio", method)
    yield Figure(f"merge_ms_at_{large}", pairs.medians[1], "ms", f"median; at 100k {pairs.medians[0]:.1f} ms")


def disk_bytes(folder: str) -> int:
    return sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())


def soak(size: Size, folder: Path) -> Iterator[Figure]:
    """Commit after commit, with upkeep in the same loop."""
    store = copied(seeded(MILLION), folder / "soak")
    seconds, cpu, sizes = [], [], []
    work = batches(updates(), SOAK_EVENTS, size.warm_up + size.commits)
    for number, batch in enumerate(tqdm(work, desc="soak", leave=False, disable=not sys.stderr.isatty()), 1):
        began, busy = time.perf_counter(), time.process_time()
        project(batch, store, NoLane(), "bench", {})  # type: ignore[arg-type]
        if number % SOAK_UPKEEP.every_commits == 0:
            keep(store, SOAK_UPKEEP)
        seconds.append(time.perf_counter() - began)
        cpu.append(time.process_time() - busy)
        sizes.append(disk_bytes(store.tables_url))
    method = (
        f"last {size.window} of {size.commits} commits of {SOAK_EVENTS} events over the first {size.window}, after "
        f"{size.warm_up} to warm up; upkeep every {SOAK_UPKEEP.every_commits}, included"
    )

    def ratio(of: Sequence[float]) -> float:
        return statistics.mean(of[-size.window :]) / statistics.mean(of[size.warm_up : size.warm_up + size.window])

    yield Figure("soak_time_ratio", ratio(seconds), "ratio", method)
    yield Figure("soak_cpu_ratio", ratio(cpu), "ratio", f"processor time, which a busy machine disturbs less; {method}")
    yield Figure("soak_bytes_ratio", ratio(sizes), "ratio", f"on disk; {method}")
    last_ms = statistics.mean(seconds[-size.window :]) * 1000
    yield Figure("soak_commit_ms", last_ms, "ms", "mean of the last, upkeep included")


def fill_hub(lab: Lab, how_many: int) -> None:
    """Send the events as the relay does: by hub partition, with the properties that name them."""
    groups: dict[str, list[EventData | AmqpAnnotatedMessage]] = defaultdict(list)
    for who, raw in islice(traffic(), how_many):
        event = EventData(raw)
        event.content_type = "application/json"
        event.properties = {"eventId": event_id(who, 1), "eventType": "OrderCreated", "aggregateId": who, "version": 1}
        groups[partition_of(who, lab.partition_ids)].append(event)
    producer = lab.producer()
    for part, events in groups.items():
        for first in range(0, len(events), 500):
            producer.send_batch(events[first : first + 500], partition_id=part)


async def null_per_s(lab: Lab, how_many: int) -> float:
    """Events per second from the first callback to the last event, by a callback that counts."""
    counted: list[tuple[float, int]] = []
    done = asyncio.Event()

    async def count_them(_: object, events: list[EventData]) -> None:
        counted.append((time.perf_counter(), len(events)))
        if sum(size for _, size in counted) >= how_many:
            done.set()

    async with lab.async_consumer() as client:
        receiving = asyncio.create_task(
            client.receive_batch(
                count_them, starting_position="-1", max_batch_size=inbox.PREFETCH, prefetch=inbox.PREFETCH
            )
        )
        await asyncio.wait_for(done.wait(), PATIENCE_SECONDS)
        receiving.cancel()
        await asyncio.gather(receiving, return_exceptions=True)
    return (how_many - counted[0][1]) / (counted[-1][0] - counted[0][0])


def until_applied(projector: Projector, how_many: int) -> float:
    """Events per second from the first one received to the last one committed. It is stopped when all have come, which
    commits them at once: the last batch is not full, and would wait for its interval with nothing left to do."""
    projector.start()
    deadline = time.monotonic() + PATIENCE_SECONDS
    began, stopping = 0.0, threading.Thread(target=projector.stop)
    while (counted := projector.counters)["applied"] < how_many:
        began = began or (time.perf_counter() if counted["received"] else 0.0)
        if counted["received"] >= how_many and stopping.ident is None:
            stopping.start()
        if projector.error or time.monotonic() > deadline:
            raise Missed(f"{counted['applied']} of {how_many} events were applied: {projector.error!r}")
        threading.Event().wait(0.02)
    rate = how_many / (time.perf_counter() - began)
    stopping.join()
    return rate


@contextmanager
def filled_lab(size: Size, folder: Path) -> Iterator[tuple[Lab, Target]]:
    """A lab on an embedded Azure of its own, with a hub that holds the events."""
    with localazure.attach(folder / "azure") as azure:
        target = embedded(azure, folder / "tables")
        with open_lab("03", partitions=PARTITIONS, target=target) as lab:
            fill_hub(lab, size.hub_events)
            yield lab, target
    localazure.daemon.stop(folder / "azure")


def beside_null(size: Size, folder: Path, title: str, **knobs: Any) -> tuple[Pairs, str]:
    """The null callback and the projector in turns, in events per second; and how, in words."""
    with filled_lab(size, folder) as (lab, _):
        lane = ParkingLane(lab.container("parked-events", "projector"))

        def nothing_per_s() -> float:
            return asyncio.run(null_per_s(lab, size.hub_events))

        def projected_per_s() -> float:
            store = copied(seeded(MILLION), folder / "end-to-end")
            return until_applied(Projector(lab.async_consumer, store, lane, **knobs), size.hub_events)

        pairs = interleaved(nothing_per_s, projected_per_s, title=title)
    method = (
        f"median of {len(pairs.first)} paired ratios, prefetch {inbox.PREFETCH}, {PARTITIONS} hub partitions, "
        f"{size.hub_events:,} events, against a null callback; 1M orders"
    )
    return pairs, method


def end_to_end(size: Size, folder: Path) -> Iterator[Figure]:
    pairs, method = beside_null(size, folder, "end to end", **BY_COUNT)
    yield Figure("share_of_sdk_receive", pairs.ratio, "ratio", f"batches of {BATCH_EVENTS:,}; {method}")
    told = f"median; null callback {pairs.medians[0]:,.0f}"
    yield Figure("end_to_end_events_per_s", pairs.medians[1], "1/s", told)


def own_knobs(size: Size, folder: Path) -> Iterator[Figure]:
    """In turns of its own: what it has written is still on its way to the disk while the next one runs."""
    pairs, method = beside_null(size, folder, "own knobs")
    yield Figure("share_at_default_interval", pairs.ratio, "ratio", f"the projector's own knobs; {method}")
    told = f"median; null callback {pairs.medians[0]:,.0f}"
    yield Figure("default_interval_events_per_s", pairs.medians[1], "1/s", told)


def project_in_child(connections: Sequence[str], names: Sequence[str], how_many: int, done: Connection) -> None:
    """The whole projector in a process of its own."""
    (listen, cosmos), (hub, database, tables) = connections, names
    container = client_of(cosmos).get_database_client(database)

    def consumer(**options: Any) -> EventHubConsumerClient:
        return EventHubConsumerClient.from_connection_string(listen, "$Default", eventhub_name=hub, **options)

    lane = ParkingLane(container.get_container_client("parked-events"))
    until_applied(Projector(consumer, ReadStore(tables), lane, **BY_COUNT), how_many)
    done.send(True)


def memory(size: Size, folder: Path) -> Iterator[Figure]:
    """The most that such a process holds, looked at from outside."""
    mine, theirs = multiprocessing.Pipe()
    with filled_lab(size, folder) as (lab, target):
        names = lab.hub, lab.database("projector").id, copied(seeded(MILLION), folder / "memory").tables_url
        settings = ((target.listen, target.cosmos), names, size.hub_events, theirs)
        child = multiprocessing.get_context("spawn").Process(target=project_in_child, args=settings)
        child.start()
        peak = 0
        while child.is_alive() and not mine.poll(0.01):
            peak = max(peak, psutil.Process(child.pid).memory_info().rss)
        child.join(30)
    if child.exitcode:
        raise Missed(f"the projector's process ended with {child.exitcode}")
    method = f"resident, of a process that projects {size.hub_events:,} events from the hub, {BATCH_EVENTS:,} a batch"
    yield Figure("peak_mb", peak / 1e6, "MB", f"{method}; 1M orders")


PARTS: dict[str, Callable[[Size, Path], Iterator[Figure]]] = {
    "in_memory": in_memory,
    "growth": growth,
    "soak": soak,
    "end_to_end": end_to_end,
    "own_knobs": own_knobs,
    "memory": memory,
}


def measure(*, short: bool, parts: Collection[str]) -> Iterator[Figure]:
    size = SHORT if short else Size()
    for part in [part for part in PARTS if part in parts]:
        with tempfile.TemporaryDirectory() as scratch:
            yield from PARTS[part](size, Path(scratch))


if __name__ == "__main__":
    sys.exit(main(measure, parts=list(PARTS)))
