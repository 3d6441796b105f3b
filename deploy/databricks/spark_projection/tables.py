"""The read models' tables as Spark sees them: made, read by aggregate, merged, and a day's figures derived.

Owns how a MERGE is written for Delta on Spark: guarded by the version, bounded by literal days, numbered so that a
batch that comes again changes nothing. Names, keys and columns are those of `labkit.projections`, so that the views,
delta-rs and the projector read what is written here.

The number of a commit is Delta's `txn`: app id `spark/<table>/<hub>/<query id>`, version = the number of the batch. The
query id is part of it because a new checkpoint counts its batches from 0 again: under the old app id, Delta would skip
all of them in silence. What happens to a checkpoint by hand (offsets deleted, an older one put back) has the same
effect and leaves the query id as it was, so each commit that Delta leaves out is looked at: of a batch that comes
again the fold leaves no rows, and rows that are left out all the same are events about to be lost.

Source: Delta documentation, "Idempotent table writes in foreachBatch"; for a MERGE the two options are settings of the
session.
Known gap: the positions in the hub are in the checkpoint, not in the commits (Spark has one `txn` for a commit), so
what reads positions from the tables (`Answer.positions`, the lag of `labkit`) finds none.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from delta.tables import DeltaTable
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as f
from pyspark.sql.pandas.types import from_arrow_schema

from labkit.projections.tables import CUSTOMERS, DAILY_ORDER_METRICS, ORDERS, READ_MODELS, ReadModel, day_bound

TXN = "spark.databricks.delta.write.txnAppId", "spark.databricks.delta.write.txnVersion"
NO_DELETION_VECTORS = "delta.enableDeletionVectors", "false"
"""Synapse serverless refuses tables that have them; Databricks makes them by default."""


WAY_OUT = (
    "another job writes these tables, or the checkpoint was changed: then delete the whole checkpoint folder, no part "
    "of it alone, and begin again; the versions keep what is there from being counted twice"
)


class LeftOut(RuntimeError):
    """Delta has left out a commit, as one it has, with rows that are new to the table."""


@dataclass(frozen=True, slots=True)
class Commit:
    """What numbers the commits of one batch."""

    hub: str
    query_id: str
    batch_id: int

    def app_id(self, model: ReadModel) -> str:
        return f"spark/{model.name}/{self.hub}/{self.query_id}"


@dataclass(frozen=True, slots=True)
class Tables:
    """The three tables below one URL. One writer at a time; a replay of parked events may come between."""

    url: str

    def of(self, model: ReadModel) -> str:
        return f"{self.url.rstrip('/')}/{model.name}"

    def make(self, spark: SparkSession) -> None:
        """Make those that are missing."""
        for model in READ_MODELS:
            builder = DeltaTable.createIfNotExists(spark).location(self.of(model)).property(*NO_DELETION_VECTORS)
            builder = builder.addColumns(from_arrow_schema(model.schema))
            (builder.partitionedBy(*model.partition_by) if model.partition_by else builder).execute()

    def current(self, spark: SparkSession, model: ReadModel, ids: DataFrame, bound: str) -> DataFrame:
        """The rows there are of the aggregates in `ids` (column `aggregate_id`): that, and the row as a struct."""
        rows = spark.read.format("delta").load(self.of(model)).where(bound)
        found = rows.join(f.broadcast(ids), rows[model.key] == ids["aggregate_id"], "left_semi")
        return found.select(f.col(model.key).alias("aggregate_id"), f.struct(*model.schema.names).alias(model.name))

    def merge(self, rows: DataFrame, model: ReadModel, bound: str, guard: str | None, commit: Commit) -> None:
        """Merge rows, one for each key, in one commit. Raises: one of `batches.CONFLICTS`.

        Without a guard the rows are derived, and those of a batch that comes again may be left out.
        """
        spark = rows.sparkSession
        with numbered(spark, model, commit):
            target = DeltaTable.forPath(spark, self.of(model)).alias("t")
            merge = target.merge(rows.alias("s"), f"t.{model.key} = s.{model.key} AND {bound}")
            done = merge.whenMatchedUpdateAll(guard).whenNotMatchedInsertAll().execute()
        if guard and done.isEmpty():  # Delta tells nothing of a MERGE that it has left out, not even zeros
            there = f"{model.name} has batch {commit.batch_id} of this checkpoint already, and not these events"
            raise LeftOut(f"{there}: {WAY_OUT}")

    def merge_orders(self, rows: DataFrame, days: Collection[dt.date], commit: Commit) -> None:
        self.merge(rows, ORDERS, day_bound("t.created_day", days), "s.version > t.version", commit)

    def merge_customers(self, rows: DataFrame, commit: Commit) -> None:
        self.merge(rows, CUSTOMERS, "true", "s.version > t.version", commit)

    def derive_days(self, spark: SparkSession, days: Collection[dt.date], commit: Commit) -> None:
        """Compute the figures of these days anew from the orders that carry them."""
        orders = spark.read.format("delta").load(self.of(ORDERS)).where(day_bound("created_day", days))
        self.merge(daily_metrics(orders), DAILY_ORDER_METRICS, day_bound("t.day", days), None, commit)


@contextmanager
def numbered(spark: SparkSession, model: ReadModel, commit: Commit) -> Iterator[None]:
    """The next commit has this number; Delta leaves it out if the table has it already."""
    for setting, value in zip(TXN, (commit.app_id(model), str(commit.batch_id)), strict=True):
        spark.conf.set(setting, value)
    try:
        yield
    finally:
        for setting in TXN:
            spark.conf.unset(setting)


def daily_metrics(orders: DataFrame) -> DataFrame:
    """As `labkit.projections.rows.daily_metrics`, where the orders of a day may be too many for one worker.

    The average is rounded half up from whole cents, in one step: a decimal division of Spark's rounds to six places
    first, and so a second time.
    """
    live = f.col("status") != "Cancelled"
    figures = orders.groupBy(f.col("created_day").alias("day")).agg(
        f.count("*").alias("orders"),
        f.count_if(~live).alias("cancelled"),
        f.sum(f.when(live, f.col("total")).otherwise(f.lit(0).cast("decimal(18,2)"))).alias("sum"),
        f.count_distinct("customer_id").alias("distinct_customers"),
    )
    return figures.select(
        "day",
        "orders",
        "cancelled",
        f.expr("CAST(sum AS DECIMAL(38,2))").alias("revenue"),
        f.expr(AVERAGE).alias("average_order_value"),
        "distinct_customers",
    )


AVERAGE = """
CASE WHEN orders > cancelled THEN
  CAST((CAST(sum * 200 AS DECIMAL(38,0)) + (orders - cancelled)) DIV (2 * (orders - cancelled)) AS DECIMAL(20,0)) * 0.01
END
"""
"""In cents, `sum * 100 / n` rounded half up is `(sum * 200 + n) DIV (2 * n)` for amounts that are not negative."""
