"""The projector: from bodies in memory to committed tables, from the hub to the tables, and how both last.

Tables hold 10,000 orders per day. The events are of the two newest days: new orders that are paid at once, and payments
and shipments of orders that are there. What is committed is all three tables, each time, with positions.
End to end, the projector runs beside the same consumer of the SDK with a callback that only counts.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import multiprocessing
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from itertools import count, islice
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
from azure.cosmos import CosmosClient
from azure.eventhub import EventData
from azure.eventhub.aio import EventHubConsumerClient
from deltalake import write_deltalake
from measure import Figure, Missed, Pairs, interleaved, main
from tqdm import tqdm

import localazure
from labkit.events.envelope import EventEnvelope, to_json
from labkit.events.ids import event_id
from labkit.events.partition_key import partition_of
from labkit.lab import Lab, open_lab
from labkit.projections import inbox
from labkit.projections.folds import Arrival, Parked
from labkit.projections.parking import ParkingLane
from labkit.projections.projection import project
from labkit.projections.projector import Projector
from labkit.projections.read_store import ORDERS, Batch, ReadStore
from labkit.projections.rows import OrderRow
from labkit.projections.upkeep import Upkeep, keep
from labkit.settings import embedded

ORDERS_PER_DAY = 10_000
LAST_DAY = dt.date(2026, 1, 5)
BATCH_EVENTS, BATCHES = 5_000, 9
BY_COUNT: Any = {"commit_events": BATCH_EVENTS, "commit_interval_seconds": 2.0}
"""So that a batch ends by its count, as in memory. The default interval, for freshness, cuts it much earlier, and is
measured beside it."""
HUB_EVENTS, PARTITIONS = 100_000, 4
MERGED_ROWS = 1_000
SOAK_COMMITS, SOAK_EVENTS, SOAK_WINDOW, WARM_UP = 300, 500, 50, 100
SOAK_UPKEEP = Upkeep(every_commits=25, retention_seconds=1)
NINE = dt.datetime(2026, 1, 5, 9, tzinfo=dt.UTC)
ITEMS = [
    {"productId": "tea", "quantity": 2, "unitPrice": "12.50"},
    {"productId": "cup", "quantity": 1, "unitPrice": "4.00"},
]
METADATA = {
    "userId": "bench",
    "source": "bench",
    "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
}
PATIENCE_SECONDS = 300.0


class NoLane:
    """Where nothing may be parked."""

    def park(self, hub: str, events: Sequence[Parked]) -> None:
        if events:
            raise Missed(f"parked: {events[0].reason}")


def days_before(number: int) -> dt.date:
    return LAST_DAY - dt.timedelta(days=number)


def seeded_order(day: dt.date, number: int) -> str:
    return f"order-{day:%Y%m%d}-{number:06}"


def customer(number: int) -> str:
    return f"customer-{number % 50_000:05}"


def one_day(day: dt.date) -> pa.Table:
    size = ORDERS_PER_DAY
    return pa.table(
        {
            "order_id": [seeded_order(day, number) for number in range(size)],
            "customer_id": [customer(number * 7919 + day.toordinal()) for number in range(size)],
            "status": ["Created"] * size,
            "item_count": [2] * size,
            "total": [Decimal("29.00")] * size,
            "created_at": [NINE] * size,
            "updated_at": [NINE] * size,
            "version": [1] * size,
            "created_day": [day] * size,
        },
        schema=ORDERS.schema,
    )


def seed(folder: Path, rows: int) -> Path:
    """A store with so many orders, each as its first event left it."""
    store = ReadStore(str(folder))
    days = [days_before(number) for number in range(rows // ORDERS_PER_DAY)]
    for first in tqdm(range(0, len(days), 10), desc=f"seeding {rows:,}", leave=False, disable=not sys.stderr.isatty()):
        content = pa.concat_tables(map(one_day, days[first : first + 10]))
        write_deltalake(store.url(ORDERS), content, mode="append", partition_by=["created_day"])
    return folder


def copied(store: Path, name: str) -> ReadStore:
    target = store.parent / name
    shutil.rmtree(target, ignore_errors=True)
    return ReadStore(str(shutil.copytree(store, target)))


def body(who: str, version: int, event_type: str, data: dict[str, object] | None = None) -> bytes:
    name = event_id(who, version)
    at = NINE + dt.timedelta(seconds=version)
    schema = 2 if data else 1
    return to_json(EventEnvelope(name, event_type, who, "Order", version, at, name, name, data or {}, METADATA, schema))


def traffic() -> Iterator[tuple[str, bytes]]:
    """Aggregate and event, without end: of three, two are of a new order, the third is of one that is there."""
    for number in count():
        new = f"order-{LAST_DAY:%Y%m%d}-new-{number:07}"
        yield new, body(new, 1, "OrderCreated", {"customerId": customer(number), "items": ITEMS, "total": "29.00"})
        yield new, body(new, 2, "OrderPaid")
        turn, which = divmod(number, 2 * ORDERS_PER_DAY)
        old = seeded_order(days_before(which % 2), which // 2)
        yield old, body(old, 2 + turn, ("OrderPaid", "OrderShipped")[turn])


def updates() -> Iterator[tuple[str, bytes]]:
    """Orders that are there are changed, over and over: the tables grow by nothing."""
    for number in count():
        turn, which = divmod(number, 2 * ORDERS_PER_DAY)
        old = seeded_order(days_before(which % 2), which // 2)
        yield old, body(old, 2 + turn, "OrderUpdated", {"items": ITEMS, "total": f"{turn + 1}.00"})


def batches(events: Iterator[tuple[str, bytes]], size: int, how_many: int) -> list[list[Arrival]]:
    """As arrivals of the hub partitions to which their aggregates belong."""
    parts = [str(number) for number in range(PARTITIONS)]
    numbers: dict[str, count[int]] = defaultdict(count)
    return [
        [
            Arrival(part, next(numbers[part]), raw, who)
            for who, raw in islice(events, size)
            for part in [partition_of(who, parts)]
        ]
        for _ in range(how_many)
    ]


def in_memory(seeded: Path) -> Iterator[Figure]:
    """One process, no hub: read, fold, three commits."""
    store = copied(seeded, "in-memory")
    rates = []
    for batch in batches(traffic(), BATCH_EVENTS, BATCHES):
        began = time.perf_counter()
        folded = project(batch, store, NoLane(), "bench", {})  # type: ignore[arg-type]
        rates.append(BATCH_EVENTS / (time.perf_counter() - began))
        if folded.applied != BATCH_EVENTS:
            raise Missed(f"{folded.applied} of {BATCH_EVENTS} events were applied")
    method = f"median of {BATCHES} batches of {BATCH_EVENTS:,}, bodies in memory to three commits, 1M orders"
    yield Figure("events_per_s_at_1m", statistics.median(rates), "1/s", method)


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


def growth(small: Path, large: Path) -> Iterator[Figure]:
    first, second = (merge_ms(copied(store, f"merged-{store.name}"), count(2)) for store in (small, large))
    pairs = interleaved(first, second, pairs=11, title="merges")
    method = f"median of {len(pairs.first)} paired ratios, {MERGED_ROWS:,} changed rows of two days, three commits"
    yield Figure("merge_ratio_5m_to_100k", pairs.ratio, "ratio", method)
    yield Figure("merge_ms_at_5m", pairs.medians[1], "ms", f"median; at 100k {pairs.medians[0]:.1f} ms")


def disk_bytes(folder: str) -> int:
    return sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())


def soak(seeded: Path) -> Iterator[Figure]:
    """Commit after commit, with upkeep in the same loop."""
    store = copied(seeded, "soak")
    seconds, cpu, sizes = [], [], []
    work = batches(updates(), SOAK_EVENTS, WARM_UP + SOAK_COMMITS)
    for number, batch in enumerate(tqdm(work, desc="soak", leave=False, disable=not sys.stderr.isatty()), 1):
        began, busy = time.perf_counter(), time.process_time()
        project(batch, store, NoLane(), "bench", {})  # type: ignore[arg-type]
        if number % SOAK_UPKEEP.every_commits == 0:
            keep(store, SOAK_UPKEEP)
        seconds.append(time.perf_counter() - began)
        cpu.append(time.process_time() - busy)
        sizes.append(disk_bytes(store.tables_url))
    first, last = slice(WARM_UP, WARM_UP + SOAK_WINDOW), slice(-SOAK_WINDOW, None)
    method = (
        f"last {SOAK_WINDOW} of {SOAK_COMMITS} commits of {SOAK_EVENTS} events over the first {SOAK_WINDOW}, after "
        f"{WARM_UP} to warm up; upkeep every {SOAK_UPKEEP.every_commits}, included"
    )
    yield Figure("soak_time_ratio", statistics.mean(seconds[last]) / statistics.mean(seconds[first]), "ratio", method)
    ratio = statistics.mean(cpu[last]) / statistics.mean(cpu[first])
    yield Figure("soak_cpu_ratio", ratio, "ratio", f"processor time, which a busy machine disturbs less; {method}")
    yield Figure(
        "soak_bytes_ratio", statistics.mean(sizes[last]) / statistics.mean(sizes[first]), "ratio", f"on disk; {method}"
    )
    yield Figure("soak_commit_ms", statistics.mean(seconds[last]) * 1000, "ms", "mean of the last, upkeep included")


def fill_hub(lab: Lab) -> None:
    """Send the events as the relay does: by hub partition, with the properties that name them."""
    groups: dict[str, list[EventData]] = defaultdict(list)
    for who, raw in islice(traffic(), HUB_EVENTS):
        event = EventData(raw)
        event.content_type = "application/json"
        event.properties = {"eventId": event_id(who, 1), "eventType": "OrderCreated", "aggregateId": who, "version": 1}
        groups[partition_of(who, lab.partition_ids)].append(event)
    producer = lab.producer()
    for part, events in groups.items():
        for first in range(0, len(events), 500):
            producer.send_batch(events[first : first + 500], partition_id=part)


async def null_per_s(lab: Lab) -> float:
    """Events per second from the first callback to the last event, by a callback that counts."""
    counted: list[tuple[float, int]] = []
    done = asyncio.Event()

    async def count_them(_: object, events: list[EventData]) -> None:
        counted.append((time.perf_counter(), len(events)))
        if sum(size for _, size in counted) >= HUB_EVENTS:
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
    return (HUB_EVENTS - counted[0][1]) / (counted[-1][0] - counted[0][0])


def until_applied(projector: Projector) -> float:
    """Events per second from the first one received to the last one committed."""
    projector.start()
    deadline = time.monotonic() + PATIENCE_SECONDS
    began = 0.0
    while projector.counters["applied"] < HUB_EVENTS:
        began = began or (time.perf_counter() if projector.counters["received"] else 0.0)
        if projector.error or time.monotonic() > deadline:
            raise Missed(f"{projector.counters['applied']} of {HUB_EVENTS} events were applied: {projector.error!r}")
        threading.Event().wait(0.02)
    rate = HUB_EVENTS / (time.perf_counter() - began)
    projector.stop()
    return rate


def end_to_end(lab: Lab, seeded: Path) -> Iterator[Figure]:
    lane = ParkingLane(lab.container("parked-events", "projector"))

    def pairs_of(title: str, **knobs: Any) -> Pairs:
        def projected_per_s() -> float:
            return until_applied(Projector(lab.async_consumer, copied(seeded, "end-to-end"), lane, **knobs))

        return interleaved(lambda: asyncio.run(null_per_s(lab)), projected_per_s, title=title)

    by_count, by_default = pairs_of("end to end", **BY_COUNT), pairs_of("end to end, default interval")
    method = (
        f"median of {len(by_count.first)} paired ratios, prefetch {inbox.PREFETCH}, {PARTITIONS} hub partitions, "
        "against a null callback; 1M orders"
    )
    yield Figure("share_of_sdk_receive", by_count.ratio, "ratio", f"batches of {BATCH_EVENTS:,}; {method}")
    yield Figure("share_at_default_interval", by_default.ratio, "ratio", f"the projector's own knobs; {method}")
    for name, pairs in (("end_to_end_events_per_s", by_count), ("default_interval_events_per_s", by_default)):
        yield Figure(name, pairs.medians[1], "1/s", f"median; null callback {pairs.medians[0]:,.0f}")


def project_in_child(listen: str, hub: str, cosmos: str, database: str, tables: str, done: Connection) -> None:
    """The whole projector in a process of its own."""
    container = CosmosClient.from_connection_string(cosmos).get_database_client(database)

    def consumer(**options: float) -> EventHubConsumerClient:
        return EventHubConsumerClient.from_connection_string(listen, "$Default", eventhub_name=hub, **options)

    lane = ParkingLane(container.get_container_client("parked-events"))
    until_applied(Projector(consumer, ReadStore(tables), lane, **BY_COUNT))
    done.send(True)


def memory(lab: Lab, listen: str, cosmos: str, seeded: Path) -> Iterator[Figure]:
    """The most that such a process holds, looked at from outside."""
    mine, theirs = multiprocessing.Pipe()
    store = copied(seeded, "memory")
    settings = (listen, lab.hub, cosmos, lab.database("projector").id, store.tables_url, theirs)
    child = multiprocessing.get_context("spawn").Process(target=project_in_child, args=settings)
    child.start()
    peak = 0
    while child.is_alive() and not mine.poll(0.01):
        peak = max(peak, psutil.Process(child.pid).memory_info().rss)
    child.join(30)
    if child.exitcode:
        raise Missed(f"the projector's process ended with {child.exitcode}")
    method = f"resident, of a process that projects {HUB_EVENTS:,} events from the hub in batches of {BATCH_EVENTS:,}"
    yield Figure("peak_mb", peak / 1e6, "MB", f"{method}; 1M orders")


def measure() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        seeded = seed(folder / "1m", 1_000_000)
        yield from in_memory(seeded)
        yield from growth(seed(folder / "100k", 100_000), seed(folder / "5m", 5_000_000))
        yield from soak(seeded)
        with localazure.attach(folder / "azure") as azure:
            target = embedded(azure, folder / "tables")
            with open_lab("03", partitions=PARTITIONS, target=target) as lab:
                fill_hub(lab)
                yield from end_to_end(lab, seeded)
                yield from memory(lab, target.listen, target.cosmos, seeded)
        localazure.daemon.stop(folder / "azure")


if __name__ == "__main__":
    sys.exit(main(measure))
