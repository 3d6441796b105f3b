"""Whatever the order of commands, crashes, retries, rivals and relays: state = fold(events), no gaps, each wish once,
and in the hub every event of the outbox and no other.

A hypothesis state machine drives the real handler and real relays on the embedded Azure. It keeps its own account of
what was wished for, which it compares after every step; at the end it reads the hub. A relay is a process here that can
die, or be overtaken, before and after each of its calls to a service. Leases last no time, so that each relay may take
from any other what that one still believes to be its own.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import AzureError
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

import localazure
from labkit.events.envelope import from_json, to_json
from labkit.events.reading import HubReader
from labkit.events.relay import Relay
from labkit.lab import Lab, open_lab
from labkit.settings import embedded
from labkit.write_model import handler as handlers
from labkit.write_model.handler import Accepted, Bill, CommandHandler, Context, Refused
from labkit.write_model.orders import (
    CancelOrder,
    Command,
    CreateOrder,
    Item,
    PayOrder,
    RefusalCode,
    ShipOrder,
    UpdateOrder,
)

EXAMPLES = int(os.environ.get("LAB_EXAMPLES", "8"))
KINDS = ("update", "update", "update", "create", "pay", "ship", "cancel")
"""Updates more often: only an order that stays open meets itself again under the same key."""
STEPS = ("send_batch", "upsert_item", "replace_item", "query_items_change_feed", "create_item", "read_item")
"""A relay's calls: sending, saving a continuation, claiming or giving back a lease, reading the feed, making leases."""
moments = st.tuples(st.sampled_from((*STEPS[:2], *STEPS)), st.integers(1, 2), st.booleans())


def command(kind: str, order_id: str, quantity: int) -> Command:
    items = (Item("tea", quantity, Decimal("4.50")),)
    match kind:
        case "create":
            return CreateOrder(order_id, "customer-1", items)
        case "update":
            return UpdateOrder(order_id, items)
        case "pay":
            return PayOrder(order_id)
        case "ship":
            return ShipOrder(order_id)
        case _:
            return CancelOrder(order_id, f"reason {quantity}")


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with (
        localazure.start(tmp_path / "azure", ranges=2) as azure,
        open_lab("00", partitions=2, target=embedded(azure, tmp_path)) as opened,
    ):
        yield opened


class Died(Exception):
    """The process ended here."""


@dataclass
class Process:
    """A relay's process. At its `nth` call of `step` something happens: `meanwhile`, or its death."""

    step: str = ""
    nth: int = 1
    after: bool = False
    meanwhile: Callable[[], object] | None = None
    is_dead: bool = False

    def call(self, name: str, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        if self.is_dead:
            raise Died
        self.nth -= name == self.step
        is_now = name == self.step and self.nth == 0
        if is_now and not self.after:
            self.happen()
        answer = function(*arguments, **named)
        if is_now and self.after:
            self.happen()
        return answer

    def happen(self) -> None:
        if self.meanwhile is None:
            self.is_dead = True
            raise Died
        self.meanwhile()


@dataclass(frozen=True)
class Watched:
    """A client whose calls are the process's."""

    client: Any
    process: Process

    def __getattr__(self, name: str) -> Any:
        function = getattr(self.client, name)
        if name not in STEPS:
            return function
        return lambda *arguments, **named: self.process.call(name, function, *arguments, **named)


class Shop(RuleBasedStateMachine):
    """Three orders, few enough for everything to collide; `wishes` are commands with the key they were sent under."""

    lab: Lab
    producer: Any
    hub: HubReader
    runs = 0
    wishes = Bundle("wishes")

    def __init__(self) -> None:
        super().__init__()
        Shop.runs += 1
        self.orders = [f"order-20260105-{Shop.runs}-{number}" for number in (1, 2, 3)]
        self.write_model = self.lab.container("write-model", "command")
        self.handler = CommandHandler(self.write_model, self.lab.clock)
        self.keys = 0
        self.answers: dict[str, Accepted] = {}
        self.workers = [self.relay(Process()) for _ in range(2)]
        for order_id in (self.orders[0], self.orders[2]):
            self.it_is_sent((command("create", order_id, 1), f"first-{order_id}"))

    @rule(target=wishes, kind=st.sampled_from(KINDS), order=st.sampled_from((0, 1)), quantity=st.integers(1, 3))
    def somebody_wishes(self, kind: str, order: int, quantity: int) -> tuple[Command, str]:
        self.keys += 1
        return command(kind, self.orders[order], quantity), f"key-{self.keys}"

    @rule(wish=wishes, times=st.integers(1, 2))
    def it_is_sent(self, wish: tuple[Command, str], times: int = 1) -> None:
        for _ in range(times):
            self.remember(wish, self.handler.handle(wish[0], Context(wish[1])))

    @rule(wish=wishes, after_commit=st.booleans())
    def it_is_sent_and_the_answer_is_lost(self, wish: tuple[Command, str], after_commit: bool) -> None:
        fault = self.lab.faults.cosmos.drop_connection(operation="batch", after_commit=after_commit, times=9)
        try:
            self.remember(wish, self.handler.handle(wish[0], Context(wish[1])))
        except AzureError:
            pass
        finally:
            fault.clear()

    @rule(mine=wishes, rival=wishes)
    def it_is_sent_while_a_rival_is_faster(self, mine: tuple[Command, str], rival: tuple[Command, str]) -> None:
        contended: Any = _Rival(self, rival)
        self.remember(mine, CommandHandler(contended, self.lab.clock).handle(mine[0], Context(mine[1])))

    def relay(self, process: Process) -> Relay:
        clients: list[Any] = [self.lab.container(name, "relay") for name in ("write-model", "relay-state")]
        write_model, state, producer = (Watched(client, process) for client in (*clients, self.producer))
        watched: Any = (write_model, producer, state)
        return Relay(*watched, page_documents=3, lease_seconds=0.0)

    @rule()
    def a_relay_makes_a_round(self) -> None:
        self.relay(Process()).run_once()

    @rule(worker=st.sampled_from((0, 1)))
    def a_worker_that_keeps_its_leases_takes_a_turn(self, worker: int) -> None:
        self.workers[worker]._turn()

    @rule(moment=moments)
    def a_relay_dies(self, moment: tuple[str, int, bool]) -> None:
        self.something_happens()
        with contextlib.suppress(Died):
            self.relay(Process(*moment)).run_once()

    @rule(moment=moments, death=moments)
    def a_relay_is_overtaken(self, moment: tuple[str, int, bool], death: tuple[str, int, bool]) -> None:
        def meanwhile() -> None:
            self.something_happens()
            with contextlib.suppress(Died):
                self.relay(Process(*death)).run_once()

        self.something_happens()
        self.relay(Process(*moment, meanwhile)).run_once()

    def something_happens(self) -> None:
        """An event for certain: the last order stays open, as nobody wishes anything else of it."""
        self.keys += 1
        self.it_is_sent((command("update", self.orders[2], 1), f"key-{self.keys}"), times=2)

    def remember(self, wish: tuple[Command, str], outcome: Accepted | Refused) -> None:
        """The same key and command never get two different acceptances, and never a refusal after one."""
        first = self.answers.get(wish[1])
        if isinstance(outcome, Refused):
            assert first is None, (wish, first, outcome)
            assert outcome.refusal.code != RefusalCode.KEY_REUSED
        else:
            assert first is None or (first.version, first.event_id) == (outcome.version, outcome.event_id)
            self.answers.setdefault(wish[1], outcome)

    def teardown(self) -> None:
        """What is left is published; then the hub holds every event, in order, and none that was not stored."""
        self.relay(Process()).run_once()
        assert self.relay(Process()).run_once() == 0
        arrived: dict[str, dict[int, bytes]] = {order_id: {} for order_id in self.orders}
        for one in self.hub.read_to_end():
            event = from_json(one.body)
            if event.aggregate_id in arrived:
                versions = arrived[event.aggregate_id]
                assert event.version <= len(versions) + 1, "an event overtook one of its own order"
                assert versions.setdefault(event.version, one.body) == one.body
        for order_id in self.orders:
            stored = handlers.history(self.write_model, order_id)
            assert arrived[order_id] == {event.version: to_json(event) for event in stored}

    @invariant()
    def the_state_is_the_fold_and_every_wish_had_at_most_one_effect(self) -> None:
        for order_id in self.orders:
            events = handlers.history(self.write_model, order_id)
            loaded = handlers.load(self.write_model, order_id, Bill())
            assert [event.version for event in events] == list(range(1, loaded.version + 1))
            assert handlers.rebuilt(events) == loaded.state
            causes = [event.causation_id for event in events]
            assert len(set(causes)) == len(causes)
            told = {key: answer for key, answer in self.answers.items() if answer.aggregate_id == order_id}
            assert all(events[answer.version - 1].causation_id == key for key, answer in told.items())


class _Rival:
    """The container, on which the rival gets a word in after the first read of the state."""

    def __init__(self, shop: Shop, wish: tuple[Command, str]) -> None:
        self._shop = shop
        self._wish: tuple[Command, str] | None = wish

    def read_item(self, item: str, **more: Any) -> Any:
        try:
            return self._shop.write_model.read_item(item, **more)
        finally:
            if item == "state" and self._wish is not None:
                wish, self._wish = self._wish, None
                self._shop.it_is_sent(wish)

    def execute_item_batch(self, operations: Any, **more: Any) -> Any:
        return self._shop.write_model.execute_item_batch(operations, **more)


def test_any_order_of_commands_crashes_retries_rivals_and_relays(lab: Lab) -> None:
    Shop.lab, Shop.producer = lab, lab.producer("relay")
    with HubReader(lab.async_consumer("monitor", "lessons"), lab.start_positions) as Shop.hub:
        run_state_machine_as_test(
            Shop,
            settings=settings(
                max_examples=EXAMPLES,
                stateful_step_count=16,
                derandomize=True,
                suppress_health_check=list(HealthCheck),
                phases=[Phase.generate],  # each step costs requests: a failure is shown as it was found
            ),
        )
