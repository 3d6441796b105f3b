"""Each guard of Spark's commits by itself: the version, the batch's number, the bound by day; and the days' figures."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake

from labkit.projections.read_store import ReadStore
from labkit.projections.rows import CustomerRow, OrderRow, daily_metrics, to_arrow
from labkit.projections.tables import CUSTOMERS, DAILY_ORDER_METRICS, ORDERS, contents
from tests.spark.job import WITHOUT_SPARK

pytest.importorskip("pyspark", reason=WITHOUT_SPARK)

from pyspark.sql import DataFrame, SparkSession
from spark_projection.batches import CONFLICTS
from spark_projection.tables import Commit, LeftOut, Tables
from spark_projection.tables import daily_metrics as by_spark

DAY, NEXT = dt.date(2026, 1, 5), dt.date(2026, 1, 6)
NINE = dt.datetime(2026, 1, 5, 9, tzinfo=dt.UTC)


def order(number: int, day: dt.date = DAY, version: int = 1, status: str = "Created", total: str = "29.00") -> OrderRow:
    who = f"order-{day:%Y%m%d}-{number:06}"
    return OrderRow(who, f"customer-{number % 7}", status, 2, Decimal(total), NINE, NINE, version)


def frame(spark: SparkSession, file: Path, rows: list[OrderRow] | list[CustomerRow]) -> DataFrame:
    """By way of a file: without pandas, Spark takes Arrow only from there."""
    schema = ORDERS.schema if isinstance(rows[0], OrderRow) else CUSTOMERS.schema
    pq.write_table(to_arrow(schema, rows), file)
    return spark.read.parquet(str(file))


def statuses(tables: Tables) -> dict[str, tuple[str, int]]:
    found = contents(DeltaTable(tables.of(ORDERS)), ORDERS).to_pylist()
    return {row["order_id"][-1]: (row["status"], row["version"]) for row in found}


def test_a_merge_takes_newer_versions_of_its_days_once(spark: SparkSession, tables: Tables, tmp_path: Path) -> None:
    first = [order(1, version=3, status="Paid"), order(2), order(3, NEXT)]
    tables.merge_orders(frame(spark, tmp_path / "a", first), {DAY, NEXT}, Commit("hub", "query", 0))

    late = [order(1, version=2, status="Late"), order(2, version=2, status="Paid")]
    rows = frame(spark, tmp_path / "b", late)
    tables.merge_orders(rows, {DAY}, Commit("hub", "query", 1))
    assert statuses(tables) == {"1": ("Paid", 3), "2": ("Paid", 2), "3": ("Created", 1)}, "an older version came late"

    again = frame(spark, tmp_path / "c", [order(2, version=9, status="Again")])
    with pytest.raises(LeftOut, match="orders has batch 1 of this checkpoint already"):
        tables.merge_orders(again, {DAY}, Commit("hub", "query", 1))
    assert statuses(tables)["2"] == ("Paid", 2), "the table has this batch: its number was seen"

    tables.merge_orders(again, {DAY}, Commit("hub", "another checkpoint", 0))
    assert statuses(tables)["2"] == ("Again", 9), "a new checkpoint counts from 0, and is heard all the same"
    assert DeltaTable(tables.of(ORDERS)).transaction_version("spark/orders/hub/query") == 1


def test_another_writer_that_was_faster_is_told_by_an_error_that_a_batch_tries_again_after(
    spark: SparkSession, tables: Tables, tmp_path: Path
) -> None:
    target, once = tables.of(ORDERS), tmp_path / "once"
    faster = to_arrow(ORDERS.schema, [order(5)])

    def overtaken(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """While the MERGE reads its source, somebody commits to the same day."""
        if not once.exists():
            once.touch()
            write_deltalake(target, faster, mode="append", partition_by=["created_day"])
        yield from batches

    rows = frame(spark, tmp_path / "a", [order(1)])
    rows = rows.mapInArrow(overtaken, rows.schema)

    with pytest.raises(CONFLICTS):
        tables.merge_orders(rows, {DAY}, Commit("hub", "query", 0))
    assert set(statuses(tables)) == {"5"}
    tables.merge_orders(rows, {DAY}, Commit("hub", "query", 0))
    assert set(statuses(tables)) == {"1", "5"}


def test_the_tables_are_those_that_our_projector_makes(spark: SparkSession, tmp_path: Path) -> None:
    tables, store = Tables(str(tmp_path / "by-spark")), ReadStore(str(tmp_path / "ours"))
    tables.make(spark)

    for model in (ORDERS, CUSTOMERS, DAILY_ORDER_METRICS):
        made, ours = DeltaTable(tables.of(model)), store.table(model)
        assert [(one.name, one.type) for one in made.schema().fields] == [
            (one.name, one.type) for one in ours.schema().fields
        ]
        assert made.metadata().partition_columns == ours.metadata().partition_columns
        assert made.metadata().configuration["delta.enableDeletionVectors"] == "false"
    tables.make(spark)


def test_the_days_figures_are_ours_to_the_cent(spark: SparkSession, tmp_path: Path) -> None:
    # 12,001 orders whose average lies closer to a half cent than six places can tell; a day of one order; one of none;
    # and one whose average is half a cent
    close = [order(number, total="0.01" if number < 6_000 else "0.00") for number in range(12_001)]
    other = [order(1, NEXT, total="1000000000000.00"), order(2, NEXT, status="Cancelled")]
    third = [order(number, dt.date(2026, 1, 7), status="Cancelled") for number in range(2)]
    half = [order(number, dt.date(2026, 1, 8), total=total) for number, total in enumerate(("0.01", "0.00"))]
    rows = [*close, *other, *third, *half]

    found = by_spark(frame(spark, tmp_path / "orders", rows)).orderBy("day").collect()

    ours = daily_metrics(to_arrow(ORDERS.schema, rows))
    assert [tuple(row) for row in found] == [
        tuple(getattr(day, name) for name in DAILY_ORDER_METRICS.schema.names) for day in ours
    ]
    assert (ours[0].average_order_value, ours[3].average_order_value) == (Decimal("0.00"), Decimal("0.01"))
    assert list(found[0].asDict()) == DAILY_ORDER_METRICS.schema.names
