"""Tables of orders to project into, and the events of further ones.

Tables hold 10,000 orders per day, each as its first event left it. They are made once and kept in `.lab/bench`, under a
name that holds what is in them, so that other columns or other rows make other tables; a benchmark works on copies.
"""

from __future__ import annotations

import datetime as dt
import shutil
import sys
from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from itertools import count, islice
from pathlib import Path
from typing import Any
from zlib import crc32

import pyarrow as pa
from deltalake import write_deltalake
from tqdm import tqdm

from labkit.events.envelope import EventEnvelope, to_json
from labkit.events.ids import event_id
from labkit.events.partition_key import partition_of
from labkit.projections.folds import Arrival
from labkit.projections.read_store import ReadStore
from labkit.projections.tables import ORDERS
from labkit.verbs import places

ORDERS_PER_DAY = 10_000
LAST_DAY = dt.date(2026, 1, 5)
PARTITIONS = 4
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


def days_before(number: int) -> dt.date:
    return LAST_DAY - dt.timedelta(days=number)


def seeded_order(day: dt.date, number: int) -> str:
    return f"order-{day:%Y%m%d}-{number:06}"


def customer(number: int) -> str:
    return f"customer-{number % 50_000:05}"


def one_day(day: dt.date) -> pa.Table:
    numbers = range(ORDERS_PER_DAY)
    alike: dict[str, Any] = {"status": "Created", "item_count": 2, "total": Decimal("29.00"), "version": 1}
    alike |= {"created_at": NINE, "updated_at": NINE, "created_day": day}
    columns: dict[str, Any] = {
        name: pa.repeat(pa.scalar(value, ORDERS.schema.field(name).type), len(numbers)) for name, value in alike.items()
    }
    columns["order_id"] = [seeded_order(day, number) for number in numbers]
    columns["customer_id"] = [customer(number * 7919 + day.toordinal()) for number in numbers]
    return pa.table(columns, schema=ORDERS.schema)


def seeded(rows: int) -> Path:
    """The kept store of so many orders."""
    one = one_day(LAST_DAY)
    digest = crc32(f"{ORDERS_PER_DAY} {one.schema} {one.slice(0, 5).to_pylist()}".encode())
    folder = places.state() / "bench" / f"orders-{rows}-{digest:08x}"
    if folder.exists():
        return folder
    for older in folder.parent.glob(f"orders-{rows}-*"):
        shutil.rmtree(older)
    half = folder.with_name(f"orders-{rows}-half")
    days = [days_before(number) for number in range(rows // ORDERS_PER_DAY)]
    store = ReadStore(str(half))
    for first in tqdm(range(0, len(days), 20), desc=f"seeding {rows:,}", leave=False, disable=not sys.stderr.isatty()):
        content = pa.concat_tables(map(one_day, days[first : first + 20]))
        write_deltalake(store.url(ORDERS), content, mode="append", partition_by=["created_day"])
    return half.rename(folder)


def copied(store: Path, target: Path) -> ReadStore:
    shutil.rmtree(target, ignore_errors=True)
    return ReadStore(str(shutil.copytree(store, target)))


def body(who: str, version: int, event_type: str, data: dict[str, object] | None = None) -> bytes:
    name = event_id(who, version)
    at = NINE + dt.timedelta(seconds=version)
    schema = 2 if data else 1
    return to_json(EventEnvelope(name, event_type, who, "Order", version, at, name, name, data or {}, METADATA, schema))


def traffic() -> Iterator[tuple[str, bytes]]:
    """Aggregate and event, without end, 10,000 new orders a day: each is paid at once and shipped a day later. The
    first day behind those that are there ships none: it pays the orders of the last one.
    """
    for number in count():
        day, place = divmod(number, ORDERS_PER_DAY)
        yesterday, today = (seeded_order(days_before(-later), place) for later in (day, day + 1))
        yield today, body(today, 1, "OrderCreated", {"customerId": customer(number), "items": ITEMS, "total": "29.00"})
        yield today, body(today, 2, "OrderPaid")
        yield yesterday, body(yesterday, 3, "OrderShipped") if day else body(yesterday, 2, "OrderPaid")


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
