"""What a sample says: lag, age, loss, staleness, the naive formula beside them, percentiles."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.lag_monitoring.measures import (
    LagSample,
    OutboxLag,
    PartitionLag,
    is_stalled,
    naive_lag_seconds,
    percentile,
)
from labkit.projections.folds import NOTHING

NOW = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def a_sample(*partitions: PartitionLag, outbox: OutboxLag | None = None, **facts: datetime | None) -> LagSample:
    return LagSample(NOW, partitions, outbox or OutboxLag(0), **facts)  # type: ignore[arg-type]


def test_lag_in_events_is_what_was_enqueued_and_not_applied() -> None:
    assert PartitionLag("0", 0, last_enqueued=9, applied=4).lag_events == 5


def test_a_hub_partition_that_is_empty_has_no_lag_and_lost_nothing() -> None:
    empty = PartitionLag("0", first_retained=0, last_enqueued=NOTHING, applied=NOTHING)
    assert (empty.lag_events, empty.lag_seconds(NOW), empty.lost_events) == (0, 0.0, 0)


def test_a_hub_partition_whose_events_were_applied_while_it_was_read_does_not_lag() -> None:
    assert PartitionLag("0", 0, last_enqueued=9, applied=12).lag_events == 0


def test_time_lag_is_the_age_of_the_oldest_unapplied_event_of_the_worst_partition() -> None:
    sample = a_sample(
        PartitionLag("0", 0, 9, 8, ago(3)), PartitionLag("1", 0, 9, 0, ago(40)), PartitionLag("2", 0, 5, 5)
    )
    assert (sample.lag_events, sample.lag_seconds) == (10, 40.0)


def test_time_lag_is_zero_when_nothing_is_unapplied_however_old_the_last_event() -> None:
    assert a_sample(PartitionLag("0", 0, 5, 5, ago(99))).lag_seconds == 0.0


def test_time_lag_is_unknown_rather_than_small_when_the_age_of_one_partition_is_unknown() -> None:
    sample = a_sample(PartitionLag("0", 0, 9, 8, ago(3)), PartitionLag("1", 0, 9, 0, None))
    assert (sample.lag_seconds, sample.staleness_seconds) == (None, None)


def test_a_service_clock_ahead_of_ours_gives_no_negative_age() -> None:
    assert a_sample(PartitionLag("0", 0, 9, 8, NOW + timedelta(seconds=2))).lag_seconds == 0.0


@pytest.mark.parametrize(
    ("first_retained", "last_enqueued", "applied", "lost"),
    [
        (0, 9, NOTHING, 0),
        (5, 9, 4, 0),
        (5, 9, 3, 1),
        (5, 9, NOTHING, 5),
        (5, 9, 9, 0),
        (10, 9, 4, 5),
        (5, NOTHING, NOTHING, 0),
    ],
)
def test_events_that_left_the_hub_before_they_were_applied_are_lost(
    first_retained: int, last_enqueued: int, applied: int, lost: int
) -> None:
    assert PartitionLag("0", first_retained, last_enqueued, applied).lost_events == lost


def test_staleness_is_the_age_of_the_oldest_unseen_fact_in_the_outbox_or_in_the_hub() -> None:
    hub = PartitionLag("0", 0, 9, 8, ago(3))
    assert a_sample(hub, outbox=OutboxLag(2, ago(7))).staleness_seconds == 7.0
    assert a_sample(hub, outbox=OutboxLag(2, ago(1))).staleness_seconds == 3.0
    assert a_sample(PartitionLag("0", 0, 9, 9)).staleness_seconds == 0.0


def test_the_naive_formula_is_negative_when_all_is_applied() -> None:
    assert naive_lag_seconds(ago(10), ago(9)) == -1.0


def test_the_naive_formula_stands_still_when_the_projector_is_dead_while_the_truth_grows() -> None:
    def after(seconds: float) -> LagSample:
        dead = PartitionLag("0", 0, 9, 8, ago(10))
        facts = {"newest_event_at": ago(4), "newest_update_at": ago(12)}
        return LagSample(NOW + timedelta(seconds=seconds), (dead,), OutboxLag(0), **facts)  # type: ignore[arg-type]

    assert after(0).naive_seconds == after(600).naive_seconds == 8.0
    assert (after(0).lag_seconds, after(600).lag_seconds) == (10.0, 610.0)


def test_the_naive_formula_does_not_see_one_partition_that_is_stuck() -> None:
    stuck, lively = PartitionLag("0", 0, 9, 0, ago(600)), PartitionLag("1", 0, 99, 99)
    sample = a_sample(stuck, lively, newest_event_at=ago(1), newest_update_at=ago(1))
    assert (sample.naive_seconds, sample.lag_seconds) == (0.0, 600.0)


def test_the_naive_formula_has_no_answer_before_the_first_event_or_the_first_update() -> None:
    assert naive_lag_seconds(None, NOW) is None
    assert naive_lag_seconds(NOW, None) is None


@pytest.mark.parametrize(("beat_at", "stalled"), [(None, True), (ago(61), True), (ago(60), False), (NOW, False)])
def test_a_worker_is_stalled_when_its_heartbeat_is_missing_or_too_old(beat_at: datetime | None, stalled: bool) -> None:
    assert is_stalled(beat_at, NOW, 60) is stalled


def test_a_row_of_the_frame_names_every_hub_partition() -> None:
    row = a_sample(PartitionLag("0", 0, 9, 8, ago(3)), PartitionLag("7", 0, 4, 4)).as_row()
    assert (row["lag_events_0"], row["lag_events_7"], row["lag_events"]) == (1, 0, 1)
    assert row["parked_seconds"] is None


def test_percentiles_are_values_that_were_measured() -> None:
    values = [float(n) for n in range(1, 101)]
    assert (percentile(values, 0.5), percentile(values, 0.95), percentile(values, 0.99)) == (50.0, 95.0, 99.0)
    assert percentile([3.0], 0.99) == 3.0


@given(st.lists(st.floats(-1e9, 1e9), min_size=1), st.floats(0.01, 1))
def test_at_least_the_share_of_all_values_is_no_higher_than_the_percentile(values: list[float], share: float) -> None:
    found = percentile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-9
    assert sum(value < found for value in values) < share * len(values) + 1e-9


@pytest.mark.parametrize(("values", "share"), [([], 0.5), ([1.0], 0.0), ([1.0], 1.5)])
def test_a_percentile_of_nothing_or_of_an_impossible_share_is_refused(values: list[float], share: float) -> None:
    with pytest.raises(ValueError, match="percentile"):
        percentile(values, share)
