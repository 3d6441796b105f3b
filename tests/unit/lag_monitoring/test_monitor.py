"""The monitor's thread: it can be stopped whatever state it is in. The hub is a stand-in; samples are no concern."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, ClassVar, Self

import pytest

from labkit.errors import NotYet
from labkit.lag_monitoring import monitor as monitoring
from labkit.lag_monitoring import sources
from labkit.lag_monitoring.measures import LagSample, OutboxLag
from labkit.lag_monitoring.monitor import LagMonitor

LOGGER = "labkit.lag_monitoring.monitor"


class Hub:
    """A consumer client of a hub without partitions."""

    eventhub_name = "hub"

    def __init__(self, **options: Any) -> None:
        self.closing = threading.Event()
        self.may_close = threading.Event()
        self.may_close.set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.closing.set()
        await asyncio.to_thread(self.may_close.wait, 60)

    async def get_partition_ids(self) -> list[str]:
        return []


class NoTables:
    def current(self) -> NoTables:
        return self

    def lowest(self, hub: str, partitions: object, first: object) -> dict[str, int]:
        return {}


def monitor(hub: Hub) -> LagMonitor:
    nothing: Any = None
    tables: Any = NoTables()
    return LagMonitor(lambda **_: hub, tables, nothing, nothing, nothing, interval_seconds=0.01)  # type: ignore[arg-type, return-value]


def test_a_monitor_that_is_just_ending_of_itself_can_be_stopped() -> None:
    ending, go_on = threading.Event(), threading.Event()

    class Slow(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            ending.set()
            go_on.wait(60)

    slow = Slow()
    logging.getLogger(LOGGER).addHandler(slow)
    try:
        one = monitor(Hub())
        one.start()  # its first sample fails, for there are no containers
        assert ending.wait(60)
        assert one.running  # its loop is closed, its thread is not over
        threading.Timer(0.2, go_on.set).start()
        one.stop()
    finally:
        go_on.set()
        logging.getLogger(LOGGER).removeHandler(slow)
    assert isinstance(one.error, AttributeError)
    assert not one.running


def test_a_monitor_that_does_not_end_is_not_waited_for_without_limit() -> None:
    hub = Hub()
    hub.may_close.clear()
    one = monitor(hub)
    one.start()
    assert hub.closing.wait(60)
    with pytest.raises(NotYet, match=r"did not end within 0\.1 s: stop it again"):
        one.stop(timeout_seconds=0.1)
    hub.may_close.set()
    one.stop()
    assert not one.running


class Reading:
    """A monitor whose Cosmos DB says what the test says, on the test's clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, history: Any = None) -> None:
        self.now = datetime(2026, 1, 5, 9, tzinfo=UTC)
        self.outbox = OutboxLag(0)
        nothing: Any = None
        tables: Any = NoTables()
        monkeypatch.setattr(sources, "newest_update", lambda store: None)
        monkeypatch.setattr(LagMonitor, "_read_cosmos", lambda _, hub: ((self.outbox, None), (0, None), 0.0))
        client: Any = lambda **_: Hub()  # noqa: E731
        self.monitor = LagMonitor(
            client, tables, nothing, nothing, nothing, history=history, interval_seconds=0.01, now=lambda: self.now
        )

    def sample(self) -> LagSample:
        self.monitor.start()
        asked = len(self.monitor.samples)
        try:
            self.monitor.wait_until(lambda sample: len(self.monitor.samples) > asked, 60)
        finally:
            self.monitor.stop()
        return self.monitor.samples[-1]


def test_a_clock_that_was_set_back_does_not_hide_what_waits_in_the_outbox(monkeypatch: pytest.MonkeyPatch) -> None:
    reading = Reading(monkeypatch)
    assert reading.sample().outbox_seconds == 0
    reading.now -= timedelta(minutes=30)
    reading.outbox = OutboxLag(1, reading.now)
    reading.now += timedelta(minutes=10)
    assert reading.sample().outbox_seconds == 600


def test_a_history_that_cannot_be_written_for_a_while_loses_no_sample_and_ends_no_monitor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(monitoring, "APPEND_SECONDS", 0.0)

    class Full:
        full = True
        written: ClassVar[list[LagSample]] = []

        def samples(self) -> list[LagSample]:
            return []

        def append(self, samples: Sequence[LagSample]) -> None:
            if self.full:
                raise OSError(28, "No space left on device")
            self.written.extend(samples)

    history = Full()
    reading = Reading(monkeypatch, history)
    reading.sample()
    assert reading.monitor.error is None
    assert not history.written
    history.full = False
    reading.sample()
    assert history.written == list(reading.monitor.samples)


@pytest.mark.parametrize(("hold_seconds", "closed"), [(0.001, True), (60.0, False)], ids=["long pause", "short pause"])
def test_receivers_are_held_over_a_short_pause_and_closed_before_a_long_one(
    monkeypatch: pytest.MonkeyPatch, hold_seconds: float, closed: bool
) -> None:
    calls: list[str] = []

    async def close(self: object) -> None:
        calls.append("closed")

    monkeypatch.setattr(sources, "HOLD_SECONDS", hold_seconds)
    monkeypatch.setattr(sources.HubWatch, "close", close)
    reading = Reading(monkeypatch)
    reading.sample()
    assert (len(calls) > 1) is closed, "once at the end, whatever the pause is"


def test_what_a_sample_takes_is_no_longer_pause_before_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    reading = Reading(monkeypatch)
    clock, enough = [0.0], threading.Event()
    monkeypatch.setattr(monitoring, "time", SimpleNamespace(monotonic=lambda: clock[0]))

    def slow(sample: LagSample) -> None:
        clock[0] += 100
        if clock[0] >= 300:
            enough.set()

    reading.monitor._on_sample = slow
    reading.monitor._interval_seconds = 60.0
    reading.monitor.start()
    try:
        assert enough.wait(60)
    finally:
        reading.monitor.stop()
    assert len(reading.monitor.samples) >= 3
