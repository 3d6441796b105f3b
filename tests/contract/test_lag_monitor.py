"""Lag against the truth: each situation is produced on the real path, and the sample has to say what was done."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from azure.eventhub import EventData
from azure.eventhub.aio import EventHubConsumerClient

import localazure
from labkit.errors import NotYet
from labkit.events.relay import Relay
from labkit.lab import open_lab
from labkit.lag_monitoring.history import LagHistory
from labkit.lag_monitoring.measures import LagSample, naive_lag_seconds
from labkit.lag_monitoring.monitor import LagMonitor
from labkit.projections.parking import ParkingLane
from labkit.projections.projector import Projector
from labkit.projections.read_store import ReadStore
from labkit.settings import embedded
from labkit.write_model.handler import CommandHandler, history
from localazure.handle import LocalAzure
from tests.contract.daemon.processes import eventually
from tests.contract.watched import WAIT_SECONDS, Schedule, System, caught_up, must_tell, now

TICK = timedelta(seconds=1)
"""What a turn of a worker may take on a busy machine."""


@pytest.fixture(scope="module")
def running(azure: LocalAzure, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with open_lab("05", partitions=2, target=embedded(azure, tmp_path_factory.mktemp("tables"))) as lab:
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
    hub, outbox = Schedule(), Schedule()
    system.let_pass(6)
    samples = system.samples_since(hub.began)
    must_tell(samples, hub, lambda sample: sample.lag_events, lambda sample: sample.staleness_seconds)
    must_tell(samples, outbox, lambda sample: sample.outbox.events, lambda sample: sample.outbox_seconds)
    assert {(sample.lost_events, sample.parked_events) for sample in samples} == {(0, 0)}
    assert all(sample.naive_seconds is not None and sample.naive_seconds < 0 for sample in samples)


def test_a_dead_projector_shows_as_events_and_as_a_growing_age_while_the_naive_formula_stands_still(
    system: System,
) -> None:
    alive = now()
    assert eventually(lambda: system.projector.heartbeat > alive.timestamp())
    system.projector.stop()
    dead, hub = now(), Schedule()
    for count in (1, 6):
        with hub.becomes(count):
            system.published(count - sum(hub.counts(now(), now())))
        system.let_pass(5)
    waiting = system.samples_since(hub.began)
    with hub.becomes(0):
        system.projector.start()
        system.projector.wait_until_visible(f"{system.orders[-1]}@1", WAIT_SECONDS)
        for order in system.orders[-6:]:
            system.projector.wait_until_visible(f"{order}@1", WAIT_SECONDS)
    system.let_pass(4)
    must_tell(system.samples_since(hub.began), hub, lambda sample: sample.lag_events, lambda sample: sample.lag_seconds)
    assert {sample.outbox.events for sample in waiting[-3:]} == {0}
    assert len({sample.naive_seconds for sample in waiting[-3:]}) == 1, "frozen"
    (beat,) = {sample.projector_beat_at for sample in waiting}
    assert beat is not None
    assert alive < beat <= dead


def test_one_partition_that_is_stuck_is_seen_although_the_others_go_on(system: System) -> None:
    stuck = system.hub_partition(system.next_order())
    fault = system.lab.faults.event_hubs.pause_partition(stuck, hub=system.lab.hub, group="$Default")
    hub = Schedule()
    with hub.becomes(1):
        system.published(1)
    system.let_pass(5)
    started = len(system.orders)
    behind = [order for order in more_orders(system, 12) if system.hub_partition(order) == stuck]
    assert 0 < len(behind) < 11
    with hub.becomes(1 + len(behind)):
        system.published(12)
        for order in set(system.orders[started:]) - set(behind):
            system.projector.wait_until_visible(f"{order}@1", WAIT_SECONDS)
    system.let_pass(5)
    newest = system.monitor.samples[-1]
    assert {part.partition_id for part in newest.partitions if part.lag_events} == {stuck}
    assert newest.naive_seconds is not None
    with hub.becomes(0):
        fault.clear()
        for order in behind:
            system.projector.wait_until_visible(f"{order}@1", WAIT_SECONDS)
    system.let_pass(4)

    def events(sample: LagSample) -> int:
        return sum(part.lag_events for part in sample.partitions if part.partition_id == stuck)

    must_tell(system.samples_since(hub.began), hub, events, lambda sample: sample.lag_seconds)


def test_samples_of_a_calm_system_ask_each_hub_partition_once_and_receive_nothing(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    system.let_pass(1)
    opened: list[object] = []
    anew = asyncio.open_connection

    async def counted(*where: Any, **how: Any) -> Any:
        opened.append(how)
        return await anew(*where, **how)

    monkeypatch.setattr(asyncio, "open_connection", counted)
    monkeypatch.setattr(EventHubConsumerClient, "receive_batch", None)
    before, failed = len(system.monitor.samples), system.monitor.failures
    system.let_pass(4)
    by_then = len(opened)
    begun = len(system.monitor.samples) - before + 1
    assert 0 < by_then <= begun * len(system.lab.partition_ids)
    assert (system.monitor.failures, system.monitor.error) == (failed, None)


def more_orders(system: System, orders: int) -> list[str]:
    """The names of the next ones."""
    return [f"order-20260105-{len(system.orders) + number:04}" for number in range(orders)]


def test_a_producers_fast_clock_fools_the_time_in_the_event_and_no_measure(system: System) -> None:
    class Fast:
        def now(self) -> datetime:
            return datetime.now(UTC) + timedelta(minutes=5)

    system.projector.stop()
    hub = Schedule()
    with hub.becomes(1):
        system.published(1, Fast())
    system.let_pass(5)
    with hub.becomes(0):
        system.projector.start()
        system.projector.wait_until_visible(f"{system.orders[-1]}@1", WAIT_SECONDS)
    system.let_pass(4)
    samples = system.samples_since(hub.began)
    must_tell(samples, hub, lambda sample: sample.lag_events, lambda sample: sample.lag_seconds)
    (event,) = history(system.lab.container("write-model", "command"), system.orders[-1])
    fooled = naive_lag_seconds(event.timestamp, samples[-1].newest_update_at)
    truth = samples[-1].naive_seconds
    assert fooled is not None
    assert truth is not None
    passed = (now() - hub.began).total_seconds()
    assert truth < 0 < 300 - passed < fooled < 300


def test_an_age_that_cannot_be_read_is_unknown_and_the_events_are_counted_all_the_same(system: System) -> None:
    stuck = system.hub_partition(system.next_order())
    system.lab.faults.event_hubs.pause_partition(stuck, hub=system.lab.hub)
    before = system.published(1)
    sample = system.monitor.wait_until(lambda sample: sample.lag_events == 1, WAIT_SECONDS)
    assert sample.lag_seconds is not None, "of the last event the hub tells the time beside its number"
    assert sample.at - timedelta(seconds=sample.lag_seconds) >= before - TICK
    system.published(
        next(number for number, order in enumerate(more_orders(system, 99), 1) if system.hub_partition(order) == stuck)
    )
    sample = system.monitor.wait_until(lambda sample: sample.lag_events == 2, WAIT_SECONDS)
    assert (sample.lag_seconds, sample.staleness_seconds) == (None, None)


def test_samples_that_cannot_be_read_are_missing_and_the_monitor_goes_on(system: System) -> None:
    fault = system.lab.faults.cosmos.respond(503, operation="query", container="parked-events", times=4)
    while fault.hits < 4:
        system.monitor.wait_until(caught_up, WAIT_SECONDS)
    assert system.monitor.failures > 0
    assert system.monitor.error is None


def test_a_dead_relay_shows_in_the_outbox_while_the_hub_looks_caught_up(system: System) -> None:
    alive = now()
    system.monitor.wait_until(lambda sample: bool(beat := sample.relay_beat_at) and beat > alive, WAIT_SECONDS)
    system.relay.stop()
    dead, outbox, hub = now(), Schedule(), Schedule()
    system.let_pass(1)
    for count in (1, 4):
        with outbox.becomes(count):
            for _ in range(count - sum(outbox.counts(now(), now()))):
                system.order()
        system.let_pass(5)
    waiting = system.samples_since(outbox.began)
    must_tell(waiting, hub, lambda sample: sample.lag_events, lambda sample: sample.lag_seconds)
    assert all(sample.staleness_seconds == sample.outbox_seconds for sample in waiting)
    assert all(sample.naive_seconds is not None and sample.naive_seconds < 0 for sample in waiting)
    with outbox.becomes(0):
        system.relay.start()
        system.relay.wait_until_published(f"{system.orders[-1]}@1", WAIT_SECONDS)
    system.let_pass(4)
    samples = system.samples_since(outbox.began)
    must_tell(samples, outbox, lambda sample: sample.outbox.events, lambda sample: sample.outbox_seconds)
    (beat,) = {sample.relay_beat_at for sample in waiting}
    assert beat is not None
    assert alive < beat <= dead


def test_a_history_that_the_read_models_show_completely_is_no_lag_for_a_monitor_that_starts_late(
    system: System,
) -> None:
    system.monitor.stop()
    system.published(4)
    system.monitor.start()
    assert caught_up(system.monitor.wait_until(caught_up, WAIT_SECONDS))


def test_waiting_for_what_does_not_happen_ends_with_the_last_sample(system: System) -> None:
    with pytest.raises(NotYet, match=r"within 0\.5 s; the last: \{'at'"):
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
    """As a new process would make it."""
    lab = system.lab
    containers = [lab.container(name, "monitor") for name in ("write-model", "relay-state", "parked-events")]
    return LagMonitor(
        lambda **options: lab.async_consumer("monitor", "monitor", **options),
        ReadStore(lab.tables_url),
        *containers,
        projector_beat=lambda: system.projector.heartbeat,
        history=LagHistory(lab.tables_url),
        interval_seconds=0.2,
    )


def test_two_monitors_at_once_see_the_same_and_the_table_keeps_the_samples_of_both(system: System) -> None:
    other = replace_monitor(system)
    other.start()
    system.projector.stop()
    hub = Schedule()
    with hub.becomes(3):
        system.published(3)
    for monitor in (system.monitor, other):
        late = monitor.wait_until(lambda sample: sample.lag_events == 3, WAIT_SECONDS)
        assert late.lag_seconds is not None
        since = late.at - timedelta(seconds=late.lag_seconds)
        assert hub.oldest(late.at)[0] <= since <= hub.oldest(late.at)[1]
    other.stop()
    system.monitor.stop()
    kept = LagHistory(system.lab.tables_url).samples()
    assert {sample.at for sample in (*other.samples, *system.monitor.samples)} <= {sample.at for sample in kept}
    system.monitor.start()


def test_what_the_hub_dropped_before_it_was_applied_is_lost_also_when_it_holds_nothing_any_more(
    azure: LocalAzure, tmp_path: Path
) -> None:
    with open_lab("05", target=embedded(azure, tmp_path / "tables"), partitions=2) as lab, lab.producer() as producer:
        containers = [lab.container(name, "monitor") for name in ("write-model", "relay-state", "parked-events")]
        consumer = partial(lab.async_consumer, "monitor", "monitor")
        monitor = LagMonitor(consumer, ReadStore(lab.tables_url), *containers, interval_seconds=0.1)
        monitor.start()
        producer.send_batch([EventData(b"{}")] * 6, partition_id="0")
        held = monitor.wait_until(lambda sample: sample.lag_events == 6, WAIT_SECONDS)
        assert (held.lost_events, held.lag_seconds is None) == (0, False)
        assert lab.faults.event_hubs.end_retention() == 6
        gone = monitor.wait_until(lambda sample: sample.lost_events > 0, WAIT_SECONDS)
        assert (gone.lag_events, gone.lost_events, gone.lag_seconds) == (6, 6, None)
        before = now()
        for more in (1, 2):
            producer.send_batch([EventData(b"{}")], partition_id="0")
            later = monitor.wait_until(lambda sample, more=more: sample.lag_events == 6 + more, WAIT_SECONDS)
            assert later.lost_events == 6
            assert later.lag_seconds is not None, "the age of the first one that the hub holds"
            assert later.at - timedelta(seconds=later.lag_seconds) >= before - TICK
        monitor.stop()
        assert monitor.error is None


def test_a_monitor_goes_on_when_azure_was_away_and_counts_what_it_could_not_read(tmp_path: Path) -> None:
    azure = localazure.start(tmp_path / "azure")
    with open_lab("05", partitions=2, target=embedded(azure, tmp_path / "tables")) as lab:
        containers = [lab.container(name, "monitor") for name in ("write-model", "relay-state", "parked-events")]
        consumer = partial(lab.async_consumer, "monitor", "monitor")
        monitor = LagMonitor(consumer, ReadStore(lab.tables_url), *containers, interval_seconds=0.1)
        monitor.start()
        monitor.wait_until(caught_up, WAIT_SECONDS)
        azure.close()
        while monitor.failures < 2:
            with pytest.raises(NotYet):
                monitor.wait_until(lambda _: monitor.failures > 1, 0.2)
        with localazure.start(tmp_path / "azure"):
            monitor.wait_until(caught_up, 3 * WAIT_SECONDS)
            monitor.stop()
            assert monitor.error is None
            lab.close()
