"""`kill -9` of every process on the path, again and again: the tables end as the fold of the history, to the cent.

Beside the embedded Azure run a relay and two projectors (one active, one standing by), each in a process of its own.
None of them may end by itself, whatever happens to the others.
While a history is written into the event store, piece by piece, and events that were applied long ago are sent once
more, one of the four is killed, and started again. Half way a rebuild begins, which finds no row that differs, and goes
on with new tables. CHAOS_KILLS says how often; the long run has 200 of them and 50,000
events. Ten and a few events run by default.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from pathlib import Path

import psutil
import pytest
from azure.core.exceptions import AzureError
from azure.cosmos import ContainerProxy
from azure.eventhub import EventData
from azure.eventhub.exceptions import EventHubError
from msgspec.structs import replace

from labkit.errors import NotYet
from labkit.events.envelope import EventEnvelope, to_document, to_json
from labkit.events.partition_key import partition_of
from labkit.lab import Lab, open_lab
from labkit.projections import pointer
from labkit.projections.comparison import Comparison, Difference
from labkit.projections.parking import ParkingLane
from labkit.projections.read_store import ReadStore
from labkit.projections.rebuild import PREFIX, Rebuild, Sources
from labkit.projections.tables import ORDERS, READ_MODELS, contents
from labkit.settings import Target, embedded
from localazure import daemon
from tests.contract import projector_process
from tests.contract.shop import folded
from tests.unit.projections.streams import NINE, event

KILLS = int(os.environ.get("CHAOS_KILLS", "10"))
EVENTS = 50_000 if KILLS >= 200 else 100 * KILLS
SEED = int(os.environ.get("CHAOS_SEED", "20260105"))
DAYS, CUSTOMERS, PARTITIONS = 5, 200, 4
WRITERS = 4
AT_ONCE = 0.3
"""Of the kills, so many come whether or not all are at work again; before the others something has been applied."""
KILL_WITHIN_SECONDS = 0.4
RE_SENT_ORDERS = 20
ENDS: tuple[tuple[str, ...], ...] = ((), ("OrderPaid",), ("OrderPaid", "OrderShipped"), ("OrderCancelled",))
PATIENCE_SECONDS = 120.0 if KILLS < 200 else 900.0

pytestmark = pytest.mark.chaos
ROOT = Path(__file__).resolve().parents[2]


def life(chance: random.Random, number: int) -> list[EventEnvelope]:
    """One order from its making on, or one customer."""
    if number < CUSTOMERS:
        return [event(f"customer-{number:04}", 1, "CustomerRegistered", {"name": f"Customer {number}"})]
    who = f"order-2026010{1 + chance.randrange(DAYS)}-{number:06}"
    items = [{"productId": "tea", "quantity": 1, "unitPrice": "0.01"}] * chance.randint(1, 3)
    customer, price = f"customer-{chance.randrange(CUSTOMERS):04}", Decimal(chance.randint(1, 99_999)) / 100
    made = {"customerId": customer, "items": items, "total": f"{price:.2f}"}
    changed = {"items": items[:1], "total": f"{price + 1:.2f}"}
    steps: list[tuple[str, dict[str, object] | None]] = [("OrderCreated", made)]
    steps += [("OrderUpdated", changed)] * chance.randrange(3)
    steps += chance.choice(
        [[], [("OrderPaid", None)], [("OrderPaid", None), ("OrderShipped", None)], [("OrderCancelled", None)]]
    )
    life_of = [event(who, version, kind, data) for version, (kind, data) in enumerate(steps, 1)]
    return [replace(one, timestamp=NINE) for one in life_of]


def lives(chance: random.Random) -> list[list[EventEnvelope]]:
    made: list[list[EventEnvelope]] = []
    while sum(map(len, made)) < EVENTS:
        made += (life(chance, number) for number in range(len(made), len(made) + 100))
    return made


@dataclass
class Member:
    """A process that is started again whenever it is found dead."""

    command: list[str]
    first_line: str
    log: Path
    process: subprocess.Popen[str] | None = None
    last_words: list[str] = field(default_factory=list)
    """Of each time it ended by itself: the last line of its log."""

    def tend(self) -> None:
        """Start it unless it lives."""
        if self.process is not None and self.process.poll() is None:
            return
        if self.process is not None and self.process.returncode != -signal.SIGKILL:
            said = self.log.read_text(errors="replace").strip().splitlines()
            self.last_words.append(f"exit {self.process.returncode}: {said[-1] if said else 'nothing'}")
        self.kill()
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                self.command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=log, text=True
            )
        assert self.process.stdin is not None
        self.process.stdin.write(self.first_line)
        self.process.stdin.flush()

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.communicate()


class Stage:
    """The lab, its processes, and the tables."""

    def __init__(self, folder: Path, lab: Lab, target: Target) -> None:
        self.folder, self.lab = folder, lab
        self.tables_url = str(folder / "tables")
        told = projector_process.settings_of(lab, target, self.tables_url)
        projector = (projector_process.COMMAND, json.dumps(told) + "\n")
        relay = {key: told[key] for key in ("cosmos", "database", "hub")} | {"send": target.send}
        self.members = {
            "relay": Member(
                [sys.executable, "-m", "tests.chaos.relay_process"], json.dumps(relay) + "\n", folder / "relay.log"
            ),
            "projector": Member(*projector, folder / "projector.log"),
            "standby": Member(*projector, folder / "standby.log"),
        }
        self.killed: dict[str, int] = dict.fromkeys([*self.members, "daemon"], 0)

    def tend(self) -> None:
        for member in self.members.values():
            member.tend()

    @property
    def ended_by_themselves(self) -> dict[str, list[str]]:
        return {name: member.last_words for name, member in self.members.items() if member.last_words}

    def applied(self) -> int:
        """How much of the hub is in the tables: a number that grows with every commit."""
        positions = ReadStore(self.tables_url).positions(self.lab.hub, self.lab.partition_ids)
        return sum(sum(of_table.values()) for of_table in positions.values())

    def works(self, before: int) -> None:
        """Wait until more is applied than `before`."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.applied() == before:
            assert time.monotonic() < deadline, (self.killed, self.ended_by_themselves)
            self.tend()
            time.sleep(0.05)

    def kill(self, victim: str) -> None:
        running = daemon.status(self.folder / "azure") if victim == "daemon" else None
        if victim == "daemon" and running is None:  # the one that follows the last one killed is not there yet
            victim = "relay"
        if running is not None:
            psutil.Process(running.pid).kill()
        else:
            self.members[victim].kill()
        self.killed[victim] += 1


def in_rounds(chance: random.Random, names: list[str]) -> Iterator[str]:
    """All of them in some order, and again in another, without end."""
    while True:
        yield from chance.sample(names, len(names))


def until_done(work: Callable[[], object]) -> None:
    """Again and again while Azure is away."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            work()
            return
        except (AzureError, EventHubError, NotYet):
            assert time.monotonic() < deadline
            time.sleep(0.05)


def write(write_model: ContainerProxy, life_of: list[EventEnvelope]) -> None:
    """Into the event store, whole. A lost answer has it written twice, and published twice."""
    operations = [("upsert", (to_document(one),)) for one in life_of]
    until_done(lambda: write_model.execute_item_batch(operations, partition_key=life_of[0].aggregate_id))


def send_again(stage: Stage, chance: random.Random, history: dict[str, list[EventEnvelope]]) -> int:
    """Some of what the tables show, once more, under new sequence numbers; how many events."""
    store = ReadStore(stage.tables_url)
    shown = contents(store.table(ORDERS), ORDERS).select(["order_id", "version"]).to_pylist()
    sent, producer = 0, stage.lab.producer(retry_total=0)
    with suppress(EventHubError), producer:
        for row in chance.sample(shown, min(RE_SENT_ORDERS, len(shown))):
            again = [EventData(to_json(one)) for one in history[row["order_id"]][: row["version"]]]
            producer.send_batch(again, partition_id=partition_of(row["order_id"], stage.lab.partition_ids))
            sent += len(again)
    return sent


def rebuilt(stage: Stage) -> Sequence[Difference]:
    """All tables anew, begun again whenever Azure went away; the rows that differed from those in use."""
    lab = stage.lab
    consumer = partial(lab.async_consumer, "projector", "lessons")
    sources = Sources(lab.hub, lab.start_positions, lab.container("write-model", "projector"), consumer)
    parking = ParkingLane(lab.container("parked-events", "projector"))
    found: list[Comparison] = []

    def once() -> None:
        with Rebuild(sources, ReadStore(stage.tables_url), parking) as rebuild:
            rebuild.scan()
            found[:] = [rebuild.compare()]
            rebuild.switch()

    until_done(once)
    return found[0].differences


@contextmanager
def staged(folder: Path) -> Iterator[Stage]:
    azure = daemon.attach(folder / "azure")
    try:
        target = embedded(azure, folder / "labs")
        with open_lab("03", partitions=PARTITIONS, target=target) as lab:
            stage = Stage(folder, lab, target)
            try:
                yield stage
            finally:
                for member in stage.members.values():
                    member.kill()
    finally:
        azure.close()
        daemon.stop(folder / "azure")


def tables(url: str) -> dict[str, list[dict[str, object]]]:
    store = ReadStore(url)
    return {model.name: contents(store.table(model), model).sort_by(model.key).to_pylist() for model in READ_MODELS}


def by_customer(container: ContainerProxy) -> dict[str, tuple[int, str]]:
    found = container.query_items("SELECT * FROM c WHERE IS_DEFINED(c.version)", enable_cross_partition_query=True)
    return {one["id"]: (one["version"], one["total"]) for one in found}


def eventually_equal(stage: Stage, shown: Callable[[], object], expected: object) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        stage.tend()
        with suppress(AzureError):
            if shown() == expected:
                return
        assert time.monotonic() < deadline, (stage.killed, stage.ended_by_themselves)
        time.sleep(0.1)


def test_killed_anywhere_the_tables_end_as_the_fold_of_the_history(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    history = {one[0].aggregate_id: one for one in lives(chance)}
    sent_again = 0
    victims = in_rounds(random.Random(SEED), ["relay", "projector", "standby", "daemon"])
    pieces = [list(history.values())[number::KILLS] for number in range(KILLS)]
    with staged(tmp_path) as stage, ThreadPoolExecutor(WRITERS + 1) as threads:
        ReadStore(stage.tables_url)
        write_model = stage.lab.container("write-model", "command")
        query_model = stage.lab.container("query-model", "query")  # now: the last one killed may be the Azure
        stage.tend()
        for number, piece in enumerate(pieces):
            if number == KILLS // 2:
                rebuilding = threads.submit(rebuilt, stage)
            before = stage.applied()
            written = [threads.submit(write, write_model, one) for one in piece]
            if chance.random() > AT_ONCE:
                stage.works(before)
            sent_again += send_again(stage, chance, history)
            time.sleep(chance.uniform(0, KILL_WITHIN_SECONDS))
            stage.kill(next(victims))
            stage.tend()
            for one in written:
                one.result()
        assert rebuilding.result() == []
        expected = folded([to_json(one) for life_of in history.values() for one in life_of])
        eventually_equal(stage, lambda: tables(stage.tables_url), expected)
        orders = {row["order_id"]: (row["version"], str(row["total"])) for row in expected["orders"]}
        eventually_equal(stage, lambda: by_customer(query_model), orders)
        assert pointer.read(stage.tables_url).current.startswith(PREFIX)
        parked = list(stage.lab.container("parked-events", "query").read_all_items())
    assert parked == []
    live = [row["total"] for row in expected["orders"] if row["status"] != "Cancelled"]
    assert sum(day["revenue"] for day in expected["daily_order_metrics"]) == sum(live)
    print(stage.killed, stage.ended_by_themselves, {"sent again": sent_again, "of": EVENTS})  # noqa: T201
    assert stage.ended_by_themselves == {}, "an Azure that is away for a moment ends no process"
    assert sent_again > 0
    assert min(stage.killed.values()) > 0
