"""The query API under load: an open loop of a fixed mix while events are projected, and what each process used.

The API runs in a process of its own, and so do the projector, which applies events meanwhile, and who publishes them.
Requests are sent at their time whether or not earlier ones are answered, and their latency counts from that time until
the last byte of the answer. The processor time of every process is told, that of the generator of the load included.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import multiprocessing
import random
import statistics
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from multiprocessing.connection import Connection
from typing import Any, Protocol

import aiohttp
import psutil
from azure.eventhub import EventData, EventHubProducerClient
from azure.eventhub.aio import EventHubConsumerClient
from measure import Figure, Missed
from orders import body, customer, days_before
from tqdm import tqdm

from labkit.documents import client_of
from labkit.events.partition_key import partition_of
from labkit.projections.parking import ParkingLane
from labkit.projections.projector import Projector
from labkit.projections.query_container import QueryContainer
from labkit.projections.read_store import ReadStore
from labkit.read_queries.api import query_app
from labkit.read_queries.synapse import Hub, Synapse
from labkit.serving import Serving

REQUESTS_PER_S, EVENTS_PER_S = 100, 100
BATCHES_PER_S = 5
GIVE_UP_SECONDS = 30.0
PATIENCE_SECONDS = 120.0
MIX = (("point", 50), ("known", 10), ("customer", 15), ("daily", 15), ("page", 10))
"""Of 100 requests. `known` asks again for an order that was answered before, with the ETag of that answer."""
SEEN_AT_MOST = 200


class Asked(Protocol):
    """Who chooses what is asked."""

    def order(self) -> str: ...
    def customer(self) -> str: ...
    def month(self) -> tuple[dt.date, dt.date]: ...


def serve_in_child(cosmos: str, database: str, tables: str, hub: str, partitions: list[str], ends: Connection) -> None:
    container = client_of(cosmos).get_database_client(database)
    synapse = Synapse(tables, hub=Hub(hub, partitions))
    serving = Serving(query_app(synapse, QueryContainer(container.get_container_client("query-model")), hub))
    serving.start()
    ends.send(serving.url)
    ends.recv()
    serving.stop()


def project_in_child(listen: str, hub: str, cosmos: str, database: str, tables: str, ends: Connection) -> None:
    containers = client_of(cosmos).get_database_client(database)

    def consumer(**options: Any) -> EventHubConsumerClient:
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


def publish_in_child(send: str, hub: str, partitions: list[str], seconds: float, ends: Connection) -> None:
    """Events of new orders of the newest day, at their pace; tells how many."""
    producer = EventHubProducerClient.from_connection_string(send, eventhub_name=hub)
    items: Any = [{"productId": "tea", "quantity": 2, "unitPrice": "12.50"}]
    ends.send(None)
    ends.recv()
    sent, began = 0, time.monotonic()
    for turn in range(int(seconds * BATCHES_PER_S)):
        if ends.poll(max(0.0, turn / BATCHES_PER_S - (time.monotonic() - began))):
            break
        groups: dict[str, list[Any]] = {}
        for number in range(sent, (turn + 1) * EVENTS_PER_S // BATCHES_PER_S):
            who = f"order-{days_before(0):%Y%m%d}-new-{number:07}"
            data = {"customerId": customer(number), "items": items, "total": "25.00"}
            event = EventData(body(who, 1, "OrderCreated", data))
            event.properties = {"eventType": "OrderCreated", "aggregateId": who, "version": 1}
            groups.setdefault(partition_of(who, partitions), []).append(event)
            sent += 1
        for part, events in groups.items():
            producer.send_batch(events, partition_id=part)
    producer.close()
    ends.send(sent)


class Child:
    """A started process, and the pipe to it. Raises: `Missed` if its first word does not come."""

    def __init__(self, target: Callable[..., None], *arguments: Any) -> None:
        self.ends, theirs = multiprocessing.Pipe()
        process = multiprocessing.get_context("spawn").Process(target=target, args=(*arguments, theirs), daemon=True)
        process.start()
        self.pid = process.pid or 0
        self.first = self.word(target.__name__)

    def word(self, of: str = "a process") -> Any:
        if not self.ends.poll(PATIENCE_SECONDS):
            raise Missed(f"{of} said nothing for {PATIENCE_SECONDS:g} s")
        try:
            return self.ends.recv()
        except EOFError:
            raise Missed(f"{of} ended without its word") from None


def request_for(kind: str, chosen: Asked, seen: deque[tuple[str, str]]) -> tuple[str, dict[str, str]]:
    first, last = chosen.month()
    if kind == "known" and seen:
        path, etag = seen[0]
        seen.rotate(-1)
        return path, {"If-None-Match": etag}
    if kind == "customer":
        return f"/customers/{chosen.customer()}/orders", {}
    if kind == "daily":
        return f"/metrics/daily?from={first}&to={last}", {}
    if kind == "page":
        return f"/orders?from={last}&to={last}&size=50", {}
    return f"/orders/{chosen.order()}", {}


async def open_loop(url: str, chosen: Asked, seconds: float) -> tuple[dict[str, list[float]], list[float]]:
    """Kind -> milliseconds of each request from the time at which it was to be sent; and by how much each was sent
    late. Raises: `Missed`."""
    taken: dict[str, list[float]] = {kind: [] for kind, _ in MIX}
    failed: list[str] = []
    seen: deque[tuple[str, str]] = deque(maxlen=SEEN_AT_MOST)
    late: list[float] = []
    kinds = [kind for kind, share in MIX for _ in range(share)]
    random.Random(7).shuffle(kinds)
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=2.0)  # less than the server keeps them
    timeout = aiohttp.ClientTimeout(total=GIVE_UP_SECONDS)
    async with aiohttp.ClientSession(url, connector=connector, timeout=timeout) as client:

        async def ask(kind: str, due: float) -> None:
            path, headers = request_for(kind, chosen, seen)
            expected = 304 if headers else 200
            late.append((time.perf_counter() - due) * 1000)
            try:
                async with client.get(path, headers=headers) as answer:
                    await answer.read()
            except (aiohttp.ClientError, TimeoutError) as error:
                failed.append(repr(error))
                return
            taken[kind].append((time.perf_counter() - due) * 1000)
            if answer.status != expected:
                failed.append(f"{path}: {answer.status}")
            elif kind == "point":
                seen.append((path, answer.headers["ETag"]))

        for kind in kinds:
            await ask(kind, time.perf_counter())
        taken, late = {kind: [] for kind, _ in MIX}, []
        began, asked = time.perf_counter(), []
        turns = tqdm(range(int(seconds * REQUESTS_PER_S)), "API", leave=False, disable=not sys.stderr.isatty())
        for number in turns:
            due = began + number / REQUESTS_PER_S
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            asked.append(asyncio.create_task(ask(kinds[number % len(kinds)], due)))
        await asyncio.gather(*asked)
    if failed:
        raise Missed(f"{len(failed)} of {len(asked)} requests failed, such as {failed[0]}")
    return taken, late


def used_seconds(processes: Mapping[str, int]) -> dict[str, float]:
    """Processor time of each so far."""
    times = {name: psutil.Process(pid).cpu_times() for name, pid in processes.items()}
    return {name: time.user + time.system for name, time in times.items()}


def at_99(values: list[float]) -> float:
    return sorted(values)[int(len(values) * 0.99)]


def figures(
    taken: Mapping[str, list[float]], late: list[float], cores: Mapping[str, float], method: str
) -> Iterator[Figure]:
    everything = [value for values in taken.values() for value in values]
    yield Figure("api_p99_ms", at_99(everything), "ms", method)
    yield Figure("api_p50_ms", statistics.median(everything), "ms", method)
    for kind, values in taken.items():
        quantiles = f"of {len(values)}; p99 {sorted(values)[int(len(values) * 0.99)]:.1f}"
        yield Figure(f"api_{kind}_p50_ms", statistics.median(values), "ms", quantiles)
    yield Figure(
        "late_p99_ms", sorted(late)[int(len(late) * 0.99)], "ms", "sent after its time: how well the load was kept"
    )
    for name, share in cores.items():
        yield Figure(f"cores_{name}", share, "cores", "processor time used meanwhile, per second")


def under_load(lab: Any, target: Any, azure_pid: int, tables: str, chosen: Asked, seconds: float) -> Iterator[Figure]:
    """Raises: `Missed`."""
    database, partitions = lab.database("projector").id, [*lab.partition_ids]
    QueryContainer(lab.container("query-model", "projector")).save(lab.hub, dict.fromkeys(partitions, -1))
    projecting = Child(project_in_child, target.listen, lab.hub, target.cosmos, database, tables)
    serving = Child(serve_in_child, target.cosmos_read_only, database, tables, lab.hub, partitions)
    publishing = Child(publish_in_child, target.send, lab.hub, partitions, seconds)
    processes = {
        "api": serving.pid, "projector": projecting.pid, "publisher": publishing.pid, "azure": azure_pid,
        "generator": psutil.Process().pid,
    }  # fmt: skip
    before, began = used_seconds(processes), time.perf_counter()
    publishing.ends.send(None)
    try:
        taken, late = asyncio.run(open_loop(serving.first, chosen, seconds))
        after, took = used_seconds(processes), time.perf_counter() - began
        sent = publishing.word("the publisher")
    finally:
        for child in (serving, projecting):
            child.ends.send(None)
    applied, error = projecting.word("the projector")
    if error or applied < sent * 0.9:
        raise Missed(f"{applied} of {sent} events were projected: {error}")
    many = sum(map(len, taken.values()))
    method = f"open loop, {many:,} requests in {seconds:g} s, none missed, while {sent:,} events came and {applied:,} "
    cores = {name: (after[name] - before[name]) / took for name in processes}
    yield from figures(taken, late, cores, method + "were projected")
