"""Seeded traffic."""

from __future__ import annotations

import itertools
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime

import pytest

from labkit.events.ids import order_day
from labkit.workload import Workload, burst, drive, due_seconds, ramp, steady
from labkit.write_model.handler import Context
from labkit.write_model.orders import Command, CreateOrder, Refusal, RegisterCustomer, State, decide, evolve

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


def test_each_shape_gives_as_many_commands_as_its_area() -> None:
    assert list(due_seconds(steady(4), 1)) == [0, 0.25, 0.5, 0.75]
    ramped = list(due_seconds(ramp(10, 30, 10), 10))
    assert len(ramped) == pytest.approx(200, abs=3)
    assert sum(second < 5 for second in ramped) == pytest.approx(75, abs=3)
    bursting = list(due_seconds(burst(10, 100, begins_s=2, lasts_s=1), 5))
    assert sum(2 <= second < 3 for second in bursting) == pytest.approx(100, abs=2)
    assert len(bursting) == pytest.approx(140, abs=3)


def test_a_slow_system_does_not_slow_the_load() -> None:
    all_due = threading.Event()

    def due() -> Iterator[float]:
        yield from due_seconds(steady(1_000), 0.05)
        all_due.set()

    def stuck(command: Command, context: Context) -> None:
        assert all_due.wait(60), "the next command waited for the answer to this one"

    sent = drive(Workload(7, DAY).commands(), due(), stuck, lanes=2)
    assert len(sent) == 50
    assert all(one.began_s >= one.due_s for one in sent)
    assert sent[-1].began_s > sent[-1].due_s, "the time in the queue counts"


def test_the_commands_of_one_aggregate_keep_their_order_and_an_error_is_not_lost() -> None:
    seen: dict[str, list[str]] = defaultdict(list)

    def carry_out(command: Command, context: Context) -> None:
        seen[command.aggregate_id].append(context.idempotency_key)

    commands = list(Workload(7, DAY, orders=60).commands())
    sent = drive(commands, itertools.repeat(0.0), carry_out, lanes=8)
    assert len(sent) == len(commands)
    for name, keys in seen.items():
        assert keys == [context.idempotency_key for command, context in commands if command.aggregate_id == name]
    with pytest.raises(ZeroDivisionError):
        drive(commands, [0.0, 0.0], lambda command, context: 1 // 0)
