"""Seeded traffic: the same seed gives the same customers, orders and commands, in the same order, on every machine.

Owns what the shop's day looks like, and how fast it comes (`steady`, `burst`, `ramp`; `hot_share` is a hot customer).
Refuses to know how a command is carried out; the day is given.

Each order lives its own life (created, perhaps changed, perhaps paid, shipped or cancelled); the lives are interleaved
as they would be in a shop, and each keeps its own order. All of these commands are accepted by the domain.

`drive` is an open loop: each command is due at its moment, whether or not those before it have been answered. A slow
system gets the same load and a growing queue, not less load; and a command's time counts from when it was due, so that
waiting in that queue counts, too.
"""

from __future__ import annotations

import random
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from labkit.events.ids import order_id
from labkit.write_model.handler import Context
from labkit.write_model.orders import (
    CancelOrder,
    Command,
    CreateOrder,
    Item,
    PayOrder,
    RegisterCustomer,
    ShipOrder,
    UpdateOrder,
)

NAMES = ("Ada", "Ben", "Cleo", "Dora", "Emil", "Finn", "Greta", "Hugo", "Ines", "Jan", "Kaja", "Lena")
GOODS = (("tea", "4.20"), ("coffee", "7.90"), ("mug", "12.50"), ("kettle", "39.00"), ("honey", "6.35"), ("jam", "3.15"))
FATES = (((), 20), ((PayOrder,), 25), ((PayOrder, ShipOrder), 40), ((CancelOrder,), 10), ((PayOrder, CancelOrder), 5))
"""What happens to an order after it was made, and in how many of 100 cases."""


@dataclass(frozen=True, slots=True)
class Workload:
    """`orders` orders of `customers` customers, spread over `days` days that end with `last_day`.

    `hot_share` of the orders come from the first customer. `registered_share` of the customers, the first ones, are
    registered beforehand; the others order without. `changed_share` of the orders are changed once before all else.
    """

    seed: int
    last_day: date
    orders: int = 100
    customers: int = 20
    days: int = 1
    registered_share: float = 0.9
    hot_share: float = 0.0
    changed_share: float = 0.15

    def customer_ids(self) -> list[str]:
        return [f"customer-{number:03}" for number in range(1, self.customers + 1)]

    def commands(self) -> Iterator[tuple[Command, Context]]:
        """Registrations first, then the interleaved lives of the orders; each command under a key of its own."""
        rng = random.Random(self.seed)
        registered = self.customer_ids()[: round(self.registered_share * self.customers)]
        commands: list[Command] = [
            RegisterCustomer(customer, NAMES[number % len(NAMES)]) for number, customer in enumerate(registered)
        ]
        commands += _interleaved([self._life(rng, number) for number in range(1, self.orders + 1)], rng)
        for number, command in enumerate(commands, 1):
            yield command, Context(f"seed-{self.seed}-{number}", source="workload")

    def _life(self, rng: random.Random, number: int) -> list[Command]:
        day = self.last_day - timedelta(days=rng.randrange(self.days))
        name = order_id(day, f"s{self.seed}-{number:05}")
        ids = self.customer_ids()
        customer = ids[0] if rng.random() < self.hot_share else rng.choice(ids)
        life: list[Command] = [CreateOrder(name, customer, _items(rng), backfill=self.days > 1)]
        if rng.random() < self.changed_share:
            life.append(UpdateOrder(name, _items(rng)))
        (fate,) = rng.choices([fate for fate, _ in FATES], [weight for _, weight in FATES])
        return [*life, *(step(name) for step in fate)]


def _items(rng: random.Random) -> tuple[Item, ...]:
    chosen = rng.sample(GOODS, rng.randint(1, 4))
    return tuple(Item(product, rng.randint(1, 5), Decimal(price)) for product, price in chosen)


def _interleaved(lives: list[list[Command]], rng: random.Random) -> Iterator[Command]:
    """Orders begin one after the other; what follows in a life comes somewhere among the next ones."""
    waiting: list[list[Command]] = []
    for life in lives:
        waiting.append(life)
        while len(waiting) > 10 or (waiting and rng.random() < 0.5):
            yield from _step(waiting, rng)
    while waiting:
        yield from _step(waiting, rng)


def _step(waiting: list[list[Command]], rng: random.Random) -> Iterator[Command]:
    at = rng.randrange(len(waiting))
    command, *rest = waiting.pop(at)
    if rest:
        waiting.insert(at, rest)
    yield command


Rate = Callable[[float], float]
"""Commands per second, at so many seconds after the beginning."""


def steady(per_s: float) -> Rate:
    return lambda second: per_s


def ramp(from_per_s: float, to_per_s: float, lasts_s: float) -> Rate:
    return lambda second: from_per_s + (to_per_s - from_per_s) * min(second / lasts_s, 1.0)


def burst(per_s: float, peak_per_s: float, begins_s: float, lasts_s: float) -> Rate:
    return lambda second: peak_per_s if begins_s <= second < begins_s + lasts_s else per_s


def due_seconds(rate: Rate, lasts_s: float) -> Iterator[float]:
    """When each command is due, in seconds after the beginning."""
    second = 0.0
    while second < lasts_s:
        yield second
        second += 1 / rate(second)


@dataclass(frozen=True, slots=True)
class Sent:
    """One command and what came of it; times in seconds after the beginning."""

    command: Command
    due_s: float
    began_s: float
    outcome: object


def drive(
    commands: Iterable[tuple[Command, Context]],
    due: Iterable[float],
    carry_out: Callable[[Command, Context], object],
    lanes: int = 16,
) -> list[Sent]:
    """Send each command when it is due; what came of each, in that order. The commands of one aggregate keep theirs.

    Raises: what `carry_out` raises, after all have been sent.
    """
    began = time.monotonic()

    def send(command: Command, context: Context, due_s: float) -> Sent:
        begun = time.monotonic()
        outcome = carry_out(command, context)
        return Sent(command, due_s, begun - began, outcome)

    with ExitStack() as stack:
        pools = [stack.enter_context(ThreadPoolExecutor(1, f"lane-{number}")) for number in range(lanes)]
        sending = []
        for due_s, (command, context) in zip(due, commands, strict=False):
            time.sleep(max(began + due_s - time.monotonic(), 0))
            lane = pools[zlib.crc32(command.aggregate_id.encode()) % lanes]
            sending.append(lane.submit(send, command, context, due_s))
    return [one.result() for one in sending]
