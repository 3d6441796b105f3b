"""The alerter's thread, with a topic that answers when the test says so."""

from __future__ import annotations

import queue
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from labkit.errors import NotYet
from labkit.lag_monitoring.alerting import Alerter
from labkit.lag_monitoring.alerts import Alerts, Rule
from labkit.lag_monitoring.measures import LagSample, OutboxLag

RULE = Rule("parked", lambda sample: sample.parked_events, 0, for_seconds=0, recovery_seconds=0)
START = datetime(2026, 1, 5, 9, tzinfo=UTC)


class Topic:
    def __init__(self) -> None:
        self.answers = threading.Event()
        self.published: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def send(self, events: list[Any]) -> None:
        assert self.answers.wait(60)
        for event in events:
            self.published.put(event)


def sample(second: int, parked_events: int) -> LagSample:
    return LagSample(
        at=START + timedelta(seconds=second), partitions=(), outbox=OutboxLag(0), parked_events=parked_events
    )


def test_one_that_was_told_to_stop_more_than_once_works_again_when_it_is_started_again() -> None:
    topic: Any = Topic()
    alerter = Alerter(topic, Alerts([RULE], sample_seconds=1e12))
    alerter.start()
    alerter.observe(sample(0, 1))
    for _ in range(2):
        with pytest.raises(NotYet):
            alerter.stop(0.01)
    topic.answers.set()
    alerter.stop()
    alerter.stop()
    alerter.start()
    alerter.observe(sample(1, 0))
    assert [topic.published.get(timeout=60).data["what"] for _ in range(2)] == ["fired", "resolved"]
    alerter.stop()
    assert not alerter.running


def test_it_ends_though_samples_come_faster_than_it_ticks() -> None:
    alerter = Alerter(Topic(), Alerts([RULE], sample_seconds=1e12))  # type: ignore[arg-type]
    alerter.start()
    over = threading.Event()

    def sampling() -> None:
        while not over.wait(0.05):
            alerter.observe(sample(0, 0))

    samples = threading.Thread(target=sampling)
    samples.start()
    try:
        alerter.stop(60)
    finally:
        over.set()
        samples.join()
    assert not alerter.running
