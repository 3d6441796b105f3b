"""Many clients, services that fail, relays killed with `kill -9`: every accepted command is published, none invented.

Two relays share the feed ranges, each in a process of its own; while eight clients send commands one of the two is
killed again and again, and replaced. Before some commands a client makes a service misbehave: 429, 503, connections cut
before or after the commit, acknowledgements lost. CHAOS_COMMANDS says how many commands; the long run has 10,000 of
them, and 20 kills. A few run by default.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import pytest
from azure.core.exceptions import AzureError
from azure.cosmos import ContainerProxy

import localazure
from labkit.events.envelope import EventEnvelope, from_document, from_json
from labkit.events.leases import read_leases
from labkit.events.reading import HubReader
from labkit.events.relay import Relay
from labkit.lab import Lab, open_lab
from labkit.settings import Target, embedded
from labkit.write_model.handler import Accepted, Bill, CommandHandler, Context, Refused, load, rebuilt
from labkit.write_model.orders import CancelOrder, Command, CreateOrder, Item, PayOrder, ShipOrder, UpdateOrder

COMMANDS = int(os.environ.get("CHAOS_COMMANDS", "240"))
SEED = int(os.environ.get("CHAOS_SEED", "20260105"))
KILLS = max(2, COMMANDS // 500)
CLIENTS = 8
RELAYS = 2
TRIES = 30
ONE_FAULT_IN = 8
PATIENCE_SECONDS = 60.0

pytestmark = pytest.mark.chaos


def some_command(chance: random.Random) -> Command:
    order_id = f"order-20260105-{chance.randrange(COMMANDS // 8):05}"
    items = (Item("tea", chance.randint(1, 9), Decimal("4.50")),)
    kinds: list[Command] = [UpdateOrder(order_id, items), PayOrder(order_id), ShipOrder(order_id)]
    create = CreateOrder(order_id, "customer-1", items)
    return chance.choice([create, create, *kinds, kinds[0], CancelOrder(order_id)])


def misbehave(lab: Lab, chance: random.Random) -> None:
    cosmos, event_hubs = lab.faults.cosmos, lab.faults.event_hubs
    faults: list[Callable[[], object]] = [
        lambda: cosmos.respond(429, retry_after_ms=20, times=chance.randint(1, 3)),
        lambda: cosmos.respond(503, operation=chance.choice(["batch", "upsert", "change_feed", "replace"])),
        lambda: cosmos.drop_connection(operation=chance.choice(["batch", "upsert", "replace", "read"])),
        lambda: cosmos.drop_connection(operation="batch", after_commit=True),
        lambda: cosmos.drop_connection(operation=chance.choice(["upsert", "replace"]), after_commit=True),
        lambda: event_hubs.refuse_send(),
        lambda: event_hubs.lose_acknowledgement(),
        lambda: event_hubs.detach_sender(),
    ]
    chance.choice(faults)()


@dataclass
class Client:
    """Sends commands, each under a key of its own, until it has an answer."""

    lab: Lab
    handler: CommandHandler
    number: int
    answers: dict[str, Accepted | Refused] = field(default_factory=dict)

    def work(self, done: Callable[[], object]) -> None:
        chance = random.Random(SEED + self.number)
        for number in range(COMMANDS // CLIENTS):
            if chance.randrange(ONE_FAULT_IN) == 0:
                misbehave(self.lab, chance)
            self.ask(some_command(chance), Context(f"key-{self.number}-{number}"))
            done()

    def ask(self, command: Command, context: Context) -> None:
        for _ in range(TRIES):
            try:
                self.answers[context.idempotency_key] = self.handler.handle(command, context)
            except AzureError:
                continue
            return
        raise AssertionError(f"no answer to {command} after {TRIES} tries")


class RelayProcesses:
    """So many relays, each a process; `kill_one` kills them in turn and starts another in the place of the dead one."""

    def __init__(self, target: Target, lab: Lab) -> None:
        where = {"cosmos": target.cosmos, "send": target.send, "hub": lab.hub, "database": lab.database("relay").id}
        self._told = (json.dumps(where) + "\n").encode()
        self._running: list[subprocess.Popen[bytes]] = []
        self.kills = 0

    def start(self) -> None:
        file = Path(__file__).with_name("relay_process.py")
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        process = subprocess.Popen([sys.executable, str(file)], stdin=subprocess.PIPE, env=environment)
        assert process.stdin is not None
        process.stdin.write(self._told)
        process.stdin.flush()
        self._running.append(process)

    def kill_one(self) -> None:
        victim = self._running.pop(0)
        victim.kill()
        victim.communicate(timeout=PATIENCE_SECONDS)
        self.kills += 1
        self.start()

    def stop(self) -> list[int]:
        """Let them end by themselves; their exit codes."""
        for process in self._running:
            process.communicate(timeout=PATIENCE_SECONDS)
        return [process.returncode for process in self._running]

    def kill_all(self) -> None:
        for process in self._running:
            process.kill()
            process.communicate(timeout=PATIENCE_SECONDS)


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Target]:
    with localazure.start(tmp_path / "azure", ranges=4) as azure:
        yield embedded(azure, tmp_path / "tables")


@pytest.fixture
def lab(target: Target) -> Iterator[Lab]:
    with open_lab("00", partitions=3, target=target) as opened:
        yield opened
        opened.faults.clear()


def all_events(write_model: ContainerProxy) -> dict[str, list[EventEnvelope]]:
    found = write_model.query_items("SELECT * FROM c WHERE c.kind = 'event'", enable_cross_partition_query=True)
    events = sorted(map(from_document, found), key=lambda event: event.version)
    return {name: list(group) for name, group in by_aggregate(events)}


def by_aggregate(events: list[EventEnvelope]) -> Iterator[tuple[str, Iterator[EventEnvelope]]]:
    ordered = sorted(events, key=lambda event: event.aggregate_id)  # stable: the order within an aggregate stays
    return itertools.groupby(ordered, key=lambda event: event.aggregate_id)


def test_every_accepted_command_is_published_and_none_invented(lab: Lab, target: Target) -> None:
    relays = RelayProcesses(target, lab)
    with ExitStack() as stack:
        stack.callback(relays.kill_all)
        for _ in range(RELAYS):
            relays.start()
        until_every_range_is_held(lab)
        clients = commands_under_kills(lab, relays)
        lab.faults.clear()
        stored = all_events(lab.container("write-model", "command"))
        looking = Relay(lab.container("write-model", "relay"), lab.producer(), lab.container("relay-state", "relay"))
        for name, events in stored.items():
            looking.wait_until_published(f"{name}@{events[-1].version}", PATIENCE_SECONDS)
        assert relays.stop() == [0] * RELAYS
    assert relays.kills == KILLS
    assert_each_wish_once(lab, clients, stored)
    assert_published(lab, stored)


def until_every_range_is_held(lab: Lab) -> None:
    state, write_model = lab.container("relay-state", "relay"), lab.container("write-model", "relay")
    never = threading.Event()
    for _ in range(int(PATIENCE_SECONDS / 0.1)):
        if all(lease.is_held for lease in read_leases(state, write_model)):
            return
        never.wait(0.1)
    raise AssertionError("the relays did not start")


def commands_under_kills(lab: Lab, relays: RelayProcesses) -> list[Client]:
    handler = CommandHandler(lab.container("write-model", "command"), lab.clock)
    clients = [Client(lab, handler, number) for number in range(CLIENTS)]
    answered, due = itertools.count(1), threading.Semaphore(0)
    kill_every = COMMANDS // CLIENTS * CLIENTS // KILLS

    def done() -> None:
        if next(answered) % kill_every == 0:
            due.release()

    with ThreadPoolExecutor(CLIENTS) as pool:
        working = [pool.submit(client.work, done) for client in clients]
        for _ in range(KILLS):
            assert due.acquire(timeout=PATIENCE_SECONDS)
            relays.kill_one()
        for one in working:
            one.result()
    return clients


def assert_each_wish_once(lab: Lab, clients: list[Client], stored: dict[str, list[EventEnvelope]]) -> None:
    """Accepted: one effect. Refused: none. The states are the fold of their events, which count without gaps."""
    answers = {key: answer for client in clients for key, answer in client.answers.items()}
    assert len(answers) == COMMANDS // CLIENTS * CLIENTS
    causes = Counter(event.causation_id for events in stored.values() for event in events)
    assert set(causes.values()) == {1}
    accepted = {key: answer.event_id for key, answer in answers.items() if isinstance(answer, Accepted)}
    assert {event.causation_id: event.event_id for events in stored.values() for event in events} == accepted
    for name, events in stored.items():
        loaded = load(lab.container("write-model", "command"), name, Bill())
        assert [event.version for event in events] == list(range(1, loaded.version + 1))
        assert rebuilt(events) == loaded.state


def assert_published(lab: Lab, stored: dict[str, list[EventEnvelope]]) -> None:
    """The hub holds each event of the store, first copies in order, and nothing else."""
    with HubReader(lab.async_consumer("monitor", "lessons"), lab.start_positions) as reader:
        received = [from_json(one.body) for one in reader.read_to_end(PATIENCE_SECONDS)]
    first = {event.event_id: event for event in reversed(received)}
    assert first == {event.event_id: event for events in stored.values() for event in events}
    arrived = list({event.event_id: event for event in received}.values())
    for _, events in by_aggregate(arrived):
        versions = [event.version for event in events]
        assert versions == sorted(versions)
