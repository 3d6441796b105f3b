"""The rows of the read models: as objects, as Arrow, and a day's figures from the orders that carry it. Pure.

Owns the columns of the three tables (the one true copy) and the way between a row and its columns. Knows neither events
nor Delta, so that a Spark worker can import it as it is.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from operator import attrgetter
from typing import Any, TypeVar, get_type_hints

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from labkit.events import ids

INSTANT = pa.timestamp("us", "UTC")
MONEY = pa.decimal128(18, 2)
SUM_OF_MONEY = pa.decimal128(38, 2)
"""As T-SQL and Arrow add up `MONEY`: no day has so many orders that it overflows."""
EPOCH, SINCE_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC), pa.duration("us")

ARROW: Mapping[Any, pa.DataType] = {
    str: pa.string(),
    int: pa.int64(),
    Decimal: MONEY,
    Decimal | None: MONEY,
    dt.datetime: INSTANT,
    dt.date: pa.date32(),
}

order_day = lru_cache(65_536)(ids.order_day)
"""As in `events.ids`, remembered: a batch asks for the day of each order several times."""


class OrderRow(msgspec.Struct, frozen=True, gc=False):
    """One row of `orders`. `item_count` counts the lines of the order; money has two places; times are aware UTC."""

    order_id: str
    customer_id: str
    status: str
    item_count: int
    total: Decimal
    created_at: dt.datetime
    updated_at: dt.datetime
    version: int

    @property
    def created_day(self) -> dt.date:
        """The day the order's id names: derived, so a bound by day and a row can never disagree."""
        return order_day(self.order_id)


class CustomerRow(msgspec.Struct, frozen=True, gc=False):
    """One row of `customers`."""

    customer_id: str
    name: str
    registered_at: dt.datetime
    version: int


class DayRow(msgspec.Struct, frozen=True, gc=False):
    """One row of `daily_order_metrics`: all orders of the day, how many of them are cancelled, and of the others the
    revenue and the average (two places, halves up; None on a day on which every order is cancelled); the customers
    are those of all orders."""

    day: dt.date
    orders: int
    cancelled: int
    revenue: Decimal
    average_order_value: Decimal | None
    distinct_customers: int


def columns(of: type, **others: pa.DataType) -> pa.Schema:
    """One for each field, of the type in `ARROW` or in `others`, which may name more columns."""
    fields = {name: ARROW[kind] for name, kind in get_type_hints(of).items()}
    return pa.schema(list((fields | others).items()))


ORDER_COLUMNS = columns(OrderRow, item_count=pa.int32(), created_day=pa.date32())
CUSTOMER_COLUMNS = columns(CustomerRow)
DAY_COLUMNS = columns(DayRow, revenue=SUM_OF_MONEY)

Row = OrderRow | CustomerRow
SomeRow = TypeVar("SomeRow", OrderRow, CustomerRow)


def to_arrow(schema: pa.Schema, rows: Iterable[object]) -> pa.Table:
    """Rows (any objects with the columns as attributes) as Arrow."""
    rows = list(rows)
    columns = [_array(list(map(attrgetter(column.name), rows)), column.type) for column in schema]
    return pa.Table.from_arrays(columns, schema=schema)


def _array(values: list[Any], kind: pa.DataType) -> pa.Array:
    """As Arrow. Instants by way of the time since 1970: a third of the time that Arrow takes for them."""
    if kind == INSTANT:
        return pa.array([value - EPOCH for value in values], SINCE_EPOCH).cast(pa.int64()).cast(INSTANT)
    return pa.array(values, kind)


def from_arrow(kind: type[SomeRow], rows: pa.Table) -> list[SomeRow]:
    """The rows of an Arrow table that has (at least) the columns of this kind."""
    return [kind(*values) for values in zip(*(_values(rows[name]) for name in kind.__struct_fields__), strict=True)]


def _values(column: pa.ChunkedArray) -> list[object]:
    """As Python objects. Arrow takes three times as long for money itself, and more for instants."""
    if column.type == INSTANT:
        return [EPOCH + since for since in column.cast(pa.int64()).cast(SINCE_EPOCH).to_numpy().tolist()]
    if column.type == MONEY:
        return list(map(Decimal, column.cast(pa.string()).to_pylist()))
    return list(column.to_pylist())


def daily_metrics(orders: pa.Table) -> list[DayRow]:
    """The figures of each day, from the orders that carry it: derived, so that no event can count twice."""
    cancelled = pc.equal(orders["status"], "Cancelled")
    days = pa.table(
        {
            "day": orders["created_day"],
            "customer": orders["customer_id"],
            "cancelled": cancelled.cast(pa.int64()),
            "revenue": pc.if_else(cancelled, pa.scalar(Decimal(0), MONEY), orders["total"]),
        }
    )
    sums = [("customer", "count"), ("cancelled", "sum"), ("revenue", "sum"), ("customer", "count_distinct")]
    figures = days.group_by("day").aggregate(sums).sort_by("day").to_pylist()
    return [
        DayRow(
            figure["day"],
            figure["customer_count"],
            figure["cancelled_sum"],
            figure["revenue_sum"],
            average(figure["revenue_sum"], figure["customer_count"] - figure["cancelled_sum"]),
            figure["customer_count_distinct"],
        )
        for figure in figures
    ]


def average(revenue: Decimal, orders: int) -> Decimal | None:
    """`revenue` per order with two places, halves up; None without an order."""
    return (revenue / orders).quantize(Decimal("0.01"), ROUND_HALF_UP) if orders else None
