"""From a command's 2xx to the answer of who waits for that write, over 100,000 orders; and what watching costs.

50 new orders per second, open loop, over HTTP. Each caller then asks the query API for its order with
`If-Version-At-Least`; the time is from the 2xx received to the answer received. The SDK's floor is the same hub, asked
by the SDK alone: from the acknowledgement of one event to its arrival at a consumer.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import httpx
from azure.cosmos import CosmosClient
from azure.eventhub import EventData
from azure.eventhub.aio import EventHubConsumerClient
from measure import Figure, Missed, main
from orders import ORDERS_PER_DAY, copied, seeded
from starlette.requests import Request
from starlette.responses import Response

import localazure
from labkit.clock import WallClock
from labkit.events.relay import Relay
from labkit.lab import Lab, open_lab
from labkit.lag_monitoring.alerting import Alerter
from labkit.lag_monitoring.alerts import Alerts, Rule
from labkit.lag_monitoring.measures import LagSample, OutboxLag, PartitionLag, percentile
from labkit.lag_monitoring.monitor import LagMonitor
from labkit.projections.parking import ParkingLane
from labkit.projections.projector import Projector
from labkit.projections.query_container import QueryContainer
from labkit.projections.read_store import ReadStore
from labkit.read_queries.api import query_app
from labkit.read_queries.synapse import Synapse
from labkit.settings import embedded
from labkit.workload import Sent, drive, due_seconds, steady
from labkit.write_model.api import command_app
from labkit.write_model.handler import CommandHandler, Context
from labkit.write_model.orders import CreateOrder

ROWS = 10 * ORDERS_PER_DAY
PER_S, SECONDS, WARM_UP_S = 50.0, 20.0, 3.0
FLOOR_EVENTS, ALERTS = 60, 60
LANES, LATEST_S = 96, 1.0
"""Callers at a time (the query API lets 100 wait), and how late one may begin before the load counts as missed."""
MONITOR_SECONDS = 20.0
PATIENCE_SECONDS = 60.0


def new_orders(lab: Lab) -> Any:
    """Without end; the customer is one of fifty."""
    number = 0
    while True:
        number += 1
        name = f"order-{datetime.now(UTC):%Y%m%d}-{lab.name}-{number:05}"
        yield CreateOrder(name, f"customer-{number % 50:04}", ()), Context(name)


def ordered(http: httpx.Client, write: str, read: str, command: CreateOrder, context: Context) -> float:
    """Seconds from the 2xx to the answer that shows the write. Raises: `Missed`."""
    items = [{"productId": "tea", "quantity": 2, "unitPrice": "12.50"}]
    body = {"orderId": command.order_id, "customerId": command.customer_id, "items": items}
    accepted = http.post(f"{write}/orders", json=body, headers={"Idempotency-Key": context.idempotency_key})
    began = time.perf_counter()
    if accepted.status_code != 201:
        raise Missed(f"a command was answered {accepted.status_code}: {accepted.text[:200]}")
    token = accepted.headers["Version-Token"]
    shown = http.get(f"{read}/orders/{command.order_id}", headers={"If-Version-At-Least": token})
    if shown.status_code != 200:
        raise Missed(f"a question was answered {shown.status_code}: {shown.text[:200]}")
    return time.perf_counter() - began


def visible(lab: Lab, store: ReadStore) -> tuple[list[float], list[Sent]]:
    lane = ParkingLane(lab.container("parked-events", "projector"))
    relay = Relay(lab.container("write-model", "relay"), lab.producer("relay"), lab.container("relay-state", "relay"))
    projector = Projector(partial(lab.async_consumer, "projector"), store, lane, commit_interval_seconds=0.02)
    write = lab.serve(command_app(CommandHandler(lab.container("write-model", "command"), WallClock())))
    commands = new_orders(lab)
    with Synapse(store.root_url) as synapse, httpx.Client(trust_env=False, timeout=PATIENCE_SECONDS) as http:
        read = lab.serve(query_app(synapse, QueryContainer(lab.container("query-model", "query")), lab.hub))
        relay.start()
        projector.start()
        ask = partial(ordered, http, write.url, read.url)
        drive(commands, due_seconds(steady(PER_S), WARM_UP_S), ask, lanes=LANES)
        sent = drive(commands, due_seconds(steady(PER_S), SECONDS), ask, lanes=LANES)
        projector.stop()
        relay.stop()
        read.stop()
    for worker in (relay, projector):
        if worker.error is not None:
            raise Missed(f"a worker ended: {worker.error!r}")
    return [one.outcome for one in sent], sent  # type: ignore[misc]


def sdk_floor(lab: Lab) -> list[float]:
    """Seconds from the acknowledgement of one event to its arrival, by the SDK alone."""
    arrived = threading.Event()
    loop = asyncio.new_event_loop()
    consumer: EventHubConsumerClient = lab.async_consumer("monitor", "lessons")

    async def on_event(context: object, event: object) -> None:
        arrived.set()

    async def receive() -> None:
        async with consumer:
            await consumer.receive(on_event=on_event, partition_id="0", starting_position="@latest")

    task = loop.create_task(receive())
    thread = threading.Thread(target=lambda: loop.run_until_complete(asyncio.gather(task, return_exceptions=True)))
    thread.start()
    took = []
    with lab.producer("relay") as producer:
        until = time.monotonic() + PATIENCE_SECONDS
        while not arrived.wait(1.0):  # the receiver is attached when it hears of one
            producer.send_batch([EventData(b"{}")], partition_id="0")
            if time.monotonic() > until:
                raise Missed("the consumer heard of nothing")
        arrived.wait(1.0)
        for _ in range(FLOOR_EVENTS):
            arrived.clear()
            producer.send_batch([EventData(b"{}")], partition_id="0")
            began = time.perf_counter()
            if not arrived.wait(PATIENCE_SECONDS):
                raise Missed("an event did not arrive")
            took.append(time.perf_counter() - began)
    loop.call_soon_threadsafe(task.cancel)
    thread.join()
    return took


def watch(cosmos: str, listen: str, name: str, tables: str, told: Connection) -> None:
    """In a process of its own: CPU seconds over wall seconds of a monitor that samples once a second."""
    client = CosmosClient.from_connection_string(cosmos)
    database = client.get_database_client(name)
    monitor = LagMonitor(
        lambda **options: EventHubConsumerClient.from_connection_string(
            listen, "monitor", eventhub_name=name, **options
        ),
        ReadStore(tables, read_only=True),
        *(database.get_container_client(one) for one in ("write-model", "relay-state", "parked-events")),
    )
    monitor.start()
    monitor.wait_until(lambda sample: True, PATIENCE_SECONDS)
    cpu, wall, before = time.process_time(), time.monotonic(), len(monitor.samples)
    monitor.wait_until(lambda sample: time.monotonic() - wall >= MONITOR_SECONDS, 2 * MONITOR_SECONDS)
    told.send(
        ((time.process_time() - cpu) / (time.monotonic() - wall), len(monitor.samples) - before, monitor.failures)
    )
    monitor.stop()


def monitor_share(azure: localazure.LocalAzure, lab: Lab, store: ReadStore) -> float:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    listen = azure.event_hubs_connection_string_for("listen")
    arguments = (azure.cosmos_read_only_connection_string, listen, lab.name, store.root_url, there)
    process = context.Process(target=watch, args=arguments)
    process.start()
    if not here.poll(4 * MONITOR_SECONDS):
        raise Missed("the monitor took no samples")
    share, samples, failures = here.recv()
    process.join()
    if failures or samples < MONITOR_SECONDS / 3:
        raise Missed(f"the monitor took {samples} samples, and {failures} failed")
    return float(share)


def alert_to_webhook(lab: Lab) -> list[float]:
    """Seconds from a sample that fires to the webhook's receiving the alert."""
    arrived = threading.Event()

    async def webhook(scope: Any, receive: Any, send: Any) -> None:
        if scope["method"] == "POST":
            await Request(scope, receive).body()
            arrived.set()
        await Response(headers={"WebHook-Allowed-Origin": "*"})(scope, receive, send)

    lab.subscribe(lab.serve(webhook).url + "/hook")
    measure: Callable[[LagSample], float | None] = lambda sample: sample.lag_seconds  # noqa: E731
    alerter = Alerter(lab.publisher(), Alerts([Rule("lag", measure, 60, for_seconds=0, recovery_seconds=0)], 1e12))
    alerter.start()
    took = []
    for number in range(ALERTS):
        at = datetime.now(UTC)
        late = PartitionLag("0", 0, 1, number % 2, at - timedelta(seconds=61))
        arrived.clear()
        began = time.perf_counter()
        alerter.observe(LagSample(at=at, partitions=(late,), outbox=OutboxLag(0)))
        if not arrived.wait(PATIENCE_SECONDS):
            raise Missed("an alert did not arrive")
        took.append(time.perf_counter() - began)
    alerter.stop()
    return took[2:]


def measured() -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder, localazure.start(Path(folder) / "azure") as azure:
        target = embedded(azure, Path(folder) / "tables")
        with open_lab("05", target=target) as lab:
            store = copied(seeded(ROWS), Path(lab.tables_url))
            waits, sent = visible(lab, store)
            floor = sdk_floor(lab)
            share = monitor_share(azure, lab, store)
            alerts = alert_to_webhook(lab)
    late = percentile([one.began_s - one.due_s for one in sent], 0.99)
    if late > LATEST_S:
        raise Missed(
            f"of 100 commands one began {late:.1f} s after it was due; answers took {percentile(waits, 0.5):.1f} s"
        )
    over = f"{len(waits)} orders at {PER_S:.0f}/s, tables of {ROWS:,}; 2xx received to the waiting GET answered"
    return [
        Figure("visible_p50_ms", 1000 * percentile(waits, 0.5), "ms", over),
        Figure("visible_p99_ms", 1000 * percentile(waits, 0.99), "ms", over),
        Figure(
            "sdk_floor_p50_ms", 1000 * statistics.median(floor), "ms", "one event, acknowledged to received, by the SDK"
        ),
        Figure("late_start_p99_s", late, "s", "a command began so long after it was due"),
        Figure("monitor_overhead_share", share, "share", "CPU over wall of a process that samples once a second"),
        Figure("alert_to_webhook_p99_ms", 1000 * percentile(alerts, 0.99), "ms", "sample observed to webhook called"),
    ]


if __name__ == "__main__":
    raise SystemExit(main(measured))
