"""One micro-batch, from the events to all tables committed: what `foreachBatch` calls.

Owns the order of the steps. Parked first, then `orders`, `customers`, and the days' figures, each in one commit; the
checkpoint moves on when all of it is done. Killed anywhere, Spark gives the same batch again, under the same number:
what is parked is parked once, what is committed is left out, and the rest is done.

So `foreachBatch` alone, which is at least once, comes to have each event's effect exactly once, by two guards as in
the projector: the number of the batch for redelivery, versions by aggregate for events that were sent again.
A lane belongs to one set of tables: what a replay applies to others would be missing here.
Known gaps: the job writes the folder it was given; it does not follow the pointer of a rebuild. It replays nothing: an
event that it parks behind another one just as a replay takes that one out stays parked until the next replay.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from delta.exceptions import (
    ConcurrentAppendException,
    ConcurrentDeleteDeleteException,
    ConcurrentDeleteReadException,
    ConcurrentTransactionException,
    ConcurrentWriteException,
)
from pyspark.sql import DataFrame
from pyspark.sql import functions as f
from pyspark.sql.pandas.types import from_arrow_schema

from labkit.projections.folds import Arrival, Parked
from labkit.projections.parking import ParkingLane
from labkit.projections.tables import CUSTOMERS, ORDERS, day_bound
from spark_projection.folding import FOLDED_COLUMNS, READ_COLUMNS, folding, name_aggregates, text_of
from spark_projection.tables import Commit, LeftOut, Tables

with suppress(ImportError):  # where Delta keeps it apart, Spark raises the above only once this was imported
    import delta.exceptions.captured  # noqa: F401

CONFLICTS = (
    ConcurrentAppendException,
    ConcurrentDeleteDeleteException,
    ConcurrentDeleteReadException,
    ConcurrentTransactionException,
    ConcurrentWriteException,
    LeftOut,
)
"""Another writer was faster."""
QUERY_ID = "sql.streaming.queryId"
PARTS = "spark.sql.shuffle.partitions"
"""A batch is folded and merged in as many parts as the cluster has cores now. Spark would take 200, or what it noted at
the checkpoint's first batch, however large the cluster has become."""
FEWEST_PARTS = 2
ATTEMPTS = 5
"""Of one batch, against a replay that commits in between."""


class Projection:
    """The projection of one hub into one folder of tables. Spark calls it from one thread, batch after batch."""

    def __init__(self, hub: str, tables: Tables, parking: ParkingLane) -> None:
        self._hub = hub
        self._tables = tables
        self._parking = parking
        self._lane: dict[str, int] | None = None

    def __call__(self, events: DataFrame, batch_id: int) -> None:
        context = events.sparkSession.sparkContext
        events.sparkSession.conf.set(PARTS, max(context.defaultParallelism, FEWEST_PARTS))
        commit = Commit(self._hub, context.getLocalProperty(QUERY_ID), batch_id)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                self._project(events, commit)
                return
            except CONFLICTS:
                if attempt == ATTEMPTS:
                    raise

    def _project(self, events: DataFrame, commit: Commit) -> None:
        read = events.mapInArrow(name_aggregates, from_arrow_schema(READ_COLUMNS)).persist()
        folded = None
        try:
            met = read.select("aggregate_type", "created_day").distinct().collect()
            days = {row.created_day for row in met if row.created_day}
            ids = read.select("aggregate_id")
            current = [self._tables.current(read.sparkSession, ORDERS, ids, day_bound("created_day", days))]
            if any(row.aggregate_type == "Customer" for row in met):
                current.append(self._tables.current(read.sparkSession, CUSTOMERS, ids, "true"))
            folded = fold_by_aggregate(read, current, self._lane_of(read)).persist()
            self._commit(folded, days, commit)
        finally:
            read.unpersist()
            if folded is not None:
                folded.unpersist()

    def _lane_of(self, read: DataFrame) -> dict[str, int]:
        """The lane as it is now, of the aggregates that the batch meets."""
        if self._lane is None:
            self._lane = self._parking.firsts(self._hub)
        if self._lane:
            held = read.where(f.col("aggregate_id").isin(list(self._lane))).select("aggregate_id").distinct()
            self._parking.refresh(self._hub, self._lane, met := [row.aggregate_id for row in held.collect()])
            return {who: self._lane[who] for who in met if who in self._lane}
        return {}

    def _commit(self, folded: DataFrame, days: set[object], commit: Commit) -> None:
        counted = folded.select(*(f.count(name).alias(name) for name in FOLDED_COLUMNS.names)).first()
        if counted["parked"]:
            self._park(folded.where("parked IS NOT NULL").select("parked.*"))
        if counted["orders"]:
            self._tables.merge_orders(folded.where("orders IS NOT NULL").select("orders.*"), days, commit)
        if counted["customers"]:
            self._tables.merge_customers(folded.where("customers IS NOT NULL").select("customers.*"), commit)
        if days:
            self._tables.derive_days(folded.sparkSession, days, commit)

    def _park(self, rows: DataFrame) -> None:
        """Keep these events in the lane, in the order of the hub."""
        for row in rows.orderBy("hub_partition", "sequence_number").toLocalIterator():
            arrival = Arrival(row.hub_partition, row.sequence_number, bytes(row.body), text_of(bytes(row.named)))
            self._parking.park(self._hub, [Parked(arrival, row.aggregate_id, row.reason)])
            if row.aggregate_id and self._lane is not None:
                self._lane.setdefault(row.aggregate_id, row.sequence_number)


def fold_by_aggregate(read: DataFrame, current: list[DataFrame], lane: Mapping[str, int]) -> DataFrame:
    """Bring the events and the current row of each aggregate together in one part, and fold each part."""
    kinds = from_arrow_schema(FOLDED_COLUMNS)
    no_rows = {name: f.lit(None).cast(kinds[name].dataType) for name in ("orders", "customers")}
    both = read.drop("aggregate_type", "created_day").withColumns(no_rows)
    for rows in current:
        both = both.unionByName(rows, allowMissingColumns=True)
    return both.repartition("aggregate_id").mapInArrow(folding(lane), from_arrow_schema(FOLDED_COLUMNS))
