"""A running system under a monitor, and the truth about it: what a fault schedule says, for as long as it takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

from labkit.clock import Clock
from labkit.events.partition_key import partition_of
from labkit.events.relay import Relay
from labkit.lab import Lab
from labkit.lag_monitoring.measures import LagSample
from labkit.lag_monitoring.monitor import LagMonitor
from labkit.projections.projector import Projector
from labkit.write_model.handler import Accepted, CommandHandler, Context
from labkit.write_model.orders import CreateOrder, Item

WAIT_SECONDS = 60.0
UNAMBIGUOUS_AT_LEAST = 3
"""So many samples of a stage must lie where the schedule leaves no choice, or the comparison shows nothing."""


def now() -> datetime:
    return datetime.now(UTC)


def caught_up(sample: LagSample) -> bool:
    return sample.lag_events == 0 and sample.outbox.events == 0


@dataclass
class System:
    lab: Lab
    handler: CommandHandler
    relay: Relay
    projector: Projector
    monitor: LagMonitor
    orders: list[str] = field(default_factory=list)

    def order(self, clock: Clock | None = None) -> str:
        """A new order; the token of its first version."""
        name = self.next_order()
        command = CreateOrder(name, "customer-1", (Item("tea", 1, Decimal("4.20")),), backfill=True)
        handler = CommandHandler(self.lab.container("write-model", "command"), clock) if clock else self.handler
        outcome = handler.handle(command, Context(name))
        assert isinstance(outcome, Accepted)
        self.orders.append(name)
        return outcome.token

    def next_order(self) -> str:
        return f"order-20260105-{len(self.orders):04}"

    def published(self, orders: int, clock: Clock | None = None) -> datetime:
        """That many new orders, all in the hub; the time before the first of them."""
        before = now()
        tokens = [self.order(clock) for _ in range(orders)]
        self.relay.wait_until_published(tokens[-1], WAIT_SECONDS)
        return before

    def hub_partition(self, order: str) -> str:
        return partition_of(order, self.lab.partition_ids)

    def samples_since(self, moment: datetime) -> list[LagSample]:
        return [sample for sample in self.monitor.samples if sample.at >= moment]

    def let_pass(self, samples: int) -> None:
        """So many samples are taken."""
        for _ in range(samples):
            self.monitor.wait_until(lambda _: True, WAIT_SECONDS)


@dataclass(frozen=True, slots=True)
class Change:
    """At some time between the two moments a count became `count`, perhaps by and by."""

    began: datetime
    ended: datetime
    count: int


class Schedule:
    """How many events waited at one place, and since when the oldest of them, as whoever caused it knows it."""

    def __init__(self) -> None:
        self.began = now()
        self._changes = [Change(self.began, self.began, 0)]

    @contextmanager
    def becomes(self, count: int) -> Iterator[None]:
        """Within the block the count changes to this one."""
        began = now()
        yield
        self._changes.append(Change(began, now(), count))

    def counts(self, since: datetime, until: datetime) -> set[int]:
        """What the count may have been at any moment between the two."""
        found: set[int] = set()
        for change, following in pairwise([*self._changes, Change(until, until, 0)]):
            if change.ended <= until and following.ended >= since:
                found.add(change.count)
            if following.began <= until and following.ended >= since and following.began != following.ended:
                low, high = sorted((change.count, following.count))
                found |= set(range(low, high + 1))
        return found

    def oldest(self, at: datetime) -> tuple[datetime, datetime]:
        """Between which two moments the oldest that waited at that time began to wait."""
        empty = max(index for index, change in enumerate(self._changes) if change.count == 0 and change.ended <= at)
        first = self._changes[empty + 1]
        return first.began, first.ended


def must_tell(
    samples: list[LagSample],
    schedule: Schedule,
    events: Callable[[LagSample], int],
    seconds: Callable[[LagSample], float | None],
) -> None:
    """Each sample says what the schedule says of a moment no further away than the sample before it or after it.

    Since when they wait is told by the first that sees any, and no further away than its own neighbours.
    """
    unambiguous, since_within = 0, timedelta()
    for before, sample, after in zip(samples, samples[1:], samples[2:], strict=False):
        possible = schedule.counts(before.at, after.at)
        assert events(sample) in possible, (sample, possible)
        since_within = (since_within or after.at - before.at) if events(sample) else timedelta()
        if len(possible) > 1:
            continue
        unambiguous += 1
        age = seconds(sample)
        if events(sample) == 0:
            assert age == 0.0, sample
            continue
        earliest, latest = schedule.oldest(sample.at)
        assert age is not None, sample
        began = sample.at - timedelta(seconds=age)
        assert earliest - since_within <= began <= latest + since_within, (sample, earliest, latest)
    assert unambiguous >= UNAMBIGUOUS_AT_LEAST, [(sample.at, events(sample)) for sample in samples]
