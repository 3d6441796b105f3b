"""Read queries: what an answer costs from the read models, from the write model and by full scan; the API under load.

Tables hold 10,000 orders per day, the query container the same orders. Both are made once and kept in `.lab/bench`
(delete it to have them made anew); the part `api` works on copies. Each figure is a median over questions for orders,
customers and days drawn at random. The load is in `query_load`.
"""

from __future__ import annotations

import datetime as dt
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
from cosmos_servers import write_documents
from deltalake import write_deltalake
from measure import Figure, Missed, interleaved, main
from orders import NINE, ORDERS_PER_DAY, copied, customer, days_before, one_day, seeded, seeded_order
from query_load import under_load

import localazure
from labkit.lab import Lab
from labkit.projections.query_container import QueryContainer, document
from labkit.projections.rows import CustomerRow, OrderRow, daily_metrics, from_arrow
from labkit.projections.tables import CUSTOMERS, DAILY_ORDER_METRICS, to_table
from labkit.read_queries import questions
from labkit.read_queries.synapse import Synapse
from labkit.settings import embedded
from labkit.verbs import places

PARTS = ("tables", "cosmos", "api")
ASKED = 200
CUSTOMERS_THERE = 50_000
HUB_PARTITIONS = 4
FORM = 1
"""Of what is kept; count it up when it is made otherwise."""
LAB = "lab.txt"
"""In the folder of the kept Azure: the name of the lab in it."""


def ms(ask: Callable[[], Any]) -> float:
    began = time.perf_counter()
    ask()
    return (time.perf_counter() - began) * 1000


def median_ms(ask: Callable[[], Any], times: int) -> float:
    ask()
    return statistics.median(ms(ask) for _ in range(times))


class Chooser:
    """Orders, customers and ranges of days that are there."""

    def __init__(self, rows: int) -> None:
        self._random = random.Random(7)
        self._days = rows // ORDERS_PER_DAY

    def order(self) -> str:
        return seeded_order(days_before(self._random.randrange(self._days)), self._random.randrange(ORDERS_PER_DAY))

    def customer(self) -> str:
        return customer(self._random.randrange(CUSTOMERS_THERE))

    def month(self) -> tuple[dt.date, dt.date]:
        last = self._random.randrange(max(1, self._days - 30))
        return days_before(last + 29), days_before(last)


def one_row(question: questions.Question, synapse: Synapse) -> None:
    if len(question.ask(synapse)) != 1:
        raise Missed(f"{question.parameters}: not one row")


def of_tables(small: Path, large: Path, rows: int) -> Iterator[Figure]:
    chosen = Chooser(rows)
    with Synapse(str(small)) as synapse, Synapse(str(large)) as other:

        def points(where: Synapse) -> float:
            return median_ms(lambda: one_row(questions.order_summary(chosen.order()), where), 20)

        pairs = interleaved(lambda: points(synapse), lambda: points(other), title="points")
        yield Figure("point_ms_at_1m", pairs.medians[0], "ms", f"median of {len(pairs.first)} medians of 20 orders")
        yield Figure(
            "point_growth_5m", pairs.ratio, "ratio", f"of that, 5 times the orders; at 5M {pairs.medians[1]:.1f}"
        )
        full = questions.SUMMARY + "WHERE order_id = @order_id"
        scan = median_ms(lambda: synapse.query(full, {"order_id": chosen.order()}), 5)
        yield Figure("point_scan_ms", scan, "ms", "the same question without the day: every file")
        daily = median_ms(lambda: questions.derived_daily_metrics(*chosen.month()).ask(synapse), ASKED)
        yield Figure("daily_ms_at_1m", daily, "ms", f"30 days of the derived table, median of {ASKED}")
        view = median_ms(lambda: questions.daily_metrics(*chosen.month()).ask(synapse), 5)
        yield Figure("daily_view_ms", view, "ms", "the same days, computed from their orders")
        first, last = days_before(rows // ORDERS_PER_DAY), days_before(0)
        all_days = median_ms(lambda: questions.daily_metrics(first, last).ask(synapse), 3)
        yield Figure("daily_scan_ms", all_days, "ms", "all days, computed from all orders")
        scan = median_ms(lambda: questions.customer_orders(chosen.customer()).ask(synapse), 5)
        yield Figure("customer_scan_ms", scan, "ms", "one customer's orders from the Delta table: every file")


def documents(rows: int) -> Iterator[dict[str, Any]]:
    for number in range(rows // ORDERS_PER_DAY):
        for row in from_arrow(OrderRow, one_day(days_before(number))):
            yield document(row)


def states(rows: int) -> Iterator[dict[str, Any]]:
    """As the write model holds them; without their events, which these questions do not ask."""
    for one in documents(rows):
        state = {"status": one["status"], "customerId": one["customerId"], "total": one["total"]}
        yield {"id": "state", "aggregateId": one["id"], "kind": "state", "aggregateType": "Order", "state": state}


def of_cosmos(lab: Lab, rows: int, written: int) -> Iterator[Figure]:
    chosen, of_written = Chooser(rows), Chooser(written)
    container = QueryContainer(lab.container("query-model", "query"))

    def of_customer() -> None:
        container.orders_of(chosen.customer())

    yield Figure("customer_ms_at_1m", median_ms(of_customer, ASKED), "ms", f"through the SDK, median of {ASKED}")
    write_model = lab.container("write-model", "query")
    point = median_ms(lambda: write_model.read_item("state", partition_key=of_written.order()), ASKED)
    at = f"from a write model of {written:,} orders"
    yield Figure("write_model_point_ms", point, "ms", f"a point read {at}, median of {ASKED}")
    mine = "SELECT c.aggregateId, c.state FROM c WHERE c.kind = 'state' AND c.state.customerId = @customer"

    def by_customer() -> None:
        asked: list[dict[str, Any]] = [{"name": "@customer", "value": of_written.customer()}]
        list(write_model.query_items(mine, parameters=asked, enable_cross_partition_query=True))

    yield Figure("write_model_customer_ms", median_ms(by_customer, 3), "ms", f"a query over all partitions {at}")
    first, last = (f"order-{day:%Y%m%d}" for day in of_written.month())
    days = "SELECT c.aggregateId, c.state FROM c WHERE c.kind = 'state' AND c.aggregateId BETWEEN @first AND @last"

    def by_day() -> None:
        asked: list[dict[str, Any]] = [{"name": "@first", "value": first}, {"name": "@last", "value": last + "~"}]
        found = write_model.query_items(days, parameters=asked, enable_cross_partition_query=True)
        sum(Decimal(one["state"]["total"]) for one in found)

    yield Figure("write_model_daily_ms", ms(by_day), "ms", f"30 days' states loaded and added up {at}, once")


def measure(*, short: bool, parts: Collection[str]) -> Iterator[Figure]:
    for figure in measured(short, parts):
        yield replace(figure, method=f"SHORT FORM, 100k orders: {figure.method}") if short else figure


def measured(short: bool, parts: Collection[str]) -> Iterator[Figure]:
    rows, times, written, seconds = (100_000, 2, 20_000, 10.0) if short else (1_000_000, 5, 100_000, 60.0)
    if "tables" in parts:
        yield from of_tables(kept_tables(rows), kept_tables(rows * times), rows)
    if "cosmos" in parts or "api" in parts:
        with tempfile.TemporaryDirectory() as scratch:
            azure, tables = Path(scratch, "azure"), Path(scratch, "tables")
            shutil.copytree(kept_azure(rows, written), azure)
            try:
                yield from beside_cosmos(azure, tables, rows, written, seconds, parts)
            finally:
                localazure.daemon.stop(azure)


def beside_cosmos(
    folder: Path, tables: Path, rows: int, written: int, seconds: float, parts: Collection[str]
) -> Iterator[Figure]:
    with localazure.attach(folder) as azure:
        target = embedded(azure, tables)
        name = (folder / LAB).read_text(encoding="utf-8")
        with Lab("04", target, partitions=HUB_PARTITIONS, attached_to=name) as lab:
            if "cosmos" in parts:
                yield from of_cosmos(lab, rows, written)
            if "api" in parts:
                shutil.copytree(kept_tables(rows), tables)
                running = localazure.daemon.status(folder)
                assert running is not None
                yield from under_load(lab, target, running.pid, str(tables), Chooser(rows), seconds)


# --- what is made once ------------------------------------------------------------------------------------------------


def kept(name: str, make: Callable[[Path], None]) -> Path:
    """A folder that is made once and kept beside the lab's data; half of one is never taken for a whole one."""
    folder = places.state() / "bench" / f"{name}-{FORM}"
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            half = Path(scratch, "half")
            make(half)
            half.rename(folder)
    return folder


def kept_tables(rows: int) -> Path:
    """A store with so many orders, their customers and the days' figures."""

    def make(folder: Path) -> None:
        store = copied(seeded(rows), folder)
        people = [CustomerRow(customer(number), "Ada", NINE, 1) for number in range(CUSTOMERS_THERE)]
        write_deltalake(store.url(CUSTOMERS), to_table(CUSTOMERS, people), mode="append")
        days = pa.concat_tables(map(one_day, map(days_before, range(rows // ORDERS_PER_DAY))))
        figures = to_table(DAILY_ORDER_METRICS, daily_metrics(days))
        write_deltalake(store.url(DAILY_ORDER_METRICS), figures, mode="append")

    return kept(f"tables-{rows}", make)


def kept_azure(rows: int, written: int) -> Path:
    """An embedded Azure with a lab in it, whose query container holds the orders and whose write model their states.
    The documents are written into its file while it does not run."""

    def make(folder: Path) -> None:
        with tempfile.TemporaryDirectory() as scratch, localazure.attach(Path(scratch)) as azure:
            with Lab("04", embedded(azure, folder), partitions=HUB_PARTITIONS) as lab:
                localazure.daemon.stop(Path(scratch))
                write_documents(Path(scratch), "query-model", "customerId", documents(rows))
                write_documents(Path(scratch), "write-model", "aggregateId", states(written))
                shutil.copytree(scratch, folder)
                (folder / LAB).write_text(lab.name, encoding="utf-8")
                localazure.attach(Path(scratch)).close()  # for the lab to be closed
            localazure.daemon.stop(Path(scratch))

    return kept(f"azure-{rows}-{written}", make)


if __name__ == "__main__":
    sys.exit(main(measure, parts=PARTS))
