"""The monitor's thread: it can be stopped whatever state it is in. The hub is a stand-in; samples are no concern."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any, Self

import pytest

from labkit.errors import NotYet
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
        await asyncio.to_thread(self.may_close.wait, 20)

    async def get_partition_ids(self) -> list[str]:
        return []

    async def _management_request_async(self, *_: object) -> None:
        """Asked over a kept link otherwise; here nobody asks."""


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
            go_on.wait(20)

    slow = Slow()
    logging.getLogger(LOGGER).addHandler(slow)
    try:
        one = monitor(Hub())
        one.start()  # its first sample fails, for there are no containers
        assert ending.wait(20)
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
    assert hub.closing.wait(20)
    with pytest.raises(NotYet, match=r"did not end within 0\.1 s"):
        one.stop(timeout_seconds=0.1)
    hub.may_close.set()
    one.stop()
    assert not one.running
