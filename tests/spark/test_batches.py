"""One batch by itself: dead after any of its steps, overtaken, its events sent again, and what a replay brings later.

The events are made here and not read from a hub; tables and lane are real. What must come of them is what the
projector's fold makes of all events in their order.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from labkit.lab import Lab, open_lab
from labkit.projections.folds import BEHIND, Arrival, fold, read
from labkit.projections.parking import ParkingLane
from labkit.projections.read_store import ReadStore
from labkit.projections.replay import replay
from labkit.projections.rows import CustomerRow, OrderRow, daily_metrics, to_arrow
from labkit.projections.tables import CUSTOMERS, DAILY_ORDER_METRICS, ORDERS, ReadModel, contents
from labkit.settings import embedded
from localazure.handle import LocalAzure
from tests.spark import job
from tests.unit.projections.streams import CUSTOMER, arrivals, event, life_of

pytest.importorskip("pyspark", reason=job.WITHOUT_SPARK)

from delta.exceptions import ConcurrentAppendException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.types import from_arrow_schema
from spark_projection import batches
from spark_projection.batches import PARTS, Projection
from spark_projection.folding import EVENT_COLUMNS
from spark_projection.tables import Commit, LeftOut, Tables

OTHER = "order-20260106-b"
REGISTERED = event(CUSTOMER, 1, "CustomerRegistered", {"name": "Ada"})


class Died(Exception):
    """The process has ended here."""


@pytest.fixture
def lab(azure: LocalAzure, tmp_path: Path) -> Iterator[Lab]:
    with open_lab("03", partitions=1, target=embedded(azure, tmp_path / "lab")) as one:
        yield one


@pytest.fixture
def lane(lab: Lab) -> ParkingLane:
    return ParkingLane(lab.container("parked-events", "projector"))


@pytest.fixture
def tables(spark: SparkSession, tables: Tables) -> Iterator[Tables]:
    spark.sparkContext.setLocalProperty(batches.QUERY_ID, "query")
    yield tables
    spark.sparkContext.setLocalProperty(batches.QUERY_ID, None)  # type: ignore[arg-type]  # which takes it away


def frame(spark: SparkSession, came: list[Arrival]) -> DataFrame:
    rows = [(one.hub_partition, one.sequence_number, one.body, one.named.encode()) for one in came]
    return spark.createDataFrame(rows, from_arrow_schema(EVENT_COLUMNS))


def must_be_as_folded(tables: Tables, came: list[Arrival]) -> None:
    """The three tables hold what the projector's fold makes of all events, in their order."""
    folded = fold(map(read, came), {}, {}).rows.values()
    orders = to_arrow(ORDERS.schema, [row for row in folded if isinstance(row, OrderRow)])
    customers = to_arrow(CUSTOMERS.schema, [row for row in folded if isinstance(row, CustomerRow)])
    days = to_arrow(DAILY_ORDER_METRICS.schema, daily_metrics(orders))
    for model, expected in ((ORDERS, orders), (CUSTOMERS, customers), (DAILY_ORDER_METRICS, days)):
        found = contents(DeltaTable(tables.of(model)), model)
        assert found.sort_by(model.key).to_pylist() == expected.sort_by(model.key).to_pylist()


def merges(tables: Tables, model: ReadModel) -> int:
    return sum(one["operation"] == "MERGE" for one in DeltaTable(tables.of(model)).history())


class Dying(Tables):
    """Ends once this table has committed."""

    dies_after: ReadModel

    def merge(self, rows: DataFrame, model: ReadModel, bound: str, guard: str | None, commit: Commit) -> None:
        super().merge(rows, model, bound, guard, commit)
        if model is self.dies_after:
            raise Died(model.name)


class DyingLane(ParkingLane):
    """Ends once one event is parked."""

    def park(self, hub: str, events: object) -> None:
        super().park(hub, events)  # type: ignore[arg-type]
        raise Died("parked")


def test_a_batch_that_dies_after_each_of_its_steps_in_turn_comes_to_what_it_would_have(
    spark: SparkSession, lab: Lab, lane: ParkingLane, tables: Tables
) -> None:
    gap = [event(OTHER, 3, "OrderPaid"), event(OTHER, 4, "OrderShipped")]
    came = arrivals(*life_of()[:2], REGISTERED, b"no event", *life_of()[1:3], *gap)
    batch = frame(spark, came)

    with pytest.raises(Died, match="parked"):
        Projection(lab.hub, tables, DyingLane(lab.container("parked-events", "projector")))(batch, 0)
    assert merges(tables, ORDERS) == 0
    for model in (ORDERS, CUSTOMERS, DAILY_ORDER_METRICS):
        dying = type("DyingHere", (Dying,), {"dies_after": model})(tables.url)
        with pytest.raises(Died, match=model.name):
            Projection(lab.hub, dying, lane)(batch, 0)
    Projection(lab.hub, tables, lane)(batch, 0)

    must_be_as_folded(tables, came)
    assert [merges(tables, model) for model in (ORDERS, CUSTOMERS, DAILY_ORDER_METRICS)] == [1, 1, 1]
    parked = {who: [(one.place, one.reason) for one in lane.events(who)] for who in ("", OTHER)}
    assert [place for place, _ in parked[""]] == ["0-3"]
    assert parked[OTHER] == [("0-6", "gap: version 3 arrived while the row holds version 0"), ("0-7", BEHIND)]


def test_what_was_sent_again_and_what_a_replay_brought_have_their_effect_once(
    spark: SparkSession, lab: Lab, lane: ParkingLane, tables: Tables
) -> None:
    first, second, third, fourth = life_of(OTHER)
    came = arrivals(*life_of()[:2], second, first, *life_of()[:3], third, life_of()[1], fourth)
    projection = Projection(lab.hub, tables, lane)

    projection(frame(spark, came[:3]), 0)
    projection(frame(spark, came[3:8]), 1)
    assert [one.place for one in lane.events(OTHER)] == ["0-2", "0-3", "0-7"]

    outcome = replay(lane, ReadStore(tables.url), lab.hub, OTHER)
    assert (outcome.applied, outcome.parked) == (3, ())
    projection(frame(spark, came[8:]), 2)

    must_be_as_folded(tables, arrivals(*life_of()[:3], *life_of(OTHER)))
    assert lane.events(OTHER) == []


def test_a_batch_that_another_writer_overtook_is_folded_anew_on_what_that_one_left(
    spark: SparkSession, lab: Lab, lane: ParkingLane, tables: Tables, tmp_path: Path
) -> None:
    folded = fold(map(read, arrivals(*life_of())), {}, {}).rows.values()
    target, once, faster = tables.of(ORDERS), tmp_path / "once", to_arrow(ORDERS.schema, folded)

    def overtaken(parts: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """While the MERGE reads its source, somebody commits the whole life of the same order."""
        with suppress(FileExistsError):  # two parts are read at once
            once.touch(exist_ok=False)
            write_deltalake(target, faster, mode="append", partition_by=["created_day"])
        yield from parts

    class Overtaken(Tables):
        def merge(self, rows: DataFrame, model: ReadModel, bound: str, guard: str | None, commit: Commit) -> None:
            super().merge(rows.mapInArrow(overtaken, rows.schema), model, bound, guard, commit)

    Projection(lab.hub, Overtaken(tables.url), lane)(frame(spark, arrivals(*life_of()[:2])), 0)

    assert once.exists()
    must_be_as_folded(tables, arrivals(*life_of()))


def test_a_checkpoint_that_counts_anew_under_its_old_query_is_refused_and_drops_no_event(
    spark: SparkSession, lab: Lab, lane: ParkingLane, tables: Tables
) -> None:
    came = arrivals(*life_of()[:2], REGISTERED, *life_of(OTHER))
    Projection(lab.hub, tables, lane)(frame(spark, came[:2]), 0)

    Projection(lab.hub, tables, lane)(frame(spark, came[:2]), 0)
    with pytest.raises(LeftOut, match=r"^orders has batch 0 .* delete the whole checkpoint"):
        Projection(lab.hub, tables, lane)(frame(spark, came[3:]), 0)
    spark.sparkContext.setLocalProperty(batches.QUERY_ID, "of a new checkpoint")
    Projection(lab.hub, tables, lane)(frame(spark, came), 0)

    must_be_as_folded(tables, came)


def test_a_batch_that_is_overtaken_every_time_fails(
    spark: SparkSession, tables: Tables, lane: ParkingLane, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[int] = []

    def overtaken(*_: object) -> None:
        tried.append(1)
        raise ConcurrentAppendException("somebody was faster")

    projection = Projection("hub", tables, lane)
    monkeypatch.setattr(projection, "_project", overtaken)

    with pytest.raises(ConcurrentAppendException):
        projection(frame(spark, []), 0)
    assert len(tried) == batches.ATTEMPTS


def test_a_batch_is_folded_in_as_many_parts_as_there_are_cores_whatever_the_session_says(
    spark: SparkSession, tables: Tables, lane: ParkingLane, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts: list[int] = []

    real = batches.fold_by_aggregate

    def noting(read: DataFrame, current: list[DataFrame], held: dict[str, int]) -> DataFrame:
        parts.append(real(read, current, held).rdd.getNumPartitions())
        raise Died("folded")

    monkeypatch.setattr(batches, "fold_by_aggregate", noting)
    before = spark.conf.get(PARTS)
    spark.conf.set(PARTS, "7")
    try:
        with pytest.raises(Died, match="folded"):
            Projection("hub", tables, lane)(frame(spark, arrivals(*life_of())), 0)
    finally:
        spark.conf.set(PARTS, before)
    assert parts == [2]


def test_where_delta_keeps_its_exceptions_in_one_module_the_job_can_be_imported() -> None:
    code = "import sys; sys.modules['delta.exceptions.captured'] = None; import spark_projection.batches"

    subprocess.run([sys.executable, "-c", f"import sys; sys.path[:0] = {[str(job.BUNDLE)]}; {code}"], check=True)
