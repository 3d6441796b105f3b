"""How often the workers' hearts beat while nothing arrives, on a clock of the test's own, and for whom."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest

from labkit.events import relay as relaying
from labkit.events.relay import Relay
from labkit.lag_monitoring.alerts import rules
from labkit.projections import inbox as receiving
from labkit.projections.committing import Committing
from labkit.projections.inbox import Inbox

BEATS = 20
MISSED = 10
"""So many beats must be missing before the alert of a heart that stands still is due: no pause of a machine is one."""


def missed_at_least(beats: list[float], alert: str) -> float:
    (limit,) = (rule.above for rule in rules() if rule.name == alert)
    assert len(beats) == BEATS
    return limit / max(later - earlier for earlier, later in pairwise(beats))


def test_a_relay_without_work_beats_ten_times_before_its_silence_is_an_alert(monkeypatch: pytest.MonkeyPatch) -> None:
    now, beats = [100.0], list[float]()
    relay = Relay(*[None] * 3, name="one")  # type: ignore[arg-type]

    def wait(seconds: float) -> bool:
        now[0] += max(seconds, 0.0)
        return len(beats) == BEATS and (relay._ending.set() or True)

    stub: Any = relay
    stub._leases = SimpleNamespace(held=[], balance=lambda: None, release=lambda: None)
    stub._state = SimpleNamespace(upsert_item=lambda _: beats.append(now[0]))
    stub._ending.wait = wait
    monkeypatch.setattr(relaying, "time", SimpleNamespace(monotonic=lambda: now[0]))
    relay._work()
    assert missed_at_least(beats, "relay-heartbeat") >= MISSED


def test_a_projector_that_receives_nothing_beats_ten_times_before_its_silence_is_an_alert(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, beats, inbox = [100.0], list[float](), Inbox(1000, 0.1)
    store: Any = SimpleNamespace(current=lambda: store if len(beats) < BEATS else None)

    async def nothing(until: float) -> None:
        now[0] = until
        raise TimeoutError

    monkeypatch.setattr(inbox, "_next", nothing)
    monkeypatch.setattr(receiving, "time", SimpleNamespace(monotonic=lambda: now[0]))
    with ThreadPoolExecutor(1) as thread:
        committing = Committing(store, None, None, None)  # type: ignore[arg-type]
        asyncio.run(committing.run(inbox, thread, lambda: beats.append(now[0])))
    assert missed_at_least(beats, "projector-heartbeat") >= MISSED
