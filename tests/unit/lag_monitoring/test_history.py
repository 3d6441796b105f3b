"""The Delta table of samples: what was sampled comes back whole, over restarts, and for readers without Python."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from deltalake import DeltaTable

from labkit.lag_monitoring import history
from labkit.lag_monitoring.history import KEEP_DAYS, LagHistory
from labkit.lag_monitoring.measures import LagSample, OutboxLag, PartitionLag

AT = datetime(2026, 1, 5, 9, 0, 0, 123456, tzinfo=UTC)
FULL = LagSample(
    at=AT,
    partitions=(PartitionLag("0", 0, 7, 4, AT - timedelta(seconds=3)), PartitionLag("1", 0, 2, 2)),
    outbox=OutboxLag(5, AT - timedelta(seconds=8), is_at_least=True),
    parked_events=1,
    oldest_parked_at=AT - timedelta(minutes=2),
    relay_beat_at=AT - timedelta(seconds=1),
    projector_beat_at=AT,
    newest_event_at=AT - timedelta(seconds=2),
    newest_update_at=AT - timedelta(seconds=1),
)
BARE = LagSample(at=AT + timedelta(seconds=1), partitions=(PartitionLag("0", 0, 7, 4),), outbox=OutboxLag(0))


def test_samples_come_back_as_they_were_oldest_first(tmp_path: Path) -> None:
    LagHistory(str(tmp_path)).append([BARE])
    LagHistory(str(tmp_path)).append([FULL])
    assert LagHistory(str(tmp_path)).samples() == [FULL, BARE]


def test_an_append_is_one_commit_and_nothing_to_append_is_none(tmp_path: Path) -> None:
    kept = LagHistory(str(tmp_path))
    kept.append([FULL, BARE])
    kept.append([])
    assert DeltaTable(kept.url).version() == 1


def test_the_measures_are_columns_for_who_asks_with_sql(tmp_path: Path) -> None:
    kept = LagHistory(str(tmp_path))
    kept.append([FULL, BARE])
    files = DeltaTable(kept.url).file_uris()
    asked = "SELECT lag_events, lag_seconds, staleness_seconds, naive_seconds, lost_events FROM read_parquet(?)"
    found = duckdb.execute(f"{asked} ORDER BY sampled_at", [files]).fetchall()
    assert found == [(3, 3.0, 8.0, -1.0, 0), (3, None, None, None, 0)]


def test_old_rows_are_deleted_and_small_files_made_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "COMPACT_EVERY_APPENDS", 3)
    kept = LagHistory(str(tmp_path))
    kept.append([replace(FULL, at=AT - timedelta(days=KEEP_DAYS, seconds=1))])
    kept.append([FULL])
    assert len(DeltaTable(kept.url).file_uris()) == 2
    kept.append([BARE])
    assert kept.samples() == [FULL, BARE]
    assert len(DeltaTable(kept.url).file_uris()) == 1


def test_samples_that_are_in_the_table_are_not_written_again_because_its_upkeep_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "COMPACT_EVERY_APPENDS", 1)
    kept = LagHistory(str(tmp_path))

    def full(self: LagHistory, now: datetime) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(LagHistory, "keep", full)
    kept.append([FULL])
    assert kept.samples() == [FULL]
