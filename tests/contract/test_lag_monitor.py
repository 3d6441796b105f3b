"""Lag against the truth: each situation is produced on the real path, and the sample has to say what was done."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from labkit.errors import NotYet
from labkit.events.ownership import OwnershipStore
from labkit.events.partition_key import partition_of
from labkit.events.relay import Relay
from labkit.lab import Lab, open_lab
from labkit.lag_monitoring.history import LagHistory
from labkit.lag_monitoring.measures import LagSample
from labkit.lag_monitoring.monitor import LagMonitor
from labkit.lag_monitoring.sources import seat_beat
from labkit.projections.parking import ParkingLane
from labkit.projections.projector import Projector
from labkit.projections.read_store import ReadStore
from labkit.projections.seat import Seat
from labkit.settings import embedded
from labkit.write_model.handler import Accepted, CommandHandler, Context
from labkit.write_model.orders import CreateOrder, Item
from localazure.handle import LocalAzure

WAIT_SECONDS = 20.0


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

    def order(self) -> str:
        """A new order; the token of its first version."""
        name = f"order-20260105-{len(self.orders):04}"
        command = CreateOrder(name, "customer-1", (Item("tea", 1, Decimal("4.20")),))
        outcome = self.handler.handle(command, Context(name))
        assert isinstance(outcome, Accepted)
        self.orders.append(name)
        return outcome.token

    def published(self, orders: int) -> datetime:
        """That many new orders, all in the hub; the time before the first of them."""
        before = datetime.now(UTC)
        tokens = [self.order() for _ in range(orders)]
        self.relay.wait_until_published(tokens[-1], WAIT_SECONDS)
        return before

    def hub_partition(self, order: str) -> str:
        return partition_of(order, self.lab.partition_ids)


@pytest.fixture(scope="module")
def running(azure: LocalAzure, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with open_lab("05", target=embedded(azure, tmp_path_factory.mktemp("tables"))) as lab:
        store = ReadStore(lab.tables_url)
        relay = Relay(lab.container("write-model", "relay"), lab.producer(), lab.container("relay-state", "relay"))
        lane = ParkingLane(lab.container("parked-events", "projector"))
        projector = Projector(lambda **options: lab.async_consumer("projector", **options), store, lane)
        monitor = LagMonitor(
            lambda **options: lab.async_consumer("monitor", "monitor", **options),
            store,
            lab.container("write-model", "monitor"),
            lab.container("relay-state", "monitor"),
            lab.container("parked-events", "monitor"),
            projector_beat=lambda: projector.heartbeat,
            history=LagHistory(lab.tables_url),
            interval_seconds=0.2,
        )
        handler = CommandHandler(lab.container("write-model", "command"), lab.clock)
        workers = (relay, projector, monitor)
        for worker in workers:
            worker.start()
        yield System(lab, handler, relay, projector, monitor)
        for worker in reversed(workers):
            worker.stop()
            assert worker.error is None


@pytest.fixture
def system(running: System) -> Iterator[System]:
    """All workers running and caught up, before the test and after it."""
    running.published(1)
    running.monitor.wait_until(caught_up, WAIT_SECONDS)
    yield running
    running.lab.faults.clear()
    running.relay.stop()
    running.relay.start()
    running.projector.start()
    running.monitor.wait_until(caught_up, WAIT_SECONDS)


def test_caught_up_is_zero_everywhere_while_the_naive_formula_is_negative(system: System) -> None:
    sample = system.monitor.wait_until(caught_up, WAIT_SECONDS)
    assert (sample.lag_events, sample.lag_seconds, sample.staleness_seconds, sample.lost_events) == (0, 0.0, 0.0, 0)
    assert sample.naive_seconds is not None
    assert sample.naive_seconds < 0


def test_a_dead_projector_shows_as_events_and_as_a_growing_age_while_the_naive_formula_stands_still(
    system: System,
) -> None:
    system.projector.stop()
    before = system.published(6)
    first = system.monitor.wait_until(lambda sample: sample.lag_events == 6, WAIT_SECONDS)
    assert first.lag_seconds is not None
    assert 0 <= first.lag_seconds <= (first.at - before).total_seconds()
    later = system.monitor.wait_until(lambda sample: (sample.at - first.at).total_seconds() > 1, WAIT_SECONDS)
    assert later.lag_seconds == pytest.approx(first.lag_seconds + (later.at - first.at).total_seconds())
    assert later.naive_seconds == first.naive_seconds
    assert later.projector_beat_at == first.projector_beat_at


def test_one_partition_that_is_stuck_is_seen_although_the_others_go_on(system: System) -> None:
    stuck = system.hub_partition(f"order-20260105-{len(system.orders):04}")
    system.lab.faults.event_hubs.pause_partition(stuck, hub=system.lab.hub, group="$Default")
    before = system.published(12)
    waiting = sum(system.hub_partition(order) == stuck for order in system.orders[-12:])
    assert 0 < waiting < 12
    sample = system.monitor.wait_until(lambda sample: sample.lag_events == waiting, WAIT_SECONDS)
    assert {part.partition_id: part.lag_events for part in sample.partitions if part.lag_events} == {stuck: waiting}
    assert sample.lag_seconds is not None
    assert 0 <= sample.lag_seconds <= (sample.at - before).total_seconds()


def test_an_age_that_cannot_be_read_is_unknown_and_the_events_are_counted_all_the_same(system: System) -> None:
    stuck = system.hub_partition(f"order-20260105-{len(system.orders):04}")
    system.lab.faults.event_hubs.pause_partition(stuck, hub=system.lab.hub)
    system.published(1)
    sample = system.monitor.wait_until(lambda sample: sample.lag_events == 1, WAIT_SECONDS)
    assert (sample.lag_seconds, sample.staleness_seconds) == (None, None)


def test_samples_that_cannot_be_read_are_missing_and_the_monitor_goes_on(system: System) -> None:
    fault = system.lab.faults.cosmos.respond(503, operation="query", container="parked-events", times=4)
    while fault.hits < 4:
        system.monitor.wait_until(caught_up, WAIT_SECONDS)
    assert system.monitor.failures > 0
    assert system.monitor.error is None


def test_a_dead_relay_shows_in_the_outbox_while_the_hub_looks_caught_up(system: System) -> None:
    system.relay.stop()
    before = datetime.now(UTC)
    for _ in range(3):
        system.order()
    sample = system.monitor.wait_until(lambda sample: sample.outbox.events == 3, WAIT_SECONDS)
    assert (sample.lag_events, sample.lag_seconds) == (0, 0.0)
    assert sample.staleness_seconds is not None
    assert 0 <= sample.staleness_seconds <= (sample.at - before).total_seconds() + 1, "_ts counts whole seconds"
    assert sample.naive_seconds is not None
    assert sample.naive_seconds < 0


def test_a_history_that_the_read_models_show_completely_is_no_lag_for_a_monitor_that_starts_late(
    system: System,
) -> None:
    system.monitor.stop()
    system.published(4)
    system.monitor.start()
    assert caught_up(system.monitor.wait_until(caught_up, WAIT_SECONDS))


def test_waiting_for_what_does_not_happen_ends_with_the_last_sample(system: System) -> None:
    with pytest.raises(NotYet, match=r"within 0\.5 s; the last: LagSample"):
        system.monitor.wait_until(lambda sample: sample.lag_events > 1_000, 0.5)


def test_the_frame_has_a_row_per_sample_and_a_column_per_hub_partition(system: System) -> None:
    frame = system.monitor.frame()
    assert len(frame) >= 1
    assert frame["seconds"].is_monotonic_increasing
    assert {f"lag_events_{partition}" for partition in system.lab.partition_ids} <= set(frame.columns)


def test_the_history_is_a_table_and_a_restarted_monitor_begins_with_it(system: System) -> None:
    system.monitor.stop()
    seen = system.monitor.samples
    assert LagHistory(system.lab.tables_url).samples() == list(seen)
    again = replace_monitor(system)
    assert again.samples == seen
    again.start()
    again.wait_until(caught_up, WAIT_SECONDS)
    again.stop()
    assert LagHistory(system.lab.tables_url).samples() == list(again.samples)
    assert len(again.samples) > len(seen)
    assert again.frame()["at"].is_monotonic_increasing
    system.monitor.start()


def replace_monitor(system: System) -> LagMonitor:
    """As a new process would make it; the projector's beat is read from its seat."""
    lab = system.lab
    containers = [lab.container(name, "monitor") for name in ("write-model", "relay-state", "parked-events")]
    return LagMonitor(
        lambda **options: lab.async_consumer("monitor", "monitor", **options),
        ReadStore(lab.tables_url, read_only=True),
        *containers,
        projector_beat=seat_beat(lab.container("ownership", "monitor"), lab.hub),
        history=LagHistory(lab.tables_url),
        interval_seconds=0.2,
    )


def test_another_process_sees_the_projectors_beat_by_its_seat(system: System) -> None:
    ownership = OwnershipStore(system.lab.container("ownership", "projector"))
    seat = Seat(ownership)
    beat = seat_beat(system.lab.container("ownership", "monitor"), system.lab.hub)
    assert beat() == 0.0
    before = int(time.time())
    assert seat.take(system.lab.hub, "$Default")
    assert before <= beat() <= time.time()
    seat.leave(system.lab.hub, "$Default")
    assert beat() == 0.0
