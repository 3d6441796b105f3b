"""The write side: commands through the handler, and the relay catching up with what they left.

The embedded Azure runs in a process of its own, durable as ever. A command is measured beside its floor, the same two
requests through the SDK with the documents prepared. The relay is measured beside what the SDK sends when the same
events lie in memory, through a producer of the same kind, in batches as large as the hub allows.
"""

from __future__ import annotations

import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

from azure.cosmos import ContainerProxy
from azure.eventhub import EventHubProducerClient
from measure import Figure, Missed, interleaved, main

from labkit.clock import LESSONS_START, SteppingClock
from labkit.events.publishing import added, by_hub_partition, message
from labkit.events.relay import Relay
from labkit.lab import Lab, open_lab
from labkit.settings import embedded
from labkit.write_model import handler as handlers
from labkit.write_model.handler import Accepted, CommandHandler, Context, Loaded
from labkit.write_model.orders import Command, CreateOrder, Event, Item, PayOrder, ShipOrder, decide, evolve
from localazure import daemon

ORDERS = 3_000
EVENTS_OF_AN_ORDER = 3
EVENTS = ORDERS * EVENTS_OF_AN_ORDER
COMMANDS_OF_A_RUN = 200
WRITERS = 8
ITEMS = (Item("green tea", 2, Decimal("4.50")), Item("cup", 1, Decimal("9.00")))


@contextmanager
def served(folder: Path) -> Iterator[tuple[Lab, Callable[[], Mapping[str, int]]]]:
    """A lab on an embedded Azure of its own, and what its Cosmos DB has counted."""
    azure = daemon.attach(folder / "azure")
    try:
        target = replace(embedded(azure, folder / "tables"), detach=azure.close)
        with open_lab("00", target=target) as lab:
            yield lab, lambda: azure.counters()["cosmos"]
    finally:
        daemon.stop(folder / "azure")


def life(order_id: str) -> list[Command]:
    return [CreateOrder(order_id, "customer-1", ITEMS), PayOrder(order_id), ShipOrder(order_id)]


def documents(order_id: str) -> handlers.Transaction:
    """State, events and receipts of a whole life, as the handler leaves them."""
    clock, state, operations = SteppingClock(), None, {}
    for number, command in enumerate(life(order_id)):
        context = Context(f"{order_id}-{number}", user_id="ada", source="bench")
        now = clock.now()
        event = decide(state, command, now)
        assert isinstance(event, Event)
        envelope = handlers.enclose(event, order_id, number + 1, now, context)
        loaded = Loaded(state, number, None)
        for operation in handlers.transaction(loaded, event, envelope, command, context):
            operations[operation[1][0]["id"]] = operation
        state = evolve(state, event)
    return list(operations.values())


def fill(write_model: ContainerProxy) -> None:
    """The outbox of so many orders' lives, one transaction each."""
    names = [f"order-20260105-{number:06}" for number in range(ORDERS)]
    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(lambda name: write_model.execute_item_batch(documents(name), partition_key=name), names))


def requests(lab: Lab, counters: Callable[[], Mapping[str, int]]) -> Iterator[Figure]:
    """Requests that the server counted for commands that are new and alone."""
    handler = CommandHandler(lab.container("write-model", "command"), lab.clock)
    run = itertools.count()
    commanded(handler, next(run))
    before = counters()
    commanded(handler, next(run))
    used = sum(counters().values()) - sum(before.values())
    method = f"counted at the server over {COMMANDS_OF_A_RUN} first-time, uncontended commands"
    yield Figure("requests_per_command", used / COMMANDS_OF_A_RUN, "1", method)


def commanded(handler: CommandHandler, run: int) -> list[float]:
    """Milliseconds of each command of a run."""
    taken: list[float] = []
    for number in range(COMMANDS_OF_A_RUN // EVENTS_OF_AN_ORDER + 1):
        for step, command in enumerate(life(f"order-20260105-run{run}-{number}")):
            if len(taken) == COMMANDS_OF_A_RUN:
                return taken
            began = time.perf_counter()
            outcome = handler.handle(command, Context(f"key-{step}"))
            taken.append((time.perf_counter() - began) * 1000)
            if not isinstance(outcome, Accepted):
                raise Missed(f"{command} was refused: {outcome.refusal.sentence}")
    return taken


def bare(write_model: ContainerProxy, run: int) -> list[float]:
    """Milliseconds of the same two requests with nothing decided: a point read and a batch of prepared documents."""
    taken = []
    for number in range(COMMANDS_OF_A_RUN):
        name = f"order-20260105-bare{run}-{number}"
        write_model.create_item({"id": "state", "aggregateId": name})
        batch = [("upsert", operation[1]) for operation in documents(name)[:EVENTS_OF_AN_ORDER]]
        began = time.perf_counter()
        write_model.read_item("state", partition_key=name)
        write_model.execute_item_batch(batch, partition_key=name)
        taken.append((time.perf_counter() - began) * 1000)
    return taken


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def commands(lab: Lab) -> Iterator[Figure]:
    write_model = lab.container("write-model", "command")
    handler = CommandHandler(write_model, SteppingClock(LESSONS_START, timedelta(0)))
    run, mine, floor = itertools.count(100), [], []

    def ours() -> float:
        taken = commanded(handler, next(run))
        mine.extend(taken)
        return statistics.median(taken)

    def theirs() -> float:
        taken = bare(write_model, next(run))
        floor.extend(taken)
        return statistics.median(taken)

    pairs = interleaved(theirs, ours, title="commands")
    method = f"of {len(mine):,} commands, one after the other; the two bare requests: "
    for share, name in ((0.5, "command_p50_ms"), (0.99, "command_p99_ms")):
        yield Figure(name, percentile(mine, share), "ms", f"{method}{percentile(floor, share):.2f}")
    yield Figure("command_over_sdk_floor", pairs.ratio, "x", f"median of {len(pairs.first)} paired ratios of medians")


def caught_up_per_s(lab: Lab, relay: Relay) -> float:
    """Events per second from the beginning of the feed to its end."""
    state = lab.container("relay-state", "relay")
    for document in list(state.read_all_items()):
        if str(document["id"]).startswith("continuation-"):
            state.delete_item(document["id"], partition_key=document["id"])
    began = time.perf_counter()
    sent = relay.run_once()
    if sent < EVENTS:
        raise Missed(f"the relay sent {sent} of {EVENTS} events")
    return sent / (time.perf_counter() - began)


def sent_per_s(producer: EventHubProducerClient, groups: Mapping[str, list[Mapping[str, Any]]]) -> float:
    """Events per second through the SDK alone: messages made, put into full batches, sent one after the other."""
    began = time.perf_counter()
    for partition_id, events in groups.items():
        batch = producer.create_batch(partition_id=partition_id)
        for document in events:
            event = message(document)
            if not added(batch, event):
                producer.send_batch(batch)
                batch = producer.create_batch(partition_id=partition_id)
                batch.add(event)
        producer.send_batch(batch)
    return sum(map(len, groups.values())) / (time.perf_counter() - began)


def catching_up(lab: Lab) -> Iterator[Figure]:
    fill(lab.container("write-model", "command"))
    feed = lab.container("write-model", "relay").query_items_change_feed(start_time="Beginning")
    groups = by_hub_partition([one for one in feed if one["kind"] == "event"], lab.partition_ids)
    with lab.producer("relay") as producer, lab.producer("relay") as alone:
        relay = Relay(lab.container("write-model", "relay"), producer, lab.container("relay-state", "relay"))
        caught_up_per_s(lab, relay), sent_per_s(alone, groups)
        pairs = interleaved(partial(sent_per_s, alone, groups), partial(caught_up_per_s, lab, relay), title="relay")
        before = time.process_time()
        caught_up_per_s(lab, relay)
        cpu_us = (time.process_time() - before) / EVENTS * 1e6
    method = f"median of {len(pairs.second)} runs over {EVENTS:,} events, connected; the SDK alone sends "
    yield Figure("relay_events_per_s", pairs.medians[1], "1/s", f"{method}{pairs.medians[0]:,.0f}")
    method = f"median of {len(pairs.first)} paired ratios to the SDK sending the same events from memory"
    yield Figure("relay_share_of_sdk_send", pairs.ratio, "ratio", method)
    yield Figure("relay_cpu_us_per_event", cpu_us, "us", "processor time of the relay's process, one more run")


def measure() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as scratch, served(Path(scratch)) as (lab, counters):
        yield from catching_up(lab)
        yield from requests(lab, counters)
        yield from commands(lab)


if __name__ == "__main__":
    sys.exit(main(measure))
