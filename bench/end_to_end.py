"""From a command's 2xx to the answer of who waits for that write, over 100,000 orders; and what watching costs.

50 new orders per second, open loop, over HTTP. Each caller then asks the query API for its order with
`If-Version-At-Least`; the time is from the 2xx received to the answer received. Command side, relay, projector, query
side, monitor and embedded Azure are a process each, as they would be deployed; the callers are this one. The SDK's
floor is the same hub, asked by the SDK alone: from the acknowledgement of one event to its arrival at a consumer.

Where the machine does not carry the load within the goals, its figures are told all the same, with the processor time
that each process takes for one order; then the load is lowered step by step until the goals are met, and that rate is a
figure too. A load that was not carried at all ends with `Missed` after its figures.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import httpx
import psutil
from azure.eventhub import EventData
from azure.eventhub.aio import EventHubConsumerClient
from cast import PATIENCE_SECONDS, Cast
from measure import Figure, Missed, main
from orders import ORDERS_PER_DAY, copied, seeded
from starlette.requests import Request
from starlette.responses import Response

from labkit import tracing
from labkit.lab import Lab, open_lab
from labkit.lag_monitoring.alerting import Alerter
from labkit.lag_monitoring.alerts import Alerts, Rule
from labkit.lag_monitoring.measures import LagSample, OutboxLag, PartitionLag, percentile
from labkit.lag_monitoring.monitor import INTERVAL_SECONDS
from labkit.settings import DATA_DIR, embedded_status, stop_embedded
from labkit.workload import Sent, drive, due_seconds, steady
from labkit.write_model.handler import Context
from labkit.write_model.orders import CreateOrder

ROWS = 10 * ORDERS_PER_DAY
RATES_PER_S, SECONDS, WARM_UP_S = (50.0, 40.0, 30.0, 20.0, 10.0), 20.0, 3.0
"""The first is the load of the goals; the others are tried in turn until one meets them."""
GOALS_MS = {0.5: 250.0, 0.99: 700.0}
"""Of 2xx received to the waiting GET answered: share of the orders -> at most."""
FLOOR_EVENTS, ALERTS, SPANS = 60, 60, 200_000
FLOOR = "one event, acknowledged to received, by the SDK"
LANES, LATEST_S = 96, 1.0
"""Callers at a time (the query API lets 100 wait), and how late one may begin before the load counts as missed."""


def new_orders(lab: Lab, load: str) -> Any:
    """Without end; the customer is one of fifty."""
    number = 0
    while True:
        number += 1
        name = f"order-{datetime.now(UTC):%Y%m%d}-{lab.name}-{load}-{number:05}"
        yield CreateOrder(name, f"customer-{number % 50:04}", ()), Context(name)


def ordered(http: httpx.Client, write: str, read: str, command: CreateOrder, context: Context) -> float:
    """Seconds from the 2xx to the answer that shows the write, asked again when the API says that it has waited long
    enough (504). Raises: `Missed`."""
    items = [{"productId": "tea", "quantity": 2, "unitPrice": "12.50"}]
    body = {"orderId": command.order_id, "customerId": command.customer_id, "items": items}
    accepted = http.post(f"{write}/orders", json=body, headers={"Idempotency-Key": context.idempotency_key})
    began = time.perf_counter()
    if accepted.status_code != 201:
        raise Missed(f"a command was answered {accepted.status_code}: {accepted.text[:200]}")
    token = accepted.headers["Version-Token"]
    while True:
        shown = http.get(f"{read}/orders/{command.order_id}", headers={"If-Version-At-Least": token})
        if shown.status_code != 504 or time.perf_counter() - began > PATIENCE_SECONDS:
            break
    if shown.status_code != 200:
        raise Missed(f"a question was answered {shown.status_code}: {shown.text[:200]}")
    return time.perf_counter() - began


def when_the_first_is_seen(ask: Callable[[], object]) -> None:
    """Receivers attach after the projector has started; until then a caller waits in vain."""
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            ask()
            return
        except Missed:
            if time.monotonic() > until:
                raise


@dataclass(frozen=True, slots=True)
class Load:
    """What became of the orders of one load."""

    per_s: float
    sent: list[Sent]
    cpu_shares: dict[str, float]
    """Of each process: CPU seconds over wall seconds."""
    wall_s: float

    def wait_ms(self, share: float) -> float:
        return 1000 * percentile((one.outcome for one in self.sent), share)  # type: ignore[misc]

    @property
    def late_s(self) -> float:
        """So long after it was due one command of a hundred began, at least."""
        return percentile((one.began_s - one.due_s for one in self.sent), 0.99)

    @property
    def meets_the_goals(self) -> bool:
        return self.late_s <= LATEST_S and all(self.wait_ms(share) <= most for share, most in GOALS_MS.items())

    def cpu_ms_per_order(self, role: str) -> float:
        return 1000 * self.cpu_shares[role] * self.wall_s / len(self.sent)


def visible(lab: Lab, tables: str, per_s: float) -> Load:
    running = embedded_status(Path(os.environ[DATA_DIR]))
    assert running is not None
    server = psutil.Process(running.pid)
    commands = new_orders(lab, f"{per_s:.0f}")
    with Cast(lab, tables) as cast, httpx.Client(trust_env=False, timeout=PATIENCE_SECONDS) as http:
        ask = partial(ordered, http, cast.urls["command side"], cast.urls["query side"])
        when_the_first_is_seen(lambda: ask(*next(commands)))
        drive(commands, due_seconds(steady(per_s), WARM_UP_S), ask, lanes=LANES)

        def cpu() -> dict[str, float]:
            azure, here = server.cpu_times(), {"callers": time.process_time()}
            return cast.cpu_seconds() | {"embedded Azure": azure.user + azure.system} | here

        before, began = cpu(), time.monotonic()
        sent = drive(commands, due_seconds(steady(per_s), SECONDS), ask, lanes=LANES)
        after, wall = cpu(), time.monotonic() - began
    return Load(per_s, sent, {role: (seconds - before[role]) / wall for role, seconds in after.items()}, wall)


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


def untraced_us() -> float:
    """Microseconds of a span around nothing while traces are off, less those of the empty loop."""
    turns = range(SPANS)
    began = time.perf_counter()
    for _ in turns:
        with tracing.span("command"):
            pass
    middle = time.perf_counter()
    for _ in turns:
        pass
    return 1e6 * (2 * middle - began - time.perf_counter()) / SPANS


def figures_of(load: Load) -> Iterator[Figure]:
    over = (
        f"{len(load.sent)} orders at {load.per_s:.0f}/s, tables of {ROWS:,}; 2xx received to the waiting GET answered"
    )
    yield Figure("visible_p50_ms", load.wait_ms(0.5), "ms", over)
    yield Figure("visible_p99_ms", load.wait_ms(0.99), "ms", over)
    yield Figure("late_start_p99_s", load.late_s, "s", "a command began so long after it was due")
    watched = f"CPU over wall of a process that samples every {INTERVAL_SECONDS:g} s under this load"
    yield Figure("monitor_overhead_share", load.cpu_shares["monitor"], "share", watched)
    for role in load.cpu_shares:
        name, told = role.replace(" ", "_").lower(), "processor time of its process for one order"
        yield Figure(f"{name}_cpu_ms", load.cpu_ms_per_order(role), "ms", told)
    every, told = sum(map(load.cpu_ms_per_order, load.cpu_shares)), f"of all of them; {os.cpu_count()} processors"
    yield Figure("all_cpu_ms", every, "ms", told)


def measured() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        os.environ[DATA_DIR] = folder
        try:
            with open_lab("05") as lab:
                tables = copied(seeded(ROWS), Path(lab.tables_url)).root_url
                load = visible(lab, tables, RATES_PER_S[0])
                yield from figures_of(load)
                lower = (visible(lab, tables, per_s) for per_s in RATES_PER_S[1:])
                met = next((one for one in chain([load], lower) if one.meets_the_goals), None)
                if met:
                    waits = f"p50 {met.wait_ms(0.5):.0f} ms, p99 {met.wait_ms(0.99):.0f} ms"
                    yield Figure("goals_met_at_per_s", met.per_s, "1/s", f"{waits}; of {RATES_PER_S}")
                yield Figure("sdk_floor_p50_ms", 1000 * statistics.median(sdk_floor(lab)), "ms", FLOOR)
                slowest = 1000 * percentile(alert_to_webhook(lab), 0.99)
                yield Figure("alert_to_webhook_p99_ms", slowest, "ms", "sample observed to webhook called")
                yield Figure("untraced_span_us", untraced_us(), "us", f"a span while traces are off, of {SPANS:,}")
                if load.late_s > LATEST_S:
                    raise Missed(f"at {load.per_s:.0f}/s one command of 100 began {load.late_s:.1f} s after it was due")
        finally:
            stop_embedded(Path(folder))


if __name__ == "__main__":
    raise SystemExit(main(measured))
