"""What notebook 04 and the query API ask of the read models, each question with its T-SQL and its parameters.

Owns: the texts (they would run on Synapse as they are, with the same parameters), their parameters, and the days whose
files hold the answer. An order is always asked for together with the day in its id, because that is what the table is
partitioned by. Refuses to know: how a text is run (`synapse`).

Every answer is a pandas frame with Arrow's types: decimals stay decimals, days are days, instants are aware. Its
`attrs` tell which version of each table was read, and how far that had read the hub. The query API asks the same texts.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from labkit.events.ids import CUSTOMER_ID, order_day
from labkit.read_queries.synapse import Answer, FilesRead, Synapse
from labkit.read_queries.tables import Days


@dataclass(frozen=True, slots=True)
class Question:
    """A text with what its parameters stand for; `ask` runs it."""

    tsql: str
    parameters: Mapping[str, object] = field(default_factory=dict)
    days: Days | None = None
    """The first and the last day whose orders can be in the answer, if they are known."""
    part: Part | None = None
    """Of which wider question's answer this one's is a part, for who keeps such answers (`kept`)."""

    def answer(self, synapse: Synapse) -> Answer:
        return synapse.answer(self.tsql, self.parameters, days=self.days)

    def ask(self, synapse: Synapse) -> pd.DataFrame:
        return self.answer(synapse).frame()

    def files_read(self, synapse: Synapse) -> FilesRead:
        return synapse.files_read(self.tsql, self.parameters, days=self.days)


@dataclass(frozen=True, slots=True)
class Part:
    """Of the rows of a wider question, in the order of `key`: those from `first` to `last`, with these values."""

    of: Question
    key: str
    first: Any
    last: Any
    values: Mapping[str, object] = field(default_factory=dict)
    at_most: int | None = None

    def cut(self, rows: pa.Table) -> pa.Table:
        """The part, out of the wider question's rows in the order of `key`."""
        column, many = rows[self.key], range(rows.num_rows)
        start = bisect_left(many, self.first, key=lambda row: column[row].as_py())
        end = bisect_right(many, self.last, start, key=lambda row: column[row].as_py())
        found = rows.slice(start, end - start)
        for name, value in self.values.items():
            found = found.filter(pc.equal(found[name], value))
        return found.slice(0, self.at_most)


SUMMARY = """
SELECT order_id, customer_id, customer_name, status, item_count, total, created_at, updated_at, version, created_day
FROM dbo.vw_order_summary
"""
METRICS = """
SELECT day, orders, cancelled, revenue, average_order_value, distinct_customers
FROM {source}
WHERE day BETWEEN @first_day AND @last_day
ORDER BY day
"""
DERIVED_METRICS = """OPENROWSET(BULK 'daily_order_metrics/', DATA_SOURCE = 'read_store', FORMAT = 'DELTA')
    WITH (
        day DATE, orders BIGINT, cancelled BIGINT, revenue DECIMAL(38, 2), average_order_value DECIMAL(18, 2),
        distinct_customers BIGINT
    ) AS m"""

CUSTOMERS = """
SELECT c.customer_id, c.version
FROM OPENROWSET(BULK 'customers/', DATA_SOURCE = 'read_store', FORMAT = 'DELTA')
    WITH (customer_id VARCHAR(128) COLLATE Latin1_General_100_BIN2_UTF8, version BIGINT) AS c
WHERE c.customer_id IN ({ids})
"""


def shown_of(aggregate_ids: Collection[str]) -> Question:
    """What is shown of these customers, or of these orders of one day: who first, then at least the version.

    Of texts there are few, so that each is translated once: ids are repeated up to a power of two.
    Raises: `ValueError` for orders whose day is in no calendar.
    """
    ids = sorted(aggregate_ids)
    ids += ids[-1:] * (2 ** (len(ids) - 1).bit_length() - len(ids))
    parameters: dict[str, object] = {f"id{number}": one for number, one in enumerate(ids)}
    listed = ", ".join(f"@{name}" for name in parameters)
    if CUSTOMER_ID.fullmatch(ids[0]):
        return Question(CUSTOMERS.format(ids=listed), parameters)
    day, where = order_day(ids[0]), f"WHERE created_day = @day AND order_id IN ({listed})"
    return Question(SUMMARY + where, parameters | {"day": day}, (day, day))


def order_summary(order_id: str) -> Question:
    """One order, or no row. Raises: `ValueError` for an id without a day: there is no file to look in."""
    day = order_day(order_id)
    where = "WHERE created_day = @day AND order_id = @order_id"
    return Question(SUMMARY + where, {"day": day, "order_id": order_id}, (day, day))


def order_of_day(order_id: str) -> Question:
    """The same, as a part of the orders of its day. Raises: as `order_summary`."""
    return replace(order_summary(order_id), part=Part(orders_of(order_day(order_id)), "order_id", order_id, order_id))


def orders_of(day: date) -> Question:
    """All orders of one day."""
    return Question(SUMMARY + "WHERE created_day = @day", {"day": day}, (day, day))


def orders_between(
    first_day: date, last_day: date, status: str | None = None, *, after: str = "", page_size: int = 100
) -> Question:
    """One page of the orders of these days (both included), by id: those that follow the id `after`.

    As an id begins with its day, no file of a day before that of `after` is looked at; and an order that is made
    meanwhile moves no other to another page. Raises: `ValueError` for what is no order's id.
    """
    from_day = max(first_day, order_day(after)) if after else first_day
    parameters: dict[str, object] = {"first_day": from_day, "last_day": last_day}
    where = "WHERE created_day BETWEEN @first_day AND @last_day"
    for column, comparison, value in (("status", "=", status), ("order_id", ">", after or None)):
        if value is not None:
            where += f" AND {column} {comparison} @{column}"
            parameters[column] = value
    paging = "\nORDER BY order_id OFFSET 0 ROWS FETCH NEXT @page_size ROWS ONLY"
    part = None
    if from_day == last_day:
        values = {"status": status} if status else {}
        part = Part(orders_of(last_day), "order_id", after and after + "\0", "~", values, page_size)
    return Question(SUMMARY + where + paging, parameters | {"page_size": page_size}, (from_day, last_day), part)


def customer_orders(customer_id: str) -> Question:
    """The orders of one customer, by id. Every file is read: that is what the query container is for."""
    return Question(SUMMARY + "WHERE customer_id = @customer_id\nORDER BY order_id", {"customer_id": customer_id})


def best_customers(how_many: int) -> Question:
    """The customers with the highest revenue; equal revenue by id."""
    text = """
SELECT customer_id, customer_name, orders, cancelled, revenue, first_day, last_day
FROM dbo.vw_customer_orders
ORDER BY revenue DESC, customer_id OFFSET 0 ROWS FETCH NEXT @how_many ROWS ONLY
"""
    return Question(text, {"how_many": how_many})


def daily_metrics(first_day: date, last_day: date) -> Question:
    """The days' figures, computed from the orders when asked."""
    text = METRICS.format(source="dbo.vw_daily_order_metrics")
    return Question(text, {"first_day": first_day, "last_day": last_day}, (first_day, last_day))


def derived_daily_metrics(first_day: date, last_day: date) -> Question:
    """The same figures, from the table that the projector derives after each commit."""
    text = METRICS.format(source=DERIVED_METRICS)
    part = Part(Question(text, {"first_day": date.min, "last_day": date.max}), "day", first_day, last_day)
    return Question(text, {"first_day": first_day, "last_day": last_day}, None, part)
