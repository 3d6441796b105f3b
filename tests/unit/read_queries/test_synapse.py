"""The views of sql/ answered over real Delta tables, written by the projector's own read store."""

from __future__ import annotations

import re
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
import pytest
from deltalake import DeltaTable
from hypothesis import given
from hypothesis import strategies as st

from labkit.projections.read_store import ReadStore
from labkit.projections.tables import ORDERS, contents, merge, to_table
from labkit.read_queries.rowsets import OutsideSubset, take_rowsets
from labkit.read_queries.subset import AVERAGE_MACRO, read_statement
from labkit.read_queries.synapse import SQL_FOLDER, FilesRead, Synapse, TableMissing

PLAIN = duckdb.connect()
PLAIN.execute(AVERAGE_MACRO)
ALL = {path.stem: path.read_text(encoding="utf-8") for path in SQL_FOLDER.glob("*.sql")}


def rows(frame: pd.DataFrame) -> list[tuple[Any, ...]]:
    return [tuple(None if pd.isna(value) else value for value in row) for row in frame.itertuples(index=False)]


def columns_of(view: str) -> str:
    select = read_statement(ALL[view]).select
    return ", ".join(expression.alias_or_name for expression in select.expressions)


@pytest.mark.parametrize("view", sorted(ALL))
def test_every_column_of_a_view_is_there_and_typed_even_when_the_tables_are_empty(view: str, synapse: Synapse) -> None:
    frame = synapse.query(f"SELECT {columns_of(view)} FROM {view}")
    assert len(frame) == 0
    found = {name: kind.pyarrow_dtype for name, kind in frame.dtypes.items()}
    money = pa.decimal128(18, 2)
    known = {"total": money, "revenue": pa.decimal128(38, 2), "average_order_value": money,
             "item_count": pa.int32(), "version": pa.int64(), "orders": pa.int64(), "cancelled": pa.int64(),
             "distinct_customers": pa.int64(), "created_at": pa.timestamp("us", "UTC"), "day": pa.date32(),
             "updated_at": pa.timestamp("us", "UTC"), "created_day": pa.date32(), "first_day": pa.date32(),
             "last_day": pa.date32()}  # fmt: skip
    assert found == {name: known.get(name, pa.string()) for name in found}


def test_an_order_shows_its_customers_name_and_none_while_the_customer_is_not_registered(
    synapse: Synapse, tables: Any
) -> None:
    tables.write([tables.an_order("a", customer="customer-1"), tables.an_order("b", customer="customer-2")])
    question = "SELECT order_id, customer_name FROM dbo.vw_order_summary ORDER BY order_id"
    assert rows(synapse.query(question)) == [("order-20260105-a", None), ("order-20260105-b", None)]
    tables.write([tables.a_customer("1", "Ada")])
    assert rows(synapse.query(question)) == [("order-20260105-a", "Ada"), ("order-20260105-b", None)]


def test_values_come_back_exactly_as_they_were_written(synapse: Synapse, tables: Any) -> None:
    moment = datetime(2026, 1, 5, 23, 59, 59, 999_999, tzinfo=UTC)
    tables.write([tables.an_order("a", "9999999999999999.99", at=moment)])
    frame = synapse.query("SELECT total, created_at, created_day FROM dbo.vw_order_summary")
    assert rows(frame) == [(Decimal("9999999999999999.99"), moment, date(2026, 1, 5))]


def test_the_day_of_an_order_is_the_one_in_its_id_even_when_it_was_made_after_midnight(
    synapse: Synapse, tables: Any
) -> None:
    tables.write([tables.an_order("late", day=5, at=datetime(2026, 1, 6, 0, 30, tzinfo=UTC))])
    assert rows(synapse.query("SELECT day, orders FROM dbo.vw_daily_order_metrics")) == [(date(2026, 1, 5), 1)]


def test_a_day_whose_orders_are_all_cancelled_has_revenue_zero_and_no_average(synapse: Synapse, tables: Any) -> None:
    tables.write([tables.an_order("a", status="Cancelled")])
    frame = synapse.query("SELECT orders, cancelled, revenue, average_order_value FROM dbo.vw_daily_order_metrics")
    assert rows(frame) == [(1, 1, Decimal("0.00"), None)]


def test_the_view_of_the_days_equals_the_derived_table(synapse: Synapse, tables: Any) -> None:
    statuses = ["Created", "Cancelled", "Paid"]
    tables.write(
        tables.an_order(f"{n}", f"{n}.0{n % 10}", day=5 + n % 3, customer=f"customer-{n % 4}", status=statuses[n % 3])
        for n in range(30)
    )
    columns = columns_of("dbo.vw_daily_order_metrics")
    asked = synapse.query(f"SELECT {columns} FROM dbo.vw_daily_order_metrics ORDER BY day")
    derived = """OPENROWSET(BULK 'daily_order_metrics', DATA_SOURCE = 'read_store', FORMAT = 'DELTA') WITH (day DATE,
        orders BIGINT, cancelled BIGINT, revenue DECIMAL(38, 2), average_order_value DECIMAL(18, 2),
        distinct_customers BIGINT) AS m"""
    assert len(asked) == 3
    pd.testing.assert_frame_equal(asked, synapse.query(f"SELECT {columns} FROM {derived} ORDER BY day"))


@given(st.lists(st.integers(-(10**15), 10**15), max_size=20))
def test_an_average_is_exact_and_rounds_half_away_from_zero(cents: list[int]) -> None:
    amounts = [Decimal(n).scaleb(-2) for n in cents]
    average = "CAST(average_of_cents(SUM(x), COUNT(x)) AS DECIMAL(18, 2))"
    (found,) = PLAIN.execute(f"SELECT {average} FROM unnest($1::DECIMAL(18, 2)[]) AS t(x)", [amounts]).fetchone()
    exact = Decimal(sum(cents)).scaleb(-2) / len(cents) if cents else None
    assert found == (None if exact is None else exact.quantize(Decimal("0.01"), ROUND_HALF_UP))


def test_a_query_sees_what_was_committed_after_the_one_before(synapse: Synapse, tables: Any) -> None:
    tables.write([tables.an_order("a")])
    first = synapse.query("SELECT order_id FROM dbo.vw_order_summary")
    tables.write([tables.an_order("b")])
    second = synapse.query("SELECT order_id FROM dbo.vw_order_summary")
    assert (len(first), len(second)) == (1, 2)
    assert second.attrs["table_versions"]["orders"] == first.attrs["table_versions"]["orders"] + 1


def test_a_relation_is_made_again_only_when_the_table_has_a_new_version(
    synapse: Synapse, tables: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed: list[int] = []
    file_uris = DeltaTable.file_uris
    monkeypatch.setattr(DeltaTable, "file_uris", lambda table: listed.append(table.version()) or file_uris(table))
    tables.write([tables.an_order("a")])
    for _ in range(3):
        synapse.query("SELECT day FROM dbo.vw_daily_order_metrics")
    tables.write([tables.an_order("b")])
    synapse.query("SELECT day FROM dbo.vw_daily_order_metrics")
    assert listed == [1, 2]


def test_a_condition_on_the_day_leaves_files_out_and_one_on_the_timestamp_reads_them_all(
    synapse: Synapse, tables: Any
) -> None:
    tables.write(tables.an_order("a", day=day) for day in range(1, 11))
    select = "SELECT order_id FROM dbo.vw_order_summary"
    day = {"day": date(2026, 1, 3)}
    assert synapse.files_read(f"{select} WHERE created_day = @day", day) == FilesRead(1, 10)
    naive = f"{select} WHERE CAST(created_at AS DATE) = @day"
    assert synapse.files_read(naive, day, waive=["date-from-timestamp"]) == FilesRead(10, 10)


def test_parameters_are_bound_and_never_pasted(synapse: Synapse, tables: Any) -> None:
    tables.write([tables.an_order("a")])
    question = "SELECT order_id FROM dbo.vw_order_summary WHERE customer_id = @customer_id"
    assert len(synapse.query(question, {"customer_id": "customer-1"})) == 1
    assert len(synapse.query(question, {"customer_id": "x' OR '1' = '1"})) == 0


@pytest.mark.parametrize(
    "table", ["dbo.vw_nothing", "orders", "read_store.orders", "information_schema.tables", "DBO.vw_order_summary"]
)
def test_only_the_views_of_the_folder_can_be_named(table: str, synapse: Synapse) -> None:
    with pytest.raises(OutsideSubset, match="no view"):
        synapse.query(f"SELECT a FROM {table}")


def test_a_question_cannot_make_a_view(synapse: Synapse) -> None:
    with pytest.raises(OutsideSubset, match="views are made by the files"):
        synapse.query(ALL["dbo.vw_order_summary"])


DAILY = "dbo.vw_daily_order_metrics"
SELF = "FROM dbo.vw_order_summary AS a JOIN dbo.vw_order_summary AS b ON a.order_id = b.order_id"
DAYS = "dbo.vw_daily_order_metrics has day, orders, cancelled, revenue, average_order_value, distinct_customers"
BY_CUSTOMER = "dbo.vw_customer_orders AS c has customer_id, customer_name, orders"


@pytest.mark.parametrize(
    ("tsql", "line", "told"),
    [
        ("SELECT updated_at FROM dbo.vw_daily_order_metrics", 1, f"no column updated_at: {DAYS}"),
        ("SELECT DAY FROM dbo.vw_daily_order_metrics", 1, f"no column DAY: {DAYS}"),
        ("SELECT d.totl\nFROM dbo.vw_daily_order_metrics AS d", 1, "no column d.totl: dbo.vw_daily_order_metrics AS d"),
        ("SELECT day\nFROM dbo.vw_daily_order_metrics\nWHERE totl > 1", 3, f"no column totl: {DAYS}"),
        ("SELECT day AS d FROM dbo.vw_daily_order_metrics WHERE d > @day", 1, "no column d: "),
        (
            "SELECT x.day FROM dbo.vw_daily_order_metrics AS m",
            1,
            "no column x.day: dbo.vw_daily_order_metrics AS m has",
        ),
        (
            "SELECT o.status FROM dbo.vw_order_summary AS o\n"
            "LEFT JOIN dbo.vw_customer_orders AS c ON c.custmer_id = o.customer_id",
            2,
            BY_CUSTOMER,
        ),
        (
            "SELECT customer_id FROM dbo.vw_order_summary o JOIN dbo.vw_customer_orders c ON c.orders = o.version",
            1,
            "customer_id is in o and in c: say whose",
        ),
        ("SELECT status AS t FROM dbo.vw_order_summary GROUP BY status ORDER BY MAX(t)", 1, "no column t: "),
        ("SELECT status AS t\nFROM dbo.vw_order_summary\nORDER BY CASE WHEN t > 1 THEN 1 END", 3, "no column t: "),
        (
            "SELECT order_id AS status FROM dbo.vw_order_summary ORDER BY CASE WHEN status = 'Paid' THEN 1 END",
            1,
            "status is in vw_order_summary and in order_id AS status: say whose",
        ),
        (f"SELECT CAST(a.version AS INT) {SELF} ORDER BY version", 1, "version is in a and in b: say whose"),
        (f"SELECT a.version, b.version {SELF} ORDER BY version", 1, "version is in a.version and in b.version: say"),
        (
            "SELECT o.status FROM dbo.vw_order_summary AS o\n"
            "JOIN dbo.vw_daily_order_metrics AS d ON d.day = c.first_day\n"
            "JOIN dbo.vw_customer_orders AS c ON c.customer_id = o.customer_id",
            2,
            "no column c.first_day: dbo.vw_order_summary AS o has",
        ),
        ("SELECT xyz.vw_order_summary.status FROM dbo.vw_order_summary", 1, "no column xyz.vw_order_summary.status: "),
        ("SELECT dbo.o.status FROM dbo.vw_order_summary AS o", 1, "no column dbo.o.status: "),
    ],
)
def test_a_column_that_no_view_has_or_two_have_is_named_with_what_there_is(
    tsql: str, line: int, told: str, synapse: Synapse, tables: Any
) -> None:
    tables.write([tables.an_order("a")])
    with pytest.raises(OutsideSubset, match=re.escape(told)) as refused:
        synapse.query(tsql)
    assert [(finding.line, finding.rule) for finding in refused.value.findings] == [(line, "column")]


@pytest.mark.parametrize(("first", "second"), [(" AS o", " AS o"), ("", ""), (" AS vw_order_summary", "")])
def test_two_tables_of_one_name_are_refused(first: str, second: str, synapse: Synapse) -> None:
    view, name = "dbo.vw_order_summary", (first or "vw_order_summary").split()[-1]
    with pytest.raises(OutsideSubset, match=f"query:2: view: two tables are called {name}"):
        synapse.query(f"SELECT {name}.status FROM {view}{first}\nJOIN {view}{second} ON {name}.version = 1")


def test_a_view_over_a_view_is_refused(tables: Any, tmp_path: Path) -> None:
    for view, select in {"b": ALL[DAILY].partition(" AS\n")[2], "a": "SELECT day FROM dbo.b"}.items():
        (tmp_path / f"dbo.{view}.sql").write_text(f"CREATE OR ALTER VIEW dbo.{view} AS\n{select}", encoding="utf-8")
    with Synapse(str(tables.folder), sql_folder=tmp_path) as synapse:
        assert len(synapse.query("SELECT day FROM dbo.b")) == 0
        with pytest.raises(
            OutsideSubset, match=r"sql/dbo\.a\.sql:2: view: no view dbo\.b: a view reads OPENROWSET alone"
        ):
            synapse.query("SELECT day FROM dbo.a")


def test_a_view_may_be_called_by_its_whole_name(synapse: Synapse, tables: Any) -> None:
    tables.write([tables.an_order("a")])
    assert rows(synapse.query("SELECT dbo.vw_order_summary.version FROM dbo.vw_order_summary")) == [(1,)]


def test_a_column_that_the_rowset_does_not_declare_does_not_exist_though_the_table_has_it(synapse: Synapse) -> None:
    of = "OPENROWSET(BULK 'orders', DATA_SOURCE = 'read_store', FORMAT = 'DELTA') WITH (version BIGINT) AS m"
    with pytest.raises(OutsideSubset, match=r"no column m\.total: orders AS m has version"):
        synapse.query(f"SELECT m.total FROM {of}")


def test_an_order_may_name_what_the_select_makes_or_what_two_views_have(synapse: Synapse, tables: Any) -> None:
    tables.write([tables.an_order("a", customer="customer-2"), tables.an_order("b", customer="customer-1")])
    joined = "FROM dbo.vw_order_summary AS o JOIN dbo.vw_customer_orders AS c ON c.customer_id = o.customer_id"
    for order in ("who", "o.customer_id", "order_id DESC"):
        found = synapse.query(f"SELECT o.customer_id AS who {joined} ORDER BY {order}")
        assert rows(found) == [("customer-1",), ("customer-2",)]
    assert len(synapse.query(f"SELECT o.customer_id {joined} ORDER BY customer_id")) == 2


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [("total DECIMAL(18, 2)", "total BIGINT", "decimal"), ("status VARCHAR", "state VARCHAR", "missing")],
)
def test_a_declared_column_that_the_table_does_not_have_is_refused_with_its_line(
    old: str, new: str, reason: str, tmp_path: Path, tables: Any
) -> None:
    view = "dbo.vw_daily_order_metrics"
    assert old in ALL[view]
    (was, _), (named, _) = old.split(maxsplit=1), new.split(maxsplit=1)
    changed = ALL[view].replace(old, new).replace(f"o.{was}", f"o.{named}")
    (tmp_path / f"{view}.sql").write_text(changed, encoding="utf-8")
    with Synapse(str(tables.folder), sql_folder=tmp_path) as synapse, pytest.raises(OutsideSubset, match=reason) as no:
        synapse.query(f"SELECT day FROM {view}")
    line = next(n for n, text in enumerate(ALL[view].splitlines(), 1) if old in text)
    assert [(finding.file, finding.line) for finding in no.value.findings] == [(f"sql/{view}.sql", line)]


def test_every_text_column_of_the_views_can_hold_the_longest_id() -> None:
    longest = len("order-20260105-") + 63
    for text in ALL.values():
        for rowset in take_rowsets(text, "view")[1]:
            for column in rowset.columns:
                if column.name.endswith("_id"):
                    assert int(column.type.removeprefix("VARCHAR(").removesuffix(")")) >= longest


def test_a_read_store_without_tables_says_who_makes_them(tmp_path: Path) -> None:
    with Synapse(str(tmp_path)) as synapse, pytest.raises(TableMissing, match="start the projector"):
        synapse.query("SELECT day FROM dbo.vw_daily_order_metrics")


def test_tables_at_a_url_are_read_without_an_extension_and_answer_the_same(tables: Any) -> None:
    folder = Path(str(tables.folder).replace(" ", "-"))
    tables.write(tables.an_order(f"{day}", day=day, total=f"{day}.05") for day in range(1, 4))
    shutil.copytree(tables.folder, folder)
    question = "SELECT order_id, total, created_at, created_day FROM dbo.vw_order_summary ORDER BY order_id"
    with Synapse(str(folder)) as by_path, Synapse(folder.as_uri()) as by_url:
        assert len(by_path.query(question)) == 3
        pd.testing.assert_frame_equal(by_url.query(question), by_path.query(question))


def test_the_text_that_runs_here_holds_no_openrowset_and_that_of_sql_is_shown_as_it_is(synapse: Synapse) -> None:
    for view in ALL:
        assert "OPENROWSET" not in synapse.runs_as(view).upper()
        assert synapse.tsql(view) == ALL[view]
    with pytest.raises(LookupError, match=r"dbo\.vw_order_summary"):
        synapse.tsql("dbo.vw_nothing")


def test_threads_that_ask_while_batches_are_committed_each_see_whole_batches(synapse: Synapse, tables: Any) -> None:
    tables.write([tables.an_order("0-0"), tables.an_order("0-1")])
    question = "SELECT order_id FROM dbo.vw_order_summary"
    stop = threading.Event()

    def ask() -> list[int]:
        seen = [len(synapse.query(question))]
        while not stop.is_set():
            seen.append(len(synapse.query(question)))
        return seen

    with ThreadPoolExecutor(3) as readers:
        asking = [readers.submit(ask) for _ in range(3)]
        for batch in range(1, 6):
            tables.write([tables.an_order(f"{batch}-0"), tables.an_order(f"{batch}-1")])
        stop.set()
        answers = [each.result() for each in asking]
    assert all(seen == sorted(seen) and {count % 2 for count in seen} == {0} for seen in answers)
    assert len(synapse.query(question)) == 12


@pytest.fixture
def older_and_newer(tables: Any) -> tuple[list[tuple[Any, ...]], Any]:
    """Orders of two days written before `orders` had `item_count`; then it came, and a third day."""
    known = [column for column in ORDERS.schema if column.name != "item_count"]
    shutil.rmtree(tables.store.url(ORDERS))
    older = DeltaTable.create(tables.store.url(ORDERS), pa.schema(known), partition_by=["created_day"])
    there = to_table(ORDERS, [tables.an_order("old", day=3), tables.an_order("old", day=4)])
    merge(older, there.select([column.name for column in known]), "t.order_id = s.order_id", None, {})
    tables.store = ReadStore(str(tables.folder))
    tables.write([tables.an_order("new", day=5)])
    return [("order-20260103-old", None), ("order-20260104-old", None), ("order-20260105-new", 1)], tables


COUNTED = "SELECT order_id, item_count FROM dbo.vw_order_summary{} ORDER BY order_id"


def test_a_column_that_came_later_is_null_in_files_that_nobody_rewrote(
    older_and_newer: tuple[list[tuple[Any, ...]], Any], synapse: Synapse
) -> None:
    expected, tables = older_and_newer
    assert rows(synapse.query(COUNTED.format(""))) == expected
    where = " WHERE created_day = @day"
    for number, day in enumerate((3, 4, 5)):
        asked, days = {"day": date(2026, 1, day)}, (date(2026, 1, day), date(2026, 1, day))
        assert rows(synapse.answer(COUNTED.format(where), asked, days=days).frame()) == [expected[number]]
        assert synapse.files_read(COUNTED.format(where), asked).read == 1
    tables.write([tables.an_order("old", day=day, version=2) for day in (3, 4)])
    assert [count for _, count in rows(synapse.query(COUNTED.format("")))] == [1, 1, 1]


def test_a_column_that_came_later_is_null_at_a_url_and_for_delta_rs_too(
    older_and_newer: tuple[list[tuple[Any, ...]], Any],
) -> None:
    expected, tables = older_and_newer
    delta = DeltaTable(tables.store.url(ORDERS))
    for seen in (pa.table(delta.scan()), delta.to_pyarrow_dataset().to_table(), contents(delta, ORDERS)):
        assert sorted(zip(seen["order_id"].to_pylist(), seen["item_count"].to_pylist(), strict=True)) == expected
    folder = Path(str(tables.folder).replace(" ", "-"))
    shutil.copytree(tables.folder, folder)
    with Synapse(folder.as_uri()) as synapse:
        assert rows(synapse.query(COUNTED.format(""))) == expected
