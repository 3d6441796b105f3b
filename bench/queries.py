"""Read queries: what an answer costs from the read models, from the write model and by full scan; the API under load.

Tables hold 10,000 orders per day, the query container the same orders, both made beforehand; each figure is a median
over questions for orders, customers and days drawn at random. The API runs in a process of its own, and so does the
projector, which applies events meanwhile. Requests are sent at their time whether or not earlier ones are answered, and
their latency counts from that time.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import multiprocessing
import random
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
from azure.cosmos import CosmosClient
from azure.eventhub import EventData
from azure.eventhub.aio import EventHubConsumerClient
from cosmos import write_documents
from deltalake import write_deltalake
from measure import Figure, Missed, interleaved, main
from projector import NINE, ORDERS_PER_DAY, body, customer, days_before, one_day, seed, seeded_order
from tqdm import tqdm

import localazure
from labkit.events.partition_key import partition_of
from labkit.lab import Lab, open_lab
from labkit.projections.parking import ParkingLane
from labkit.projections.projector import Projector
from labkit.projections.query_container import QueryContainer, document
from labkit.projections.read_store import (
    CUSTOMERS,
    DAILY_ORDER_METRICS,
    ReadStore,
    to_table,
)
from labkit.projections.rows import CustomerRow, OrderRow, daily_metrics, from_arrow
from labkit.read_queries import questions
from labkit.read_queries.api import query_app
from labkit.read_queries.synapse import Hub, Synapse
from labkit.serving import Serving
from labkit.settings import embedded

REQUESTS_PER_S, EVENTS_PER_S = 100, 100
ASKED = 200
CUSTOMERS_THERE = 50_000
HUB_PARTITIONS = 4
GIVE_UP_SECONDS = 30.0
MIX = (("point", 50), ("known", 10), ("customer", 15), ("daily", 15), ("page", 10))
"""Of 100 requests; `known` is a point request with the ETag of the answer before."""


def ms(ask: Callable[[], Any]) -> float:
    began = time.perf_counter()
    ask()
    return (time.perf_counter() - began) * 1000


def median_ms(ask: Callable[[], Any], times: int) -> float:
    ask()
    return statistics.median(ms(ask) for _ in range(times))


def seeded(folder: Path, rows: int) -> Path:
    """A store with so many orders, their customers and the days' figures."""
    seed(folder, rows)
    store = ReadStore(str(folder))
    people = [CustomerRow(customer(number), "Ada", NINE, 1) for number in range(CUSTOMERS_THERE)]
    write_deltalake(store.url(CUSTOMERS), to_table(CUSTOMERS, people), mode="append")
    days = pa.concat_tables(map(one_day, map(days_before, range(rows // ORDERS_PER_DAY))))
    write_deltalake(store.url(DAILY_ORDER_METRICS), to_table(DAILY_ORDER_METRICS, daily_metrics(days)), mode="append")
    return folder


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
        asked = [{"name": "@customer", "value": of_written.customer()}]
        list(write_model.query_items(mine, parameters=asked, enable_cross_partition_query=True))

    yield Figure("write_model_customer_ms", median_ms(by_customer, 3), "ms", f"a query over all partitions {at}")
    first, last = (f"order-{day:%Y%m%d}" for day in of_written.month())
    days = "SELECT c.aggregateId, c.state FROM c WHERE c.kind = 'state' AND c.aggregateId BETWEEN @first AND @last"

    def by_day() -> None:
        asked = [{"name": "@first", "value": first}, {"name": "@last", "value": last + "~"}]
        found = write_model.query_items(days, parameters=asked, enable_cross_partition_query=True)
        sum(Decimal(one["state"]["total"]) for one in found)

    yield Figure("write_model_daily_ms", ms(by_day), "ms", f"30 days' states loaded and added up {at}, once")


# --- the API under load -----------------------------------------------------------------------------------------------


def serve_in_child(cosmos: str, database: str, tables: str, hub: str, ends: Connection) -> None:
    container = CosmosClient.from_connection_string(cosmos).get_database_client(database)
    synapse = Synapse(tables, hub=Hub(hub, [str(number) for number in range(HUB_PARTITIONS)]))
    serving = Serving(query_app(synapse, QueryContainer(container.get_container_client("query-model")), hub)).start()
    ends.send(serving.url)
    ends.recv()
    serving.stop()


def project_in_child(listen: str, hub: str, cosmos: str, database: str, tables: str, ends: Connection) -> None:
    containers = CosmosClient.from_connection_string(cosmos).get_database_client(database)

    def consumer(**options: float) -> EventHubConsumerClient:
        return EventHubConsumerClient.from_connection_string(listen, "$Default", eventhub_name=hub, **options)

    lane = ParkingLane(containers.get_container_client("parked-events"))
    fed = QueryContainer(containers.get_container_client("query-model"))
    projector = Projector(consumer, ReadStore(tables), lane, commit_interval_seconds=0.5, query_container=fed)
    projector.start()
    ends.send(None)
    ends.recv()
    applied = projector.counters["applied"]
    projector.stop()
    ends.send((applied, repr(projector.error) if projector.error else None))


def child(target: Callable[..., None], *arguments: Any) -> tuple[multiprocessing.Process, Connection, Any]:
    """A started process, the pipe to it, and its first word."""
    mine, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=target, args=(*arguments, theirs), daemon=True)
    process.start()  # type: ignore[attr-defined]
    if not mine.poll(GIVE_UP_SECONDS * 4):
        raise Missed(f"{target.__name__} did not begin")
    return process, mine, mine.recv()  # type: ignore[return-value]


def publish(lab: Lab, seconds: float, stop: threading.Event) -> int:
    """Events of new orders of the newest day, at their pace; how many."""
    producer, sent, began = lab.producer(), 0, time.monotonic()
    items = [{"productId": "tea", "quantity": 2, "unitPrice": "12.50"}]
    while (now := time.monotonic() - began) < seconds and not stop.is_set():
        groups: dict[str, list[EventData]] = {}
        for number in range(sent, int(now * EVENTS_PER_S)):
            who = f"order-{days_before(0):%Y%m%d}-new-{number:07}"
            data = {"customerId": customer(number), "items": items, "total": "25.00"}
            event = EventData(body(who, 1, "OrderCreated", data))
            event.properties = {"eventType": "OrderCreated", "aggregateId": who, "version": 1}
            groups.setdefault(partition_of(who, lab.partition_ids), []).append(event)
            sent += 1
        for part, events in groups.items():
            producer.send_batch(events, partition_id=part)
        stop.wait(0.1)
    return sent


def request_for(kind: str, chosen: Chooser) -> tuple[str, dict[str, str]]:
    first, last = chosen.month()
    if kind == "customer":
        return f"/customers/{chosen.customer()}/orders", {}
    if kind == "daily":
        return f"/metrics/daily?from={first}&to={last}", {}
    if kind == "page":
        return f"/orders?from={last}&to={last}&size=50", {}
    return f"/orders/{chosen.order()}", {"If-None-Match": '"1"'} if kind == "known" else {}


async def open_loop(url: str, rows: int, seconds: float) -> dict[str, list[float]]:
    """Kind -> milliseconds of each request from the time at which it was to be sent. Raises: `Missed`."""
    chosen, taken, failed = Chooser(rows), {kind: [] for kind, _ in MIX}, []
    kinds = [kind for kind, share in MIX for _ in range(share)]
    random.Random(7).shuffle(kinds)
    limits = httpx.Limits(max_connections=200, keepalive_expiry=2.0)  # less than the server keeps them
    async with httpx.AsyncClient(base_url=url, timeout=GIVE_UP_SECONDS, limits=limits) as client:

        async def ask(kind: str, due: float) -> None:
            target, headers = request_for(kind, chosen)
            try:
                status = (await client.get(target, headers=headers)).status_code
            except httpx.HTTPError as error:
                failed.append(repr(error))
                return
            if status != (304 if kind == "known" else 200):
                failed.append(f"{target}: {status}")
            taken[kind].append((time.perf_counter() - due) * 1000)

        for kind, _ in MIX:
            await ask(kind, time.perf_counter())
        taken = {kind: [] for kind, _ in MIX}
        began = time.perf_counter()
        asked = []
        for number in tqdm(
            range(int(seconds * REQUESTS_PER_S)), desc="API", leave=False, disable=not sys.stderr.isatty()
        ):
            due = began + number / REQUESTS_PER_S
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            asked.append(asyncio.create_task(ask(kinds[number % len(kinds)], due)))
        await asyncio.gather(*asked)
    if failed:
        raise Missed(f"{len(failed)} of {len(asked)} requests failed, such as {failed[0]}")
    return taken


def under_load(lab: Lab, target: Any, store: Path, rows: int, seconds: float) -> Iterator[Figure]:
    database = lab.database("projector").id
    tables = str(store)
    QueryContainer(lab.container("query-model", "projector")).save(lab.hub, dict.fromkeys(lab.partition_ids, -1))
    _, projecting, _ = child(project_in_child, target.listen, lab.hub, target.cosmos, database, tables)
    _, serving, url = child(serve_in_child, target.cosmos_read_only, database, tables, lab.hub)
    stop, sent = threading.Event(), [0]
    publishing = threading.Thread(target=lambda: sent.__setitem__(0, publish(lab, seconds, stop)))
    publishing.start()
    try:
        taken = asyncio.run(open_loop(url, rows, seconds))
    finally:
        stop.set()
        publishing.join()
        serving.send(None)
        projecting.send(None)
    applied, error = projecting.recv()
    if error or applied < sent[0] * 0.9:
        raise Missed(f"{applied} of {sent[0]} events were projected: {error}")
    everything = sorted(value for values in taken.values() for value in values)
    p99 = everything[int(len(everything) * 0.99)]
    method = f"open loop, {len(everything):,} requests in {seconds:g} s, none missed, while {sent[0]:,} events came"
    yield Figure("api_p99_ms", p99, "ms", f"{method} and {applied:,} were projected")
    yield Figure("api_p50_ms", statistics.median(everything), "ms", method)
    for kind, values in taken.items():
        yield Figure(f"api_{kind}_p50_ms", statistics.median(values), "ms", f"of {len(values)}")


def measure(*, short: bool) -> Iterator[Figure]:
    for figure in measured(short):
        yield replace(figure, method=f"SHORT FORM, 100k orders: {figure.method}") if short else figure


def measured(short: bool) -> Iterator[Figure]:
    rows, times, written, seconds = (100_000, 2, 20_000, 10.0) if short else (1_000_000, 5, 100_000, 60.0)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        store = seeded(folder / "small", rows)
        yield from of_tables(store, seeded(folder / "large", rows * times), rows)
        try:
            yield from beside_cosmos(folder, store, rows, written, seconds)
        finally:
            localazure.daemon.stop(folder / "azure")


def beside_cosmos(folder: Path, store: Path, rows: int, written: int, seconds: float) -> Iterator[Figure]:
    """The documents are written into the embedded Azure's file while it does not run."""
    with localazure.attach(folder / "azure") as azure:
        target = embedded(azure, folder / "tables")
        with open_lab("04", partitions=HUB_PARTITIONS, target=target) as lab:
            localazure.daemon.stop(folder / "azure")
            write_documents(folder / "azure", "query-model", "customerId", documents(rows))
            write_documents(folder / "azure", "write-model", "aggregateId", states(written))
            with localazure.attach(folder / "azure"):
                yield from of_cosmos(lab, rows, written)
                yield from under_load(lab, target, store, rows, seconds)


if __name__ == "__main__":
    sys.exit(main(measure))
