"""Seeded traffic."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime

import pytest

from labkit.events.ids import order_day
from labkit.workload import Workload
from labkit.write_model.orders import CreateOrder, Refusal, RegisterCustomer, State, decide, evolve

DAY = date(2026, 1, 5)
NOW = datetime(2026, 1, 5, 9, tzinfo=UTC)


def test_the_same_seed_gives_the_same_commands_and_another_seed_gives_others() -> None:
    assert list(Workload(7, DAY).commands()) == list(Workload(7, DAY).commands())
    assert list(Workload(7, DAY).commands()) != list(Workload(8, DAY).commands())


@pytest.mark.parametrize("days", [1, 30])
@pytest.mark.parametrize("seed", range(5))
def test_the_domain_accepts_every_command_in_the_order_given(seed: int, days: int) -> None:
    states: dict[str, State] = {}
    for command, _ in Workload(seed, DAY, orders=200, days=days).commands():
        event = decide(states.get(command.aggregate_id), command, NOW)
        assert not isinstance(event, Refusal), event
        states[command.aggregate_id] = evolve(states.get(command.aggregate_id), event)
    assert {type(state).__name__ for state in states.values()} == {"Order", "Customer"}
    assert {str(state.status) for state in states.values() if hasattr(state, "status")} == {
        "Created",
        "Paid",
        "Shipped",
        "Cancelled",
    }


def test_no_two_commands_share_an_idempotency_key() -> None:
    keys = Counter(context.idempotency_key for _, context in Workload(7, DAY, orders=300).commands())
    assert set(keys.values()) == {1}


def test_there_are_as_many_orders_and_days_as_asked_for_and_the_lives_are_interleaved() -> None:
    commands = [command for command, _ in Workload(7, DAY, orders=300, days=3).commands()]
    made = [command.order_id for command in commands if isinstance(command, CreateOrder)]
    assert len(set(made)) == len(made) == 300
    assert {order_day(order) for order in made} == {date(2026, 1, 3), date(2026, 1, 4), DAY}
    ids = [command.aggregate_id for command in commands if not isinstance(command, RegisterCustomer)]
    assert ids != sorted(ids, key=ids.index)


def test_a_hot_customer_takes_its_share_and_some_customers_stay_unregistered() -> None:
    commands = [command for command, _ in Workload(7, DAY, orders=400, customers=10, hot_share=0.5).commands()]
    takers = Counter(command.customer_id for command in commands if isinstance(command, CreateOrder))
    assert 180 <= takers["customer-001"] <= 260
    registered = {command.customer_id for command in commands if isinstance(command, RegisterCustomer)}
    assert set(takers) - registered == {"customer-010"}
