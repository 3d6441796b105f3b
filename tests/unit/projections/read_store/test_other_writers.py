"""Other writers beside this one: who has not seen their commit is refused, and reads again what it kept."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError

from labkit.projections import handles, tables
from labkit.projections.read_store import Batch, ReadStore
from labkit.projections.tables import (
    ORDERS,
    ReadModel,
    contents,
    merge,
)
from tests.unit.projections.read_store.orders import MONDAY, order, rows
from tests.unit.projections.streams import ORDER


def test_a_writer_that_has_not_seen_the_others_commit_is_refused(store: ReadStore) -> None:
    late = DeltaTable(store.url(ORDERS))
    store.commit(Batch("hub", {"0": 7}, [order("a")], {MONDAY}))
    with pytest.raises(CommitFailedError):
        merge(late, ORDERS.schema.empty_table(), "false", None, {"orders/hub/0": 6})
    assert store.positions("hub", ["0"])["orders"] == {"0": 7}


def test_after_an_empty_commit_the_handle_knows_its_own_positions(store: ReadStore) -> None:
    table = store.table(ORDERS)
    merge(table, ORDERS.schema.empty_table(), "false", None, {"orders/hub/0": 4})
    assert table.transaction_version("orders/hub/0") == 4
    merge(table, ORDERS.schema.empty_table(), "false", None, {"orders/hub/0": 5})
    assert table.transaction_version("orders/hub/0") == 5


def test_delta_itself_would_take_a_lower_number_from_a_writer_that_has_seen_the_higher_one(store: ReadStore) -> None:
    store.commit(Batch("hub", {"0": 7}))
    table = store.table(ORDERS)
    merge(table, ORDERS.schema.empty_table(), "false", None, {"orders/hub/0": 3})
    assert table.transaction_version("orders/hub/0") == 3  # why `commit` compares before it writes


def test_a_commit_after_another_threads_is_made_on_what_that_one_left(store: ReadStore) -> None:
    store.commit(Batch("hub", {"0": 1}, [order("a")], {MONDAY}))
    ReadStore(store.tables_url).commit(Batch("hub", {"0": 2}, [order("a", version=2)], {MONDAY}))
    with pytest.raises(CommitFailedError):
        store.commit(Batch("hub", {"0": 3}, [order("a", version=3)], {MONDAY}))
    assert store.positions("hub", ["0"])["orders"] == {"0": 2}
    store.commit(Batch("hub", {"0": 3}, [order("a", version=3)], {MONDAY}))
    assert rows(store, ORDERS)[0]["version"] == 3


def test_positions_are_told_as_they_are_when_another_hubs_writer_came_in_between(store: ReadStore) -> None:
    store.commit(Batch("hub", {"0": 1}, [order("a")], {MONDAY}))
    tuesday = order("b", day="20260106")
    ReadStore(store.tables_url).commit(Batch("other", {"0": 5}, [tuesday], {tuesday.created_day}))
    store.positions("other", ["0"])
    ReadStore(store.tables_url).commit(Batch("other", {"0": 6}))
    store.commit(Batch("hub", {"0": 2}))  # positions alone go beside those of another hub
    assert store.positions("other", ["0"])["orders"] == {"0": 6}
    assert store.positions("hub", ["0"])["orders"] == {"0": 2}


def test_rows_are_put_on_the_version_that_was_read_and_on_no_other(store: ReadStore, way: str) -> None:
    store.commit(Batch("hub", {"0": 1}, [order("a")], {MONDAY}))
    ReadStore(store.tables_url).commit(Batch("other", {"0": 1}, [order("b")], {MONDAY}))
    again = Batch("hub", {"0": 2}, [order("b", "99.00")], {MONDAY})
    with pytest.raises(CommitFailedError):
        store.commit(again)
    store.positions("hub", ["0"])  # which looks at each table
    store.commit(again)
    assert [(row["order_id"][-1], row["total"]) for row in rows(store, ORDERS)] == [("a", 10), ("b", 10)]


def test_a_day_that_stands_is_read_once_and_again_when_another_writer_has_changed_it(
    store: ReadStore, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    def contents_noted(table: DeltaTable, model: ReadModel, predicate: str | None = None) -> pa.Table:
        read.append(model.name)
        return contents(table, model, predicate)

    monkeypatch.setattr(handles.tables, "contents", contents_noted)
    for number in range(1, 4):
        store.orders([ORDER], {MONDAY})
        store.commit(Batch("hub", {"0": number}, [order("a", version=number), order(f"{number}")], {MONDAY}))
    assert (read.count("orders") == 1) is (way == "put")
    ReadStore(store.tables_url).commit(Batch("hub", {"0": 9}, [order("a", version=9)], {MONDAY}))
    read.clear()
    assert store.orders(["order-20260105-a"], {MONDAY})["order-20260105-a"].version == 9
    assert read == ["orders"]


def test_a_log_that_stands_is_not_read_and_one_that_was_cleaned_is(
    store: ReadStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.commit(Batch("hub", {"0": 1}, [order("a")], {MONDAY}))
    version, log = store.table(ORDERS).version(), Path(store.url(ORDERS)) / "_delta_log"
    other = ReadStore(store.tables_url)
    with monkeypatch.context() as patched:
        patched.setattr(DeltaTable, "update_incremental", None)
        assert store.positions("hub", ["0"])["orders"] == {"0": 1}
        assert store.version_of("order-20260105-a") == 1
    for number in (2, 3):
        other.commit(Batch("hub", {"0": number}, [order("a", version=number)], {MONDAY}))
    other.table(ORDERS).create_checkpoint()
    for number in (version, version + 1):
        (log / f"{number:020}.json").unlink()
    assert store.positions("hub", ["0"])["orders"] == {"0": 3}
    assert store.version_of("order-20260105-a") == 3


@pytest.mark.parametrize("behind", [1, 3, 5])
def test_who_is_as_far_behind_as_a_checkpoint_opens_the_table_anew_and_reads_the_same(
    store: ReadStore, monkeypatch: pytest.MonkeyPatch, behind: int
) -> None:
    store.commit(Batch("hub", {"0": 1}, [order("a")], {MONDAY}))
    reader, updates = ReadStore(store.tables_url), []
    update = DeltaTable.update_incremental
    assert reader.version_of("order-20260105-a") == 1
    for number in range(2, behind + 2):
        store.commit(Batch("hub", {"0": number}, [order("a", version=number)], {MONDAY}))
    monkeypatch.setattr(tables, "CHECKPOINT_COMMITS", 3)
    monkeypatch.setattr(DeltaTable, "update_incremental", lambda self: (updates.append(self), update(self)))
    assert {lowest["0"] for lowest in reader.positions("hub", ["0"]).values()} == {behind + 1}
    assert reader.version_of("order-20260105-a") == behind + 1
    assert (not updates) is (behind >= 3)
