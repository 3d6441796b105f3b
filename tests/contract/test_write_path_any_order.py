"""Whatever the order of commands, crashes, retries and rivals: state = fold(events), no gaps, each wish once.

A hypothesis state machine drives the real handler on the embedded Azure and keeps its own account of what was wished
for, which it compares after every step.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import AzureError
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

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
from localazure.handle import LocalAzure

KINDS = ("update", "update", "update", "create", "pay", "ship", "cancel")
"""Updates more often: only an order that stays open meets itself again under the same key."""


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
def lab(own_azure: LocalAzure, tmp_path: Path) -> Iterator[Lab]:
    with open_lab("00", partitions=2, target=embedded(own_azure, tmp_path)) as opened:
        yield opened


class Shop(RuleBasedStateMachine):
    """Two orders, few enough for everything to collide; `wishes` are commands with the key they were sent under."""

    lab: Lab
    runs = 0
    wishes = Bundle("wishes")

    def __init__(self) -> None:
        super().__init__()
        Shop.runs += 1
        self.orders = [f"order-20260105-{Shop.runs}-{number}" for number in (1, 2)]
        self.write_model = self.lab.container("write-model", "command")
        self.handler = CommandHandler(self.write_model, self.lab.clock)
        self.keys = 0
        self.answers: dict[str, Accepted] = {}
        first_wish = command("create", self.orders[0], 1), "key-0"
        self.it_is_sent(first_wish)

    @rule(target=wishes, kind=st.sampled_from(KINDS), order=st.sampled_from((0, 1)), quantity=st.integers(1, 3))
    def somebody_wishes(self, kind: str, order: int, quantity: int) -> tuple[Command, str]:
        self.keys += 1
        return command(kind, self.orders[order], quantity), f"key-{self.keys}"

    @rule(wish=wishes)
    def it_is_sent(self, wish: tuple[Command, str]) -> None:
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

    def remember(self, wish: tuple[Command, str], outcome: Accepted | Refused) -> None:
        """The same key and command never get two different acceptances, and never a refusal after one."""
        first = self.answers.get(wish[1])
        if isinstance(outcome, Refused):
            assert first is None, (wish, first, outcome)
            assert outcome.refusal.code != RefusalCode.KEY_REUSED
        else:
            assert first is None or (first.version, first.event_id) == (outcome.version, outcome.event_id)
            self.answers.setdefault(wish[1], outcome)

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

    def read_item(self, item: str, partition_key: str) -> Any:
        try:
            return self._shop.write_model.read_item(item, partition_key=partition_key)
        finally:
            if item == "state" and self._wish is not None:
                wish, self._wish = self._wish, None
                self._shop.it_is_sent(wish)

    def execute_item_batch(self, operations: Any, partition_key: str) -> Any:
        return self._shop.write_model.execute_item_batch(operations, partition_key=partition_key)


def test_any_order_of_commands_crashes_retries_and_rivals(lab: Lab) -> None:
    Shop.lab = lab
    run_state_machine_as_test(
        Shop,
        settings=settings(
            max_examples=30,
            stateful_step_count=15,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
