"""Upkeep: fewer files, the same rows and positions, and nobody's open version taken away too early."""

from __future__ import annotations

import shutil
import subprocess
import sys
from contextlib import suppress
from datetime import date
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError

from labkit.projections import upkeep as module
from labkit.projections.read_store import Batch, ReadStore
from labkit.projections.rows import OrderRow
from labkit.projections.tables import NO_ROOM, ORDERS, READ_MODELS, DiskFull, ReadModel, contents
from labkit.projections.upkeep import Upkeep, keep
from tests.unit.projections.streams import CUSTOMER, NINE

MONDAY = date(2026, 1, 5)
COMMITS = 12


def committed(folder: Path, commits: int = COMMITS) -> ReadStore:
    """One new order per commit."""
    store = ReadStore(str(folder))
    for number in range(commits):
        order = OrderRow(f"order-20260105-{number}", CUSTOMER, "Created", 1, Decimal("1.00"), NINE, NINE, 1)
        store.commit(Batch("hub", {"0": number}, [order], {MONDAY}))
    return store


def on_disk(store: ReadStore) -> int:
    return len(list(Path(store.url(ORDERS)).rglob("part-*.parquet")))


def kept(store: ReadStore) -> dict[str, bool]:
    """Table -> whether a turn of upkeep has ended there: the last thing that it leaves is a checkpoint."""
    return {model.name: any(Path(store.url(model)).rglob("*.checkpoint.parquet")) for model in READ_MODELS}


def log_entries(store: ReadStore) -> int:
    return len(list((Path(store.url(ORDERS)) / "_delta_log").glob("*.json")))


def test_the_files_of_a_day_become_one_and_rows_and_positions_stay(tmp_path: Path) -> None:
    store = committed(tmp_path)
    before = contents(store.table(ORDERS), ORDERS).sort_by("order_id")
    assert len(store.table(ORDERS).file_uris()) == COMMITS
    keep(store, Upkeep(retention_seconds=0))
    assert len(store.table(ORDERS).file_uris()) == 1
    assert contents(store.table(ORDERS), ORDERS).sort_by("order_id") == before
    fresh = ReadStore(store.tables_url)
    assert fresh.positions("hub", ["0"]) == {model.name: {"0": COMMITS - 1} for model in READ_MODELS}


def test_without_retention_old_files_and_log_entries_go(tmp_path: Path) -> None:
    store = committed(tmp_path)
    entries = log_entries(store)
    keep(store, Upkeep(retention_seconds=0))
    assert on_disk(store) == COMMITS + 1
    keep(store, Upkeep(retention_seconds=0))
    assert on_disk(store) == 1
    assert log_entries(store) < entries


def test_who_has_opened_a_version_reads_it_for_as_long_as_it_is_retained(tmp_path: Path) -> None:
    store = committed(tmp_path)
    reader = DeltaTable(store.url(ORDERS))
    keep(store, Upkeep(retention_seconds=3600))
    keep(store, Upkeep(retention_seconds=3600))
    assert pa.table(reader.scan()).num_rows == COMMITS
    keep(store, Upkeep(retention_seconds=0))
    with pytest.raises(Exception, match=r"(?i)not found|no such file"):
        pa.table(reader.scan())


def test_what_a_killed_writer_left_without_a_commit_goes_too(tmp_path: Path) -> None:
    store = committed(tmp_path, 1)
    orphan = Path(store.url(ORDERS)) / "created_day=2026-01-05" / "part-00000-orphan.parquet"
    orphan.write_bytes(b"half a file")
    keep(store, Upkeep(retention_seconds=3600))
    assert orphan.exists()  # it may be of a commit under way
    keep(store, Upkeep(retention_seconds=0))
    assert not orphan.exists()


def test_a_reader_that_slept_through_it_finds_the_latest_version(tmp_path: Path) -> None:
    store = committed(tmp_path, 1)
    reader = DeltaTable(store.url(ORDERS))
    committed(tmp_path)
    keep(store, Upkeep(retention_seconds=0))
    reader.update_incremental()
    assert pa.table(reader.scan()).num_rows == COMMITS
    assert reader.transaction_version("orders/hub/0") == COMMITS - 1


def test_another_writer_in_between_ends_the_turn_of_that_table_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store, real = committed(tmp_path, 3), module.keep_table

    def refused(store: ReadStore, model: ReadModel, upkeep: Upkeep) -> None:
        if model is ORDERS:
            raise CommitFailedError("somebody was faster")
        real(store, model, upkeep)

    monkeypatch.setattr(module, "keep_table", refused)
    keep(store, Upkeep())
    assert kept(store) == {"orders": False, "customers": True, "daily_order_metrics": True}
    assert "failed" not in caplog.text


def test_a_file_that_anothers_upkeep_has_deleted_already_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = committed(tmp_path)
    keep(store, Upkeep(retention_seconds=0))
    listed = DeltaTable.vacuum

    def then_deleted(table: DeltaTable, *arguments: object, **options: object) -> list[str]:
        paths = listed(table, *arguments, **options)  # type: ignore[arg-type]
        for path in paths:
            (Path(table.table_uri.removeprefix("file://")) / path).unlink()
        return paths

    monkeypatch.setattr(DeltaTable, "vacuum", then_deleted)
    keep(store, Upkeep(retention_seconds=0))
    assert "failed" not in caplog.text
    assert on_disk(store) == 1


def test_a_turn_that_fails_at_one_table_is_told_and_the_others_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store, real = committed(tmp_path, 3), module.keep_table

    def broken(store: ReadStore, model: ReadModel, upkeep: Upkeep) -> None:
        if model is ORDERS:
            raise OSError(f"Unable to copy data to file: No space left on device {NO_ROOM}")
        real(store, model, upkeep)

    with monkeypatch.context() as patched:
        patched.setattr(module, "keep_table", broken)
        keep(store, Upkeep())
    assert "the upkeep of orders failed: the disk is full" in caplog.text
    assert kept(store) == {"orders": False, "customers": True, "daily_order_metrics": True}
    caplog.clear()
    keep(store, Upkeep())
    assert "failed" not in caplog.text
    assert all(kept(store).values())


@pytest.mark.skipif(sys.platform != "linux", reason="only on Linux, for who may mount")
def test_on_a_disk_that_is_full_indeed_upkeep_makes_room_and_the_commit_succeeds(tmp_path: Path) -> None:
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(tmp_path)], check=False).returncode:
        pytest.skip("only on Linux, for who may mount")
    try:
        store = committed(tmp_path, 1)
        keep(store, Upkeep(retention_seconds=0))
        number = until_full(store)
        assert shutil.disk_usage(tmp_path).free == 0
        keep(store, Upkeep(retention_seconds=0))
        assert shutil.disk_usage(tmp_path).free > 0
        change(store, number)
        assert store.version_of("order-20260105-0") == number
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def until_full(store: ReadStore) -> int:
    """The number of the commit for which there was no room."""
    number = 2
    with suppress(DiskFull):
        while number < 100:
            change(store, number)
            number += 1
    return number


def change(store: ReadStore, number: int) -> None:
    """Many orders of one day once more, at the next version."""
    rows = [
        OrderRow(f"order-20260105-{one}", CUSTOMER, "Created", 1, Decimal("1.00"), NINE, NINE, number)
        for one in range(50)
    ]
    store.commit(Batch("hub", {"0": number}, rows, {MONDAY}))
