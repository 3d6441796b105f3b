"""What notebook 04 and the query API ask of the read models, each question with its T-SQL and its parameters.

Owns: the texts (they would run on Synapse as they are, with the same parameters) and their parameters. An order is
always asked for together with the day in its id, because that is what the table is partitioned by.
Refuses to know: how a text is run (`synapse`).

Every answer is a pandas frame with Arrow's types: decimals stay decimals, days are days, instants are aware.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

import pandas as pd

from labkit.events.ids import order_day
from labkit.read_queries.synapse import Synapse

LARGEST_PAGE = 1_000


@dataclass(frozen=True, slots=True)
class Question:
    """A text with what its parameters stand for; `ask` runs it."""

    tsql: str
    parameters: Mapping[str, object] = field(default_factory=dict)

    def ask(self, synapse: Synapse) -> pd.DataFrame:
        return synapse.query(self.tsql, self.parameters)


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
        day DATE,
        orders BIGINT,
        cancelled BIGINT,
        revenue DECIMAL(38, 2),
        average_order_value DECIMAL(18, 2),
        distinct_customers BIGINT
    ) AS m"""


def order_summary(order_id: str) -> Question:
    """One order, or no row. Raises: `ValueError` for an id without a day: there is no file to look in."""
    where = "WHERE created_day = @day AND order_id = @order_id"
    return Question(SUMMARY + where, {"day": order_day(order_id), "order_id": order_id})


def orders_between(
    first_day: date, last_day: date, status: str | None = None, *, page: int = 1, page_size: int = 100
) -> Question:
    """One page of the orders of these days (both included), by id. Raises: `ValueError` for a page that cannot be."""
    if page < 1 or not 1 <= page_size <= LARGEST_PAGE:
        raise ValueError(f"pages count from 1 and hold 1 to {LARGEST_PAGE} rows, not page {page} of {page_size}")
    parameters: dict[str, object] = {"first_day": first_day, "last_day": last_day}
    where = "WHERE created_day BETWEEN @first_day AND @last_day"
    if status is not None:
        where += " AND status = @status"
        parameters["status"] = status
    parameters |= {"skipped": (page - 1) * page_size, "page_size": page_size}
    paging = "\nORDER BY order_id OFFSET @skipped ROWS FETCH NEXT @page_size ROWS ONLY"
    return Question(SUMMARY + where + paging, parameters)


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
    return Question(text, {"first_day": first_day, "last_day": last_day})


def derived_daily_metrics(first_day: date, last_day: date) -> Question:
    """The same figures, from the table that the projector derives after each commit."""
    return Question(METRICS.format(source=DERIVED_METRICS), {"first_day": first_day, "last_day": last_day})
