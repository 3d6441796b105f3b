"""Alerts: minutes pass without waiting, and the machine does what a model says that looks at the whole history."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.lag_monitoring.alerts import NO_SAMPLES, Alert, Alerts, Phase, Rule, State, rules, step
from labkit.lag_monitoring.measures import LagSample, OutboxLag, PartitionLag

AT = datetime(2026, 1, 5, 9, tzinfo=UTC)
TIDY = PartitionLag("0", 0, 9, 9)


def moment(seconds: float) -> datetime:
    return AT + timedelta(seconds=seconds)


def sample(seconds: float, waiting_seconds: float | None = None, **read: object) -> LagSample:
    """All is well at that second, but for an event that has waited so long."""
    now = moment(seconds)
    late = TIDY if waiting_seconds is None else PartitionLag("0", 0, 9, 8, now - timedelta(seconds=waiting_seconds))
    told = {"partitions": (late,), "relay_beat_at": now, "projector_beat_at": now} | read
    return LagSample(at=now, outbox=OutboxLag(0), **told)  # type: ignore[arg-type]


def told(alerts: list[Alert]) -> list[tuple[str, str]]:
    return [(alert.rule, alert.what) for alert in alerts]


def test_staleness_fires_above_a_minute_that_lasts_and_not_before() -> None:
    alerts = Alerts()
    assert alerts.observe(sample(0, 60.0)) == []
    assert alerts.observe(sample(1, 60.1)) == []
    assert alerts.observe(sample(10.9, 70.0)) == []
    (fired,) = alerts.observe(sample(11, 70.1))
    assert (fired.rule, fired.what, fired.at, fired.began_at) == ("staleness", "fired", moment(11), moment(1))
    assert (fired.value, fired.above) == (pytest.approx(70.1), 60.0)
    assert alerts.observe(sample(60, 119.0)) == []


def test_it_is_resolved_when_it_stays_below_half_the_threshold_and_keeps_its_id() -> None:
    alerts = Alerts()
    fired = [*alerts.observe(sample(0, 61)), *alerts.observe(sample(10, 71))]
    for second, waiting in ((20, 59.0), (30, 31.0), (40, 30.0), (50, 30.1), (60, 2.0), (89.9, 1.0)):
        assert alerts.observe(sample(second, waiting)) == []
    (resolved,) = alerts.observe(sample(90))
    assert (resolved.what, resolved.alert_id) == ("resolved", fired[0].alert_id)
    assert resolved.event_id != fired[0].event_id


def test_a_value_that_swings_about_the_threshold_is_one_alert() -> None:
    alerts = Alerts()
    found = [alert for turn in range(600) for alert in alerts.observe(sample(turn, 75 if turn % 20 < 12 else 45))]
    assert told(found) == [("staleness", "fired")]


def test_a_short_peak_is_no_alert() -> None:
    alerts = Alerts()
    assert not any(alerts.observe(sample(turn, 75 if turn % 20 < 10 else 45)) for turn in range(600))


def test_an_age_that_cannot_be_read_counts_as_too_old_and_never_as_recovered() -> None:
    alerts = Alerts()
    unread = (PartitionLag("0", 0, 9, 8, None),)
    alerts.observe(sample(0, partitions=unread))
    assert told(alerts.observe(sample(10, partitions=unread))) == [("staleness", "fired")]
    assert not any(alerts.observe(sample(turn, partitions=unread)) for turn in range(20, 200))


@pytest.mark.parametrize("worker", ["relay", "projector"])
@pytest.mark.parametrize("beat_at", [moment(0), None])
def test_a_heartbeat_that_stops_or_never_came_is_an_alert_although_nothing_is_late(
    worker: str, beat_at: datetime | None
) -> None:
    alerts = Alerts()
    found = [alert for turn in range(60) for alert in alerts.observe(sample(turn, **{f"{worker}_beat_at": beat_at}))]
    assert told(found) == [(f"{worker}-heartbeat", "fired")]
    assert found[0].at == moment(41 if beat_at else 10)


def test_lost_events_are_an_alert_at_once_and_it_ends_when_the_tables_have_come_past_the_gap() -> None:
    alerts = Alerts()
    (lost,) = alerts.observe(sample(0, partitions=(PartitionLag("0", 7, 9, 4, moment(0)),)))
    assert (lost.rule, lost.what, lost.value) == ("retention-loss", "fired", 2)
    assert not any(alerts.observe(sample(turn)) for turn in range(1, 31, 5))
    assert told(alerts.observe(sample(31))) == [("retention-loss", "resolved")]


def test_a_monitor_that_falls_silent_is_an_alert_and_its_next_sample_resolves_it() -> None:
    alerts = Alerts(sample_seconds=60)
    alerts.observe(sample(0))
    assert alerts.tick(moment(60)) == []
    assert told(alerts.tick(moment(60.1))) == [(NO_SAMPLES, "fired")]
    assert alerts.tick(moment(3000)) == []
    assert told(alerts.observe(sample(3001))) == [(NO_SAMPLES, "resolved")]


def test_a_monitor_that_never_took_a_sample_is_noticed_too() -> None:
    alerts = Alerts(sample_seconds=60)
    assert alerts.tick(moment(0)) == []
    assert told(alerts.tick(moment(61))) == [(NO_SAMPLES, "fired")]


def test_the_same_samples_give_the_same_ids() -> None:
    history = [sample(turn, 70 if 100 < turn < 200 else 1) for turn in range(0, 400, 5)]
    first, again = (
        [alert.event_id for one in history for alert in alerts.observe(one)] for alerts in (Alerts(), Alerts())
    )
    assert first == again
    assert len(first) == 2


def test_a_rule_that_would_recover_above_its_threshold_is_none() -> None:
    with pytest.raises(ValueError, match="at or below"):
        Rule("odd", lambda _: 0, above=1, recovered_below=2)
    assert [rule.name for rule in rules()] == ["staleness", "relay-heartbeat", "projector-heartbeat", "retention-loss"]


def lasted(seen: list[tuple[float, bool]], seconds: float, since: int) -> bool:
    """Whether the last value and all before it, back over at least so many seconds and not before `since`, held."""
    now = seen[-1][0]
    for index in range(len(seen) - 1, since - 1, -1):
        at, holds = seen[index]
        if not holds:
            return False
        if now - at >= seconds:
            return True
    return False


@settings(max_examples=300)
@given(
    st.lists(
        st.tuples(st.sampled_from([0.0, 0.5, 1.0, 2.0, 5.0]), st.sampled_from([0.0, 5.0, 7.0, 10.0, 11.0, None])),
        max_size=60,
    ),
    st.sampled_from([0.0, 3.0]),
    st.sampled_from([0.0, 4.0]),
)
def test_the_machine_does_what_the_whole_history_says(
    steps: list[tuple[float, float | None]], for_seconds: float, recovery_seconds: float
) -> None:
    rule = Rule(
        "m", lambda _: None, above=10, for_seconds=for_seconds, recovered_below=5, recovery_seconds=recovery_seconds
    )
    state, at, active, since = State(), 0.0, False, 0
    high: list[tuple[float, bool]] = []
    low: list[tuple[float, bool]] = []
    for pause, value in steps:
        at += pause
        high.append((at, value is None or value > 10))
        low.append((at, value is not None and value <= 5))
        changes = lasted(low, recovery_seconds, since) if active else lasted(high, for_seconds, since)
        if changes:
            active, since = not active, len(high)
        state = step(rule, state, value, moment(at))
        assert (state.phase in (Phase.FIRING, Phase.RECOVERING)) == active
