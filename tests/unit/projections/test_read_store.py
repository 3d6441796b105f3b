"""The tables, on disk: what one commit holds, what a reader sees, and what a crash between two commits leaves."""

from __future__ import annotations

import json
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import msgspec
import pyarrow as pa
import pytest
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError

from labkit.projections import handles
from labkit.projections.folds import HIGHEST_TOTAL, Arrival, fold, read
from labkit.projections.projection import project
from labkit.projections.read_store import Batch, ReadOnly, ReadStore
from labkit.projections.rows import CustomerRow, DayRow, OrderRow, Row, average
from labkit.projections.tables import (
    CUSTOMERS,
    DAILY_ORDER_METRICS,
    ORDERS,
    READ_MODELS,
    ReadModel,
    contents,
    day_bound,
    merge,
    to_table,
)
from tests.unit.projections.streams import CUSTOMER, NINE, ORDER, arrivals, event, life_of

MONDAY = date(2026, 1, 5)


@pytest.fixture(autouse=True, params=["put", "merge"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How rows come into a table: days of few rows are put, others merged. All that follows holds for both."""
    if request.param == "merge":
        monkeypatch.setattr(handles, "FEW_ROWS", -1)
    return str(request.param)


@pytest.fixture
def store(tmp_path: Path) -> ReadStore:
    return ReadStore(str(tmp_path))


def order(
    suffix: str, total: str = "10.00", version: int = 1, status: str = "Created", day: str = "20260105"
) -> OrderRow:
    return OrderRow(f"order-{day}-{suffix}", CUSTOMER, status, 1, Decimal(total), NINE, NINE, version)


def rows(store: ReadStore, model: ReadModel) -> list[dict[str, object]]:
    return contents(store.table(model), model).sort_by(model.key).to_pylist()


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


class Killed(Exception):
    """The process ends here."""


class Lane:
    """A lane that expects so many events in all."""

    def __init__(self, expects: int = 0) -> None:
        self.expects = expects

    def park(self, hub: str, events: list[object]) -> None:
        self.expects -= len(events)
        assert self.expects >= 0


HISTORY = arrivals(
    event(CUSTOMER, 1, "CustomerRegistered", {"name": "Ada"}),
    *life_of(),
    *life_of("order-20260106-b")[:2],
    event("order-20260106-b", 3, "OrderCancelled", {"reason": "changed mind"}),
    *life_of()[1:3],
)


def expected() -> dict[str, Row]:
    return fold([read(arrival) for arrival in HISTORY], {}, {}).rows


def shown(store: ReadStore) -> dict[str, list[dict[str, object]]]:
    return {model.name: rows(store, model) for model in READ_MODELS}


@pytest.mark.parametrize("dies_after", [0, 1, 2], ids=["before the first commit", "after orders", "after customers"])
@pytest.mark.parametrize("batch", [1, 4, 6])
def test_a_crash_between_two_commits_is_healed_by_reading_on_from_the_lowest_position(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dies_after: int, batch: int
) -> None:
    whole = ReadStore(str(tmp_path / "whole"))
    project(HISTORY, whole, Lane(), "hub", {})
    store = ReadStore(str(tmp_path / "killed"))
    project(HISTORY[:batch], store, Lane(), "hub", {})
    commit, left = ReadStore._commit, [dies_after]

    def dying(self: ReadStore, *args: object) -> None:
        if left[0] == 0:
            raise Killed
        left[0] -= 1
        commit(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(ReadStore, "_commit", dying)
        with pytest.raises(Killed):
            project(HISTORY[batch : batch + 4], store, Lane(), "hub", {})

    again = ReadStore(store.tables_url)
    begin = min(positions["0"] for positions in again.positions("hub", ["0"]).values())
    assert begin < len(HISTORY) - 1
    project(HISTORY[begin + 1 :][:3], again, Lane(), "hub", {})
    project(HISTORY[begin + 1 :], again, Lane(), "hub", {})
    assert shown(again) == shown(whole)
    assert again.orders(list(expected()), {MONDAY, MONDAY + timedelta(days=1)}) == {
        who: row for who, row in expected().items() if isinstance(row, OrderRow)
    }


def test_the_same_batch_twice_changes_no_table_and_makes_no_commit(store: ReadStore) -> None:
    project(HISTORY, store, Lane(), "hub", {})
    versions = {model.name: store.table(model).version() for model in READ_MODELS}
    outcome = project(HISTORY, store, Lane(), "hub", {})
    assert (outcome.applied, outcome.dropped) == (0, 0)
    assert {model.name: store.table(model).version() for model in READ_MODELS} == versions


def test_what_was_parked_before_a_half_commit_is_not_parked_again(store: ReadStore) -> None:
    poison = arrivals(b"half an ev")
    merge(store.table(ORDERS), ORDERS.schema.empty_table(), "false", None, {"orders/hub/0": 0})
    project(poison, store, Lane(expects=0), "hub", {})
    assert store.positions("hub", ["0"])["daily_order_metrics"] == {"0": 0}
    lane = Lane(expects=1)
    project(arrivals(b"another", first=1), store, lane, "hub", {})
    assert lane.expects == 0


def test_events_sent_again_under_new_sequence_numbers_change_no_figure(store: ReadStore) -> None:
    project(HISTORY, store, Lane(), "hub", {})
    before = shown(store)
    again = [Arrival(one.hub_partition, one.sequence_number + len(HISTORY), one.body, one.named) for one in HISTORY]
    outcome = project(again, store, Lane(), "hub", {})
    assert (outcome.applied, outcome.dropped) == (0, len(HISTORY))
    assert shown(store) == before


def test_each_hub_partition_moves_by_itself(store: ReadStore) -> None:
    left, right = arrivals(*life_of()), arrivals(*life_of("order-20260105-b"), partition="1", first=40)
    project([*left[:2], *right], store, Lane(), "hub", {})
    project(left[2:], store, Lane(), "hub", {})
    assert store.positions("hub", ["0", "1"])["daily_order_metrics"] == {"0": 3, "1": 43}
    assert [row["version"] for row in rows(store, ORDERS)] == [4, 4]


def test_the_order_of_ids_asked_for_does_not_matter(store: ReadStore) -> None:
    project(HISTORY, store, Lane(), "hub", {})
    assert set(store.orders([ORDER, "order-20260105-none"], {MONDAY})) == {ORDER}
    assert store.orders([], set()) == {}


def test_delta_itself_would_take_a_lower_number_from_a_writer_that_has_seen_the_higher_one(store: ReadStore) -> None:
    store.commit(Batch("hub", {"0": 7}))
    table = store.table(ORDERS)
    merge(table, ORDERS.schema.empty_table(), "false", None, {"orders/hub/0": 3})
    assert table.transaction_version("orders/hub/0") == 3  # why `commit` compares before it writes


def files_below(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


def test_a_store_opened_for_reading_makes_nothing_and_reads_what_is_not_there_as_empty(tmp_path: Path) -> None:
    reading = ReadStore(str(tmp_path / "tables"), read_only=True)
    assert reading.positions("hub", ["0"]) == {model.name: {"0": -1} for model in READ_MODELS}
    assert reading.orders([ORDER], [MONDAY]) == {}
    assert (reading.version_of(ORDER), reading.version_of(CUSTOMER)) == (0, 0)
    with pytest.raises(ReadOnly, match="opened for reading"):
        reading.commit(Batch("hub", {"0": 1}))
    assert files_below(tmp_path) == []


def test_a_store_opened_for_reading_sees_tables_that_are_made_later(tmp_path: Path) -> None:
    reading = ReadStore(str(tmp_path), read_only=True)
    assert reading.version_of("order-20260105-a") == 0
    ReadStore(str(tmp_path)).commit(Batch("hub", {"0": 7}, [order("a")], {MONDAY}))
    there = files_below(tmp_path)
    assert reading.version_of("order-20260105-a") == 1
    assert reading.positions("hub", ["0"])["orders"] == {"0": 7}
    assert files_below(tmp_path) == there


def older_table(folder: Path) -> None:
    """`orders` as a labkit made it that did not know the number of items, with one order in it."""
    known = [column for column in ORDERS.schema if column.name != "item_count"]
    table = DeltaTable.create(f"{folder}/orders", pa.schema(known), partition_by=["created_day"])
    rows = to_table(ORDERS, [order("old")]).select([column.name for column in known])
    merge(table, rows, "t.order_id = s.order_id", None, {"orders/hub/0": 3})


def test_a_column_that_came_later_is_added_at_opening_and_nothing_is_rebuilt(tmp_path: Path) -> None:
    older_table(tmp_path)
    store = ReadStore(str(tmp_path))
    assert {field.name for field in store.table(ORDERS).schema().fields} == set(ORDERS.schema.names)
    assert store.positions("hub", ["0"])["orders"] == {"0": 3}
    store.commit(Batch("hub", {"0": 4}, [order("new"), order("old", version=2)], {MONDAY}))
    assert [(row["order_id"][-3:], row["item_count"], row["version"]) for row in rows(store, ORDERS)] == [
        ("new", 1, 1),
        ("old", 1, 2),
    ]
    version = store.table(ORDERS).version()
    assert ReadStore(str(tmp_path)).table(ORDERS).version() == version


def test_what_an_older_labkit_wrote_reads_as_null_in_the_new_column(tmp_path: Path) -> None:
    older_table(tmp_path)
    reading = ReadStore(str(tmp_path), read_only=True)
    assert contents(reading.table(ORDERS), ORDERS)["item_count"].to_pylist() == [None]
    assert contents(ReadStore(str(tmp_path)).table(ORDERS), ORDERS)["item_count"].to_pylist() == [None]


@pytest.mark.parametrize("folder", [None, ""], ids=["the pointer", "the tables"])
def test_a_data_lake_is_asked_with_the_storage_options_given(folder: str | None) -> None:
    # Nothing here speaks its protocol, so this is as far as it can be seen: nobody listens at the endpoint given.
    options = {"account_key": "a2V5", "azure_storage_endpoint": "https://127.0.0.1:9", "max_retries": "0"}
    with pytest.raises(OSError, match=r"MicrosoftAzure[\s\S]*https://127\.0\.0\.1:9/lab"):
        ReadStore("abfss://lab@account.dfs.core.windows.net/tables", options, folder=folder)


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
