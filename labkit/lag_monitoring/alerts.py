"""Alerts as a pure state machine: which sample begins one, which ends it, and which changes nothing.

Owns the rules and the states. Refuses to know how samples are taken (`monitor`), how an alert leaves the process
(`alerting`), and the time: it comes with each sample, so that a minute is tested without waiting for one.

    quiet -> pending -> firing -> recovering -> quiet
               |  ^        ^          |
               v  |        +----------+
             quiet

A rule's value above `above` makes it pending; above for `for_seconds` on end, it fires. At or below `recovered_below`
for `recovery_seconds` on end, it is resolved. Between the two limits nothing changes, so that a value that swings about
one limit does not fire and resolve by turns. A value that is not known counts as above every limit: what cannot be read
may be the worst.

An alert's id is its rule and the moment at which it became pending. The same samples give the same ids: whoever starts
again, folds the history and publishes the same alert twice, cannot make two of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Literal

import msgspec

from labkit.events.envelope import Moment
from labkit.lag_monitoring.measures import LagSample, age_seconds

Measure = Callable[[LagSample], float | None]


@dataclass(frozen=True, slots=True)
class Rule:
    """`recovered_below` None: `above` itself."""

    name: str
    measure: Measure
    above: float = 60.0
    for_seconds: float = 10.0
    recovered_below: float | None = None
    recovery_seconds: float = 30.0

    def __post_init__(self) -> None:
        if self.low > self.above or min(self.for_seconds, self.recovery_seconds) < 0:
            raise ValueError(f"{self.name}: recovery lies at or below the threshold, and durations are not negative")

    @property
    def low(self) -> float:
        return self.above if self.recovered_below is None else self.recovered_below


def rules(threshold_seconds: float = 60.0, beat_seconds: float = 30.0, for_seconds: float = 10.0) -> tuple[Rule, ...]:
    """What the lab watches: staleness, heartbeats of the workers, and events lost by retention: at once."""

    def lasting(name: str, measure: Measure, above: float, recovered_below: float | None = None) -> Rule:
        return Rule(name, measure, above, for_seconds, recovered_below, recovery_seconds=3 * for_seconds)

    return (
        lasting("staleness", lambda s: s.staleness_seconds, threshold_seconds, threshold_seconds / 2),
        lasting("relay-heartbeat", lambda s: age_seconds(s.relay_beat_at, s.at), beat_seconds),
        lasting("projector-heartbeat", lambda s: age_seconds(s.projector_beat_at, s.at), beat_seconds),
        Rule("retention-loss", lambda s: s.lost_events, 0, for_seconds=0),
    )


NO_SAMPLES = "no-samples"
"""The rule of the monitor itself: its value is the age of the last sample."""


class Phase(StrEnum):
    QUIET = "quiet"
    PENDING = "pending"
    FIRING = "firing"
    RECOVERING = "recovering"


@dataclass(frozen=True, slots=True)
class State:
    """`began_at`: when the value first was above; `recovering_at`: when it was first low again."""

    phase: Phase = Phase.QUIET
    began_at: datetime | None = None
    recovering_at: datetime | None = None


class Alert(msgspec.Struct, frozen=True, rename="camel"):
    """Something that somebody must be told, once: an alert that fires, or the same one resolved."""

    alert_id: str
    rule: str
    what: Literal["fired", "resolved"]
    at: Moment
    began_at: Moment
    above: float
    value: float | None = None

    @property
    def event_id(self) -> str:
        return f"{self.alert_id}.{self.what}"


def step(rule: Rule, state: State, value: float | None, now: datetime) -> State:
    """The state after `value` was seen at `now`. Two samples make a duration; one alone has none."""
    known = math.inf if value is None else value
    high, low = known > rule.above, known <= rule.low
    if state.phase is Phase.QUIET and high:
        state = State(Phase.PENDING, now)
    if state.phase is Phase.PENDING:
        if not high:
            return State()
        assert state.began_at is not None
        lasted = (now - state.began_at).total_seconds() >= rule.for_seconds
        return replace(state, phase=Phase.FIRING) if lasted else state
    if state.phase is Phase.FIRING and low:
        state = replace(state, phase=Phase.RECOVERING, recovering_at=now)
    if state.phase is Phase.RECOVERING:
        if not low:
            return replace(state, phase=Phase.FIRING, recovering_at=None)
        assert state.recovering_at is not None
        return State() if (now - state.recovering_at).total_seconds() >= rule.recovery_seconds else state
    return state


class Alerts:
    """The states of all rules, and what comes of the samples. `sample_seconds`: longer without one is an alert, too."""

    def __init__(self, watched: Iterable[Rule] = rules(), sample_seconds: float = 60.0) -> None:
        self._rules = tuple(watched)
        self._none = Rule(NO_SAMPLES, lambda sample: 0.0, sample_seconds, for_seconds=0, recovery_seconds=0)
        self._states = dict.fromkeys((rule.name for rule in (*self._rules, self._none)), State())
        self._last_at: datetime | None = None

    def observe(self, sample: LagSample) -> list[Alert]:
        """What this sample, later than those before, makes of the rules."""
        self._last_at = sample.at
        changed = [self._step(rule, rule.measure(sample), sample.at) for rule in (*self._rules, self._none)]
        return [alert for alert in changed if alert is not None]

    def tick(self, now: datetime) -> list[Alert]:
        """Time has passed, perhaps without a sample. The first call begins the waiting for the first one."""
        self._last_at = self._last_at or now
        alert = self._step(self._none, (now - self._last_at).total_seconds(), now)
        return [alert] if alert else []

    def _step(self, rule: Rule, value: float | None, now: datetime) -> Alert | None:
        before = self._states[rule.name]
        after = self._states[rule.name] = step(rule, before, value, now)
        active = (Phase.FIRING, Phase.RECOVERING)
        if (before.phase in active) == (after.phase in active):
            return None
        began_at = after.began_at or before.began_at
        assert began_at is not None
        what: Literal["fired", "resolved"] = "fired" if after.phase in active else "resolved"
        return Alert(f"{rule.name}@{began_at.isoformat()}", rule.name, what, now, began_at, rule.above, value)
