"""What one commit holds: rows, positions and the figures of the days, and which files it touches."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import msgspec
import pyarrow as pa
import pytest

from labkit.projections.folds import HIGHEST_TOTAL
from labkit.projections.read_store import Batch, ReadStore
from labkit.projections.rows import CustomerRow, DayRow, average
from labkit.projections.tables import (
    CUSTOMERS,
    DAILY_ORDER_METRICS,
    ORDERS,
    READ_MODELS,
    day_bound,
    to_table,
)
from tests.unit.projections.read_store.orders import MONDAY, order, rows
from tests.unit.projections.streams import CUSTOMER, NINE


def test_a_new_store_has_the_three_tables_with_their_schemas_and_no_positions(store: ReadStore) -> None:
    for model in READ_MODELS:
        table = store.table(model)
        assert pa.schema(table.schema().to_arrow()).equals(model.schema)
        assert table.metadata().partition_columns == list(model.partition_by)
    assert store.positions("hub", ["0"]) == {model.name: {"0": -1} for model in READ_MODELS}


def test_opening_a_store_again_keeps_what_is_there(store: ReadStore) -> None:
    store.commit(Batch("hub", {"0": 7}, [order("a")], {MONDAY}))
    again = ReadStore(store.tables_url)
    assert again.version_of("order-20260105-a") == 1
    assert again.positions("hub", ["0"])["orders"] == {"0": 7}


def test_what_needs_no_reading_is_what_every_table_has_or_what_was_there_before(
    store: ReadStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = {"orders": {"0": 7, "1": -1, "2": 9}, "customers": {"0": 5, "1": -1, "2": 9}}
    monkeypatch.setattr(store, "positions", lambda hub, partitions: tables)
    assert store.lowest("hub", ["0", "1", "2"], {"1": 3, "2": 4}) == {"0": 5, "1": 3, "2": 9}


def test_rows_and_positions_are_in_one_delta_commit(store: ReadStore) -> None:
    before = store.table(ORDERS).version()
    store.commit(Batch("hub", {"0": 7, "1": 3}, [order("a")], {MONDAY}))
    assert store.table(ORDERS).version() == before + 1
    log = Path(store.url(ORDERS)) / "_delta_log" / f"{before + 1:020}.json"
    actions = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    assert {a["txn"]["appId"]: a["txn"]["version"] for a in actions if "txn" in a} == {
        "orders/hub/0": 7,
        "orders/hub/1": 3,
    }
    assert any("add" in action for action in actions)


def test_a_day_of_the_highest_totals_is_added_up_and_ends_nothing(store: ReadStore) -> None:
    dearest = [order(f"{number}", str(HIGHEST_TOTAL)) for number in range(10_001)]
    store.commit(Batch("hub", {"0": 7}, dearest, {MONDAY}))
    (day,) = rows(store, DAILY_ORDER_METRICS)
    assert (day["revenue"], day["average_order_value"]) == (10_001 * HIGHEST_TOTAL, HIGHEST_TOTAL)


def test_a_batch_that_changes_no_row_moves_the_positions_all_the_same(store: ReadStore) -> None:
    store.commit(Batch("hub", {"0": 7}, [order("a", version=2)], {MONDAY}))
    store.commit(Batch("hub", {"0": 8}, [order("a", total="99.00", version=2)], {MONDAY}))
    store.commit(Batch("hub", {"0": 9}))
    assert store.positions("hub", ["0"]) == {model.name: {"0": 9} for model in READ_MODELS}
    assert rows(store, ORDERS)[0]["total"] == Decimal("10.00")


def test_positions_are_kept_per_hub_and_never_move_back(store: ReadStore) -> None:
    store.commit(Batch("hub", {"0": 7, "1": 2}))
    store.commit(Batch("hub", {"0": 5, "1": 4}))
    store.commit(Batch("other", {"0": 1}))
    assert store.positions("hub", ["0", "1"])["orders"] == {"0": 7, "1": 4}
    assert store.positions("other", ["0", "1"])["orders"] == {"0": 1, "1": -1}


def test_the_merge_takes_the_newer_version_only(store: ReadStore) -> None:
    store.commit(Batch("hub", {"0": 1}, [order("a", version=3, status="Shipped"), order("b")], {MONDAY}))
    store.commit(Batch("hub", {"0": 2}, [order("a", version=2), order("b", version=2, status="Paid")], {MONDAY}))
    assert [(row["status"], row["version"]) for row in rows(store, ORDERS)] == [("Shipped", 3), ("Paid", 2)]


def test_the_literal_day_bound_leaves_the_files_of_other_days_unread(store: ReadStore) -> None:
    days = [MONDAY + timedelta(days=index) for index in range(5)]
    many = [order("a", day=f"{day:%Y%m%d}") for day in days]
    store.commit(Batch("hub", {"0": 1}, many, set(days)))
    newer = to_table(ORDERS, [msgspec.structs.replace(many[2], version=2)])
    bounded = f"t.order_id = s.order_id AND {day_bound('t.created_day', {days[2]})}"
    table = store.table(ORDERS)
    seen = table.merge(newer, bounded, source_alias="s", target_alias="t").when_matched_update_all().execute()
    assert (seen["num_target_files_scanned"], seen["num_target_files_skipped_during_scan"]) == (1, 4)


def test_a_batch_touches_the_files_of_its_own_days_alone(store: ReadStore, way: str) -> None:
    days = [MONDAY - timedelta(days=back) for back in range(6)]
    orders = [order("a", day=f"{day:%Y%m%d}") for day in days]
    store.commit(Batch("hub", {"0": 1}, orders, set(days)))
    before = set(store.table(ORDERS).file_uris())
    assert len(before) == len(days)
    store.commit(Batch("hub", {"0": 2}, [order("a", "11.00", version=2)], {MONDAY}))
    (commit,) = store.table(ORDERS).history(1)
    told = {"put": "num_removed_files", "merge": "num_target_files_scanned"}
    assert commit["operationMetrics"][told[way]] == 1
    assert len(before & set(store.table(ORDERS).file_uris())) == len(days) - 1


def test_the_days_figures_are_those_of_the_orders_that_carry_it(store: ReadStore) -> None:
    others = [
        order("c", "5.01", status="Cancelled"),
        msgspec.structs.replace(order("d", "0.02"), customer_id="customer-b"),
    ]
    tuesday = order("e", "7.00", status="Cancelled", day="20260106")
    batch = [order("a"), order("b", "2.99"), *others, tuesday]
    store.commit(Batch("hub", {"0": 1}, batch, {MONDAY, tuesday.created_day}))
    assert rows(store, DAILY_ORDER_METRICS) == [
        msgspec.structs.asdict(DayRow(MONDAY, 4, 1, Decimal("13.01"), Decimal("4.34"), 2)),
        msgspec.structs.asdict(DayRow(tuesday.created_day, 1, 1, Decimal("0.00"), None, 1)),
    ]


def test_the_average_rounds_halves_up_and_a_day_without_revenue_has_none() -> None:
    assert average(Decimal("0.05"), 2) == Decimal("0.03")
    assert average(Decimal(0), 0) is None


def test_customers_have_a_table_of_their_own(store: ReadStore) -> None:
    store.commit(Batch("hub", {"0": 1}, [CustomerRow(CUSTOMER, "Ada", NINE, 1)]))
    assert rows(store, CUSTOMERS) == [{"customer_id": CUSTOMER, "name": "Ada", "registered_at": NINE, "version": 1}]
    assert (store.version_of(CUSTOMER), store.version_of("customer-b")) == (1, 0)


def test_rows_of_one_day_of_several_that_were_read_are_put_there_alone(store: ReadStore) -> None:
    tuesday = order("t", day="20260106")
    both = {MONDAY, tuesday.created_day}
    store.commit(Batch("hub", {"0": 1}, [order("a"), tuesday], both))
    assert len(store.orders(["order-20260105-a", tuesday.order_id], both)) == 2
    store.commit(Batch("hub", {"0": 2}, [order("a", "11.00", version=2), order("b")], both))
    assert [(row["order_id"], row["total"]) for row in rows(store, ORDERS)] == [
        ("order-20260105-a", 11),
        ("order-20260105-b", 10),
        ("order-20260106-t", 10),
    ]
    assert [day["orders"] for day in rows(store, DAILY_ORDER_METRICS)] == [2, 1]
